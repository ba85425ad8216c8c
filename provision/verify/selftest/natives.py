"""Native resources of a deployed stack, written wrong on purpose and right again, without the engine."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provision.errors import PlatformError, ProvisionError
from provision.spi import (
    CanRead,
    CanUpdate,
    Change,
    Isolates,
    NativeState,
    Node,
    OnChange,
    Operation,
    Output,
    ReadRequest,
    ResourceGraph,
    ResourceType,
    UpdateRequest,
)
from provision.verify.places import Places
from provision.verify.selftest.mutants import Mutant
from provision.verify.state import HIDDEN, DeployedStack

_TRIES = 4
_PAUSE = 1.0
_UPDATE_SECONDS = 60.0


@dataclass(frozen=True)
class Native:
    """One live resource that can be changed in place.

    Attributes:
        state: as Pulumi's state has it, which is how it is to be.
        kind: its type.
        session: of the plugin.
    """

    state: NativeState
    kind: type[ResourceType[Any, Any, Any]]
    session: Any

    def break_with(self, inputs: Mapping[str, Any]) -> None:
        """Make it what `inputs` say.

        Raises:
            ProvisionError: the platform does not take it.
        """
        self._update(inputs, self.state.inputs)

    def mend(self, broken: Mapping[str, Any] | None = None) -> None:
        """Make it what the state says, and see that it is.

        Args:
            broken: what it was made, None when nobody knows.

        Raises:
            PlatformError: it could not be mended.
        """
        failure = "it still differs from what is recorded"
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_PAUSE * attempt)
            try:
                self._update(self.state.inputs, broken or self._live() or self.state.inputs)
                if self.is_right():
                    return
            except ProvisionError as error:
                failure = error.summary
        raise PlatformError(
            f"'{self.state.name}' was broken by a self-test and could not be mended: {failure}",
            "run `provision refresh`, then `provision up`: that makes it as the file says",
        )

    def is_right(self) -> bool:
        """Whether the live object is as recorded, as far as its type can tell."""
        live = self._live()
        return live is None or live == self._model(self.state.inputs).model_dump()

    def _live(self) -> Mapping[str, Any] | None:
        kind = self.kind()
        if not isinstance(kind, CanRead):
            return None
        recorded = self._model(self.state.inputs)
        seen = kind.read(ReadRequest(self._operation(), self.state.id, recorded, self._outputs()))
        found: Mapping[str, Any] | None = None if seen is None else seen.inputs.model_dump()
        return found

    def _update(self, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> None:
        kind = self.kind()
        assert isinstance(kind, CanUpdate)
        request = UpdateRequest(
            self._operation(), self.state.id, self._model(inputs), self._model(old), self._outputs()
        )
        kind.update(request)

    def _model(self, inputs: Mapping[str, Any]) -> Any:
        return self.kind.Inputs.model_validate(dict(inputs))

    def _outputs(self) -> Any:
        known = self.kind.Outputs.model_fields
        return self.kind.Outputs.model_validate({k: v for k, v in self.state.outputs.items() if k in known})

    def _operation(self) -> Operation:
        end = time.monotonic() + _UPDATE_SECONDS

        def wait(seconds: float) -> bool:
            time.sleep(min(seconds, max(0.0, end - time.monotonic())))
            return time.monotonic() >= end

        return Operation(
            self.state.urn, self.session, deadline=end, cancelled=lambda: time.monotonic() >= end, wait=wait
        )


class Natives:
    """Those of a stack that a self-test may touch."""

    def __init__(self, deployed: DeployedStack, places: Places) -> None:
        """Find them: changeable in place, without secrets that the state hides, where the platform is reached."""
        self._found: dict[str, Native] = {}
        self._outputs: dict[str, Mapping[str, Any]] = {}
        for location, natives in _by_location(deployed):
            place = places.get(location) or (next(iter(places.values())) if len(places) == 1 else None)
            for state in natives:
                self._outputs[state.name] = {**state.outputs, "id": state.id}
                if place is None or not state.urn or _hides(state.inputs) or state.name in self._found:
                    continue
                provider, session = place
                kind = next((one for one in provider.resource_types if one.token == state.token), None)
                if kind is not None and issubclass(kind, CanUpdate) and issubclass(kind, CanRead):
                    self._found[state.name] = Native(state, kind, session)

    def get(self, name: str) -> Native | None:
        """The resource of a name; None when it may not be touched."""
        return self._found.get(name)

    def inputs(self, mutant: Mutant) -> Mapping[str, Any] | None:
        """What a break writes; None when it refers to what is not there."""
        return self._written(self._found[mutant.node], mutant.graph.node(mutant.node), [str(mutant.path[0])])

    def changes(self, before: ResourceGraph, after: ResourceGraph) -> Sequence[tuple[Native, Mapping[str, Any]]] | None:
        """What to write where, so that what both graphs have becomes as in the other; None when that cannot be."""
        found = []
        for node in after.nodes:
            former = before.named.get(node.name)
            fields = [] if former is None else _differing(former, node)
            if fields:
                native = self._found.get(node.name)
                inputs = None if native is None else self._written(native, node, fields)
                if native is None or inputs is None or not _in_place(native.kind, fields):
                    return None
                found.append((native, inputs))
        return found

    def _written(self, native: Native, node: Node, fields: Sequence[str]) -> Mapping[str, Any] | None:
        """The recorded inputs of a resource, with some fields as a node of a graph has them."""
        kept = {key: value for key, value in native.state.inputs.items() if key not in fields}
        try:
            return kept | {key: self._resolved(node.inputs[key]) for key in fields if key in node.inputs}
        except KeyError:
            return None

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, Output):
            return self._outputs[value.node][value.property]
        if isinstance(value, Mapping):
            return {key: self._resolved(item) for key, item in value.items()}
        return [self._resolved(item) for item in value] if isinstance(value, list | tuple) else value

    def mend(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """Mend what an earlier self-test that was killed left broken; gives the names of what was mended.

        Args:
            names: of what was left; None when nobody knows, so it may be whatever carries isolation.

        Raises:
            PlatformError: something could not be mended.
        """
        if names is None:
            names = [name for name, one in self._found.items() if _isolates(one.kind)]
        there = [native for name in names if (native := self._found.get(name)) is not None]
        for native in there:
            native.mend()
        return tuple(native.state.name for native in there)


def _by_location(deployed: DeployedStack) -> list[tuple[str, Sequence[NativeState]]]:
    found: list[tuple[str, Sequence[NativeState]]] = [
        (deployed.location_of(name), machine.natives) for name, machine in deployed.machines.items()
    ]
    if not deployed.locations:
        return [*found, ("", deployed.shared)]
    return found + [(name, one.shared) for name, one in deployed.locations.items()]


def _hides(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_hides, value.values()))
    return any(map(_hides, value)) if isinstance(value, list | tuple) else bool(value == HIDDEN)


def _differing(one: Node, other: Node) -> list[str]:
    """Names of inputs that two nodes do not have in common."""
    names = dict.fromkeys((*one.inputs, *other.inputs))
    return [name for name in names if one.inputs.get(name) != other.inputs.get(name)]


def _in_place(kind: type[ResourceType[Any, Any, Any]], fields: Sequence[str]) -> bool:
    marks = [mark for field in fields if field in kind.Inputs.model_fields
             for mark in kind.Inputs.model_fields[field].metadata]  # fmt: skip
    return all(mark.change is Change.IN_PLACE for mark in marks if isinstance(mark, OnChange))


def _isolates(kind: type[ResourceType[Any, Any, Any]]) -> bool:
    return any(isinstance(mark, Isolates) for one in kind.Inputs.model_fields.values() for mark in one.metadata)
