"""One resource type in terms of wire values: what the servicer calls, and what calls the plugin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from provision.errors import CreatedButUnhealthy, NotFound, PluginError, UserError
from provision.host.plugin import previews
from provision.host.plugin.checking import Failure, check, explain
from provision.host.plugin.diffing import Difference, compare
from provision.host.plugin.running import with_retries
from provision.host.plugin.shapes import Record, record_of, to_python_names, to_wire_names, wire_path
from provision.host.plugin.wire import dump, marked, mirrored, public, read_stored, rewrap
from provision.host.values import SecretValue, plain
from provision.spi.properties import UNKNOWN, OwnedInputs
from provision.spi.resource import (
    CanCheck,
    CanDelete,
    CanRead,
    CanUpdate,
    CheckRequest,
    CreateRequest,
    DeleteRequest,
    Operation,
    ReadRequest,
    Replacement,
    ResourceType,
    UpdateRequest,
)

Wire = Mapping[str, Any]

UNHEALTHY = "__unhealthy"
"""Output that marks an object whose last start failed, so that the next update knows to wait for its health again."""

STACK_ID = "stackId"


@dataclass(frozen=True)
class State:
    """An object as the engine records it."""

    id: str
    outputs: dict[str, Any]
    inputs: dict[str, Any] | None = None


class Unhealthy(Exception):
    """An object exists but is not healthy: it is to be recorded, with reasons."""

    def __init__(self, state: State, summary: str, reasons: Sequence[str]) -> None:
        """Record `state`."""
        super().__init__(summary)
        self.state = state
        self.summary = summary
        self.reasons = tuple(reasons)


class Resource:
    """Serves one resource type."""

    def __init__(self, kind: type[ResourceType[Any, Any, Any]], plugin: str) -> None:
        """Serve `kind` of the plugin called `plugin`."""
        self.kind = kind
        self.token = kind.token
        self._implementation = kind()
        self._plugin = plugin
        self._owned = issubclass(kind.Inputs, OwnedInputs)

    @property
    def inputs(self) -> Record:
        """Shape of the inputs."""
        return record_of(self.kind.Inputs)

    @property
    def outputs(self) -> Record:
        """Shape of the outputs."""
        return record_of(self.kind.Outputs)

    @property
    def delete_first(self) -> bool:
        """Whether the old object goes before the new one is made."""
        return self.kind.replacement is Replacement.DELETE_FIRST

    def check(self, urn: str, news: Wire, olds: Wire) -> tuple[dict[str, Any], list[Failure]]:
        """Checked inputs, and what is wrong with them."""
        values = plain(public(news))
        old = plain(public(olds)) or None
        if self._owned and old and _known(old.get(STACK_ID)):
            # An object keeps the marker it was made with for life: a stack whose identity was made anew must still be
            # able to change and delete what it has.
            values[STACK_ID] = old[STACK_ID]
        failures: list[Failure] = []
        raised: Exception | None = None
        if isinstance(self._implementation, CanCheck):
            try:
                values, failures = self._own_check(self._implementation, urn, values, old)
            except Exception as error:
                raised = error
        checked, more = check(self.kind.Inputs, values)
        if raised is not None and not more:
            if not isinstance(raised, ValidationError):
                raise raised
            more = explain(raised, to_python_names(values, self.inputs))
        known = {failure.path for failure in failures}
        failures += [failure for failure in more if failure.path not in known]
        return rewrap(checked, public(news)), failures

    def _own_check(
        self, implementation: CanCheck, urn: str, values: Wire, old: Wire | None
    ) -> tuple[dict[str, Any], list[Failure]]:
        old_inputs = None if old is None else to_python_names(old, self.inputs)
        answer = implementation.check(CheckRequest(urn, to_python_names(values, self.inputs), old_inputs))
        failures = [Failure(wire_path(item.property, self.kind.Inputs), item.reason) for item in answer.failures]
        return to_wire_names(plain(marked(answer.inputs, Record(()))), self.inputs), failures

    def diff(self, olds: Wire, news: Wire, ignored: Sequence[str] = ()) -> list[Difference]:
        """How recorded inputs differ from wanted ones."""
        found = compare(
            self.kind.Inputs,
            public(olds),
            public(news),
            always_replaces=not isinstance(self._implementation, CanUpdate),
            ignored=ignored,
        )
        return [item for item in found if not (self._owned and item.path == (STACK_ID,))]

    def preview_create(self, inputs: Wire) -> dict[str, Any]:
        """Outputs as far as they are known before the object exists."""
        return previews.of_create(self.kind.Inputs, self.kind.Outputs, public(inputs))

    def create(self, running: Operation, inputs: Wire) -> State:
        """Make the object.

        Raises:
            Unhealthy: it exists, but did not become healthy.
        """
        request = CreateRequest(running, self._model(self.kind.Inputs, inputs))
        try:
            created = with_retries(lambda: self._implementation.create(request), running)
        except CreatedButUnhealthy as error:
            raise self._unhealthy(error, inputs) from error
        identity = getattr(created, "id", None)
        if not isinstance(identity, str) or not identity:
            raise self._broken("create", "must return Created with a non-empty id")
        return State(identity, self._dump_outputs("create", created.outputs, inputs))

    def preview_update(self, news: Wire, old_inputs: Wire, outputs: Wire) -> dict[str, Any]:
        """Outputs as far as they are known before the update."""
        changed = {str(item.path[0]) for item in self.diff(old_inputs, news)}
        return previews.of_update(self.kind.Inputs, self.kind.Outputs, public(news), public(outputs), changed)

    def update(self, running: Operation, identity: str, news: Wire, old_inputs: Wire, outputs: Wire) -> dict[str, Any]:
        """Change the object; its outputs afterwards.

        Raises:
            Unhealthy: it was changed, but did not become healthy.
        """
        if not isinstance(self._implementation, CanUpdate):
            if self.diff(old_inputs, news):
                raise self._broken("update", "is missing, yet an update was asked for")
            return mirrored(marked(public(outputs), self.outputs), news)
        implementation = self._implementation
        request = UpdateRequest(
            operation=running,
            id=identity,
            inputs=self._model(self.kind.Inputs, news),
            old_inputs=read_stored(self.kind.Inputs, public(old_inputs)),
            outputs=read_stored(self.kind.Outputs, public(outputs)),
            retry=bool(plain(outputs.get(UNHEALTHY))) or not self.diff(old_inputs, news),
        )
        try:
            updated = with_retries(lambda: implementation.update(request), running)
        except CreatedButUnhealthy as error:
            raise self._unhealthy(error, news) from error
        return self._dump_outputs("update", getattr(updated, "outputs", None), news)

    def read(self, running: Operation, identity: str, inputs: Wire | None, outputs: Wire) -> State | None:
        """What the object is now, None when it is gone. Without `inputs` it is an import.

        Raises:
            Unhealthy: it exists, but is not healthy.
        """
        if not isinstance(self._implementation, CanRead):
            if inputs is None:
                raise UserError(f"objects of type {self.token} cannot be imported", "let Pulumi create a new one")
            running.report("cannot be looked at: the last known state is kept")
            return State(identity, dict(outputs), dict(inputs))
        implementation = self._implementation
        request = ReadRequest(
            operation=running,
            id=identity,
            inputs=None if inputs is None else read_stored(self.kind.Inputs, public(inputs)),
            outputs=read_stored(self.kind.Outputs, public(outputs)) if outputs else None,
        )
        try:
            found = with_retries(lambda: implementation.read(request), running)
        except NotFound:
            return None
        except CreatedButUnhealthy as error:
            raise self._unhealthy(error, inputs or {}) from error
        if found is None:
            return None
        if not isinstance(found.inputs, self.kind.Inputs):
            raise self._broken("read", f"must return inputs of type {self.kind.Inputs.__name__}")
        read = dump(found.inputs)
        if inputs is not None:
            read = rewrap(_carried(found.inputs, read, public(inputs), self.inputs), inputs)
        shown = self._dump_outputs("read", found.outputs, inputs or {})
        for wire, field in self.outputs.fields.items():
            if field.secret and wire in outputs and not plain(shown.get(wire)):
                shown[wire] = outputs[wire]
        return State(found.id or identity, shown, read)

    def delete(self, running: Operation, identity: str, inputs: Wire | None, outputs: Wire) -> None:
        """Remove the object; one that is gone already is fine."""
        if not isinstance(self._implementation, CanDelete):
            return
        implementation = self._implementation
        request = DeleteRequest(
            operation=running,
            id=identity,
            inputs=None if inputs is None else read_stored(self.kind.Inputs, public(inputs)),
            outputs=read_stored(self.kind.Outputs, public(outputs)),
        )
        try:
            with_retries(lambda: implementation.delete(request), running)
        except NotFound:
            return

    def _model(self, model: type[BaseModel], inputs: Wire) -> Any:
        """Checked inputs as a model: they were valid when they were checked, so a failure here is worth its text."""
        values = plain(public(inputs))
        try:
            return model.model_validate(values)
        except ValidationError as error:
            reasons = "; ".join(f"{f.property or 'inputs'} {f.reason}" for f in explain(error, values))
            raise UserError(f"{self.token}: {reasons}") from error

    def _dump_outputs(self, member: str, outputs: Any, inputs: Wire) -> dict[str, Any]:
        if not isinstance(outputs, self.kind.Outputs):
            raise self._broken(member, f"must return outputs of type {self.kind.Outputs.__name__}")
        return mirrored(dump(outputs), inputs)

    def _unhealthy(self, error: CreatedButUnhealthy, inputs: Wire) -> Unhealthy:
        known = to_wire_names(error.outputs, self.outputs)
        outputs = mirrored(marked(known, self.outputs), inputs) | {UNHEALTHY: True}
        return Unhealthy(State(error.id, outputs, dict(inputs)), error.summary, error.reasons)

    def _broken(self, member: str, expectation: str) -> PluginError:
        return PluginError(
            f"plugin '{self._plugin}': {self.token}: `{member}` {expectation}", "report this to the plugin's author"
        )


def _known(value: Any) -> bool:
    return value is not None and value != "" and value is not UNKNOWN


def _carried(model: BaseModel, read: Wire, recorded: Wire, record: Record) -> dict[str, Any]:
    """Read inputs, with recorded ones where reading cannot tell: what was not set, and secrets that came back empty."""
    result: dict[str, Any] = {}
    for wire, field in record.fields.items():
        unset = field.name not in model.model_fields_set
        empty_secret = field.secret and not plain(read.get(wire))
        if (unset or empty_secret or (wire == STACK_ID and not read.get(wire))) and wire in recorded:
            result[wire] = recorded[wire]
        elif wire in read:
            value, nested = read[wire], getattr(model, field.name, None)
            if isinstance(nested, BaseModel) and isinstance(recorded.get(wire), Mapping) and isinstance(value, Mapping):
                value = _carried(nested, value, recorded[wire], record_of(type(nested)))
            result[wire] = SecretValue(plain(value)) if field.secret else value
    return result
