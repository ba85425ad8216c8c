"""Crates on a dock, behind an API: an example of a plugin of a cloud, which derives from `provision.spi.cloud`."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from provision.errors import NotFound, PlatformError, RetriableError
from provision.spi import (
    IMMUTABLE,
    STABLE,
    Capabilities,
    FeatureUse,
    GraphBuilder,
    Operation,
    OwnedInputs,
    Properties,
    Provider,
    ResourceGraph,
    ResourceType,
    Support,
    TranslationRequest,
    unsupported,
)
from provision.spi.cloud import SEPARATOR, Attempt, CloudSession, Live, NativeType, PartType, Reader


class Refusal(Exception):
    """What the API's client raises; `code` is the API's word for it."""

    def __init__(self, code: str) -> None:
        """Say which."""
        super().__init__(code)
        self.code = code


class Api:
    """The client of the API; it counts calls. A crate is `packing` for as many looks as `packing` says."""

    def __init__(self) -> None:
        """Nothing is there."""
        self.crates: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.packing = 0
        self._numbers = itertools.count(1)

    def make(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A crate; the answer holds its id alone."""
        self.calls.append("make")
        identity = f"crate-{next(self._numbers)}"
        self.crates[identity] = {"id": identity, "straps": [], "looks": 0, **fields}
        return {"id": identity}

    def show(self, wanted: Sequence[str]) -> list[dict[str, Any]]:
        """Crates by their ids."""
        self.calls.append(f"show {len(wanted)}")
        return [self._shown(self.crates[one]) for one in wanted if one in self.crates]

    def every(self, mark: str) -> list[dict[str, Any]]:
        """Crates whose mark begins so."""
        self.calls.append("every")
        return [self._shown(one) for one in self.crates.values() if one.get("mark", "").startswith(mark)]

    def change(self, identity: str, fields: Mapping[str, Any]) -> None:
        """Change a crate."""
        self.calls.append("change")
        self._of(identity).update(fields)

    def remove(self, identity: str) -> None:
        """Remove a crate."""
        self.calls.append("remove")
        self._of(identity)
        del self.crates[identity]

    def strap(self, identity: str, colour: str, knot: str) -> None:
        """Put a strap around a crate, one of each colour."""
        self.calls.append("strap")
        straps = self._of(identity)["straps"]
        if colour in [one["colour"] for one in straps]:
            raise Refusal("StrapExists")
        straps.append({"colour": colour, "knot": knot})

    def unstrap(self, identity: str, colour: str) -> None:
        """Take a strap off."""
        self.calls.append("unstrap")
        straps = self._of(identity)["straps"]
        straps[:] = [one for one in straps if one["colour"] != colour]

    def _of(self, identity: str) -> dict[str, Any]:
        if identity not in self.crates:
            raise Refusal("NoSuchCrate")
        return self.crates[identity]

    def _shown(self, crate: dict[str, Any]) -> dict[str, Any]:
        crate["looks"] += 1
        state = crate.get("state") or ("packing" if crate["looks"] <= self.packing else "packed")
        return {**crate, "state": state, "straps": [dict(one) for one in crate["straps"]]}


@dataclass(frozen=True)
class DockKind:
    """How the API shows one kind of object."""

    noun: str
    id: str = "id"

    def state(self, live: Live) -> str:
        """In the API's words."""
        return str(live.get("state", ""))

    def is_gone(self, live: Live) -> bool:
        """A crate that sank is remembered for a while."""
        return self.state(live) == "sunk"


CRATE = DockKind("crate")


class DockReader(Reader[DockKind]):
    """Shows several crates by one call, and all of a stack by another one."""

    most = 50

    def __init__(self, session: "DockSession") -> None:
        """Nothing is known yet."""
        super().__init__(session.is_touched)
        self._api = session.api

    def shown(self, kind: DockKind, ids: list[str]) -> Mapping[str, Live]:
        """By ids."""
        return {live["id"]: live for live in self._api.show(ids)}

    def owned(self, kind: DockKind, stack_id: str) -> Iterable[Live]:
        """By the beginning of the mark."""
        return self._api.every(f"{stack_id}/")


class DockSession(CloudSession):
    """The way to the API."""

    reader: DockReader

    def __init__(self, api: Api) -> None:
        """Work with this client."""
        super().__init__()
        self.api = api
        self.reader = DockReader(self)

    @contextlib.contextmanager
    def explained(self, doing: str) -> Iterator[None]:
        """Whose fault it is, and what to do now."""
        try:
            yield
        except Refusal as error:
            if error.code == "Busy":
                raise RetriableError(f"{doing}: the dock is busy", "run again") from None
            if self.is_absent(error):
                raise NotFound(f"{doing}: it is not there", "`provision refresh`, then run again") from None
            raise PlatformError(f"{doing}: {error.code}", "mend the cause at the dock, then run again") from None

    def is_absent(self, error: Exception) -> bool:
        """By the API's code."""
        return isinstance(error, Refusal) and error.code == "NoSuchCrate"


class CrateInputs(OwnedInputs):
    """Inputs of a crate."""

    name: Annotated[str, Field(description="What is written on it.")]
    place: Annotated[str, Field(description="Where it stands."), IMMUTABLE] = "quay"
    weight: Annotated[int, Field(description="Of what is in it.", ge=1)] = 1


class CrateOutputs(Properties):
    """Outputs of a crate."""

    crate_id: Annotated[str, Field(description="The dock's id."), STABLE]
    adopted: Annotated[bool, Field(description="Whether an import put it into the state."), STABLE] = False


class CrateQuery(Properties):
    """What a search for crates may be narrowed by: nothing."""


class Crate(NativeType[CrateInputs, CrateOutputs, DockSession]):
    """A crate, with `STACK/URN` as its mark."""

    token: ClassVar[str] = "dock:Crate"
    Inputs: ClassVar[type[Properties]] = CrateInputs
    Outputs: ClassVar[type[Properties]] = CrateOutputs
    Query: ClassVar[type[Properties]] = CrateQuery
    kind: ClassVar[DockKind] = CRATE
    waits_until_gone: ClassVar[bool] = True

    def owner(self, operation: Operation, inputs: CrateInputs, attempt: Attempt) -> str:
        """The mark."""
        return f"{inputs.stack_id}/{operation.urn}"

    def bears(self, live: Live, owner: str) -> bool:
        """The same mark."""
        return bool(live.get("mark") == owner)

    def stack_of(self, live: Live) -> str:
        """What stands before the slash."""
        return str(live.get("mark", "")).partition("/")[0]

    def remains(self, session: DockSession, owner: str) -> Iterable[Live]:
        """By the whole mark."""
        return [live for live in session.api.every(owner) if self.bears(live, owner) and not self.kind.is_gone(live)]

    def searched(self, session: DockSession, query: CrateQuery) -> Iterable[Live]:
        """All."""
        return session.api.every("")

    def made(self, session: DockSession, inputs: CrateInputs, owner: str) -> Live:
        """One call, which marks it too."""
        fields = {"name": inputs.name, "place": inputs.place, "weight": inputs.weight, "mark": owner}
        with session.explained(f"making the {self.called(inputs)}"):
            return session.api.make(fields)

    def ready(self, live: Live) -> bool | str:
        """It is packed; one that leaks never will be."""
        return "it leaks" if self.kind.state(live) == "leaking" else self.kind.state(live) == "packed"

    def change(self, operation: Operation, live: Live, inputs: CrateInputs, *, fresh: bool) -> bool:
        """Name and weight."""
        wanted = {"name": inputs.name, "weight": inputs.weight}
        if fresh or wanted.items() <= live.items():
            return False
        operation.session.api.change(live["id"], wanted)
        return True

    def seen(self, session: DockSession, live: Live, recorded: CrateInputs | None) -> dict[str, Any]:
        """As shown."""
        return {name: live[name] for name in ("name", "place", "weight")}

    def told(self, session: DockSession, live: Live) -> dict[str, Any]:
        """Its id."""
        return {"crate_id": live["id"]}

    def remove(self, session: DockSession, identity: str, live: Live) -> None:
        """One call."""
        session.api.remove(identity)


class StrapInputs(OwnedInputs):
    """Inputs of a strap."""

    crate_id: Annotated[str, Field(description="Around which crate."), IMMUTABLE]
    colour: Annotated[str, Field(description="A crate has one of each."), IMMUTABLE]
    knot: Annotated[str, Field(description="How it is tied."), IMMUTABLE] = "reef"


class StrapOutputs(Properties):
    """Outputs of a strap."""

    adopted: Annotated[bool, Field(description="Whether an import put it into the state."), STABLE] = False


Strapped = tuple[Live, Live]
"""A crate, and a strap of it."""


class Strap(PartType[StrapInputs, StrapOutputs, DockSession, Strapped]):
    """A strap has no mark: it belongs to whom its crate belongs to. Its id is `CRATE|COLOUR`."""

    token: ClassVar[str] = "dock:Strap"
    Inputs: ClassVar[type[Properties]] = StrapInputs
    Outputs: ClassVar[type[Properties]] = StrapOutputs
    noun: ClassVar[str] = "strap"
    whole: ClassVar[DockKind] = CRATE
    in_whole: ClassVar[bool] = True

    def stack_of(self, live: Live) -> str:
        """The crate's."""
        return str(live.get("mark", "")).partition("/")[0]

    def may_be_there(self, error: Exception) -> bool:
        """By the API's code."""
        return isinstance(error, Refusal) and error.code == "StrapExists"

    def whole_id(self, inputs: StrapInputs) -> str:
        """The crate."""
        return inputs.crate_id

    def identity(self, found: Strapped) -> str:
        """Crate and colour."""
        crate, strap = found
        return f"{crate['id']}{SEPARATOR}{strap['colour']}"

    def found(self, session: DockSession, identity: str, stack_id: str, *, fresh: bool) -> Strapped | None:
        """In what is known of the crate; the reader knows when that is old."""
        crate_id, _, colour = identity.partition(SEPARATOR)
        return self._at(session.reader.look(CRATE, crate_id, stack_id), colour)

    def standing(self, session: DockSession, inputs: StrapInputs) -> Strapped | None:
        """One of the colour."""
        return self._at(session.reader.look(CRATE, inputs.crate_id), inputs.colour)

    def usable(self, session: DockSession, inputs: StrapInputs) -> Strapped | None:
        """One of the colour, as those see it who wait."""
        return self._at(session.reader.watch(CRATE, inputs.crate_id), inputs.colour)

    def lingers(self, session: DockSession, identity: str) -> bool:
        """The same."""
        crate_id, _, colour = identity.partition(SEPARATOR)
        return self._at(session.reader.watch(CRATE, crate_id), colour) is not None

    def whole_of(self, session: DockSession, found: Strapped) -> Live:
        """The crate."""
        return found[0]

    def is_wanted(self, found: Strapped, inputs: StrapInputs) -> bool:
        """Tied in the same way."""
        return bool(found[1]["knot"] == inputs.knot)

    def make(self, session: DockSession, inputs: StrapInputs) -> None:
        """One call."""
        session.api.strap(inputs.crate_id, inputs.colour, inputs.knot)

    def take_off(self, operation: Operation, found: Strapped, inputs: StrapInputs | None) -> None:
        """One call."""
        operation.session.api.unstrap(found[0]["id"], found[1]["colour"])

    def has(self, found: Strapped, recorded: StrapInputs | None) -> dict[str, Any]:
        """As shown."""
        return {"crate_id": found[0]["id"], **found[1]}

    def tells(self, found: Strapped) -> dict[str, Any]:
        """Nothing more."""
        return {}

    def _at(self, crate: Live | None, colour: str) -> Strapped | None:
        straps = crate["straps"] if crate is not None else ()
        return next(((crate, one) for one in straps if crate is not None and one["colour"] == colour), None)


class DockConfig(Properties):
    """Nothing to be set."""


class DockProvider(Provider[DockConfig, DockSession]):
    """For Pulumi programs alone: it refuses whatever a stack file says."""

    name: ClassVar[str] = "dock"
    version: ClassVar[str] = "1.0.0"
    Config: ClassVar[type[Properties]] = DockConfig
    resource_types: ClassVar[Sequence[type[ResourceType[Any, Any, Any]]]] = (Crate, Strap)

    api: ClassVar[Api] = Api()

    def connect(self, config: DockConfig) -> DockSession:
        """With the client of this process."""
        return DockSession(self.api)

    def capabilities(self, session: DockSession) -> Capabilities:
        """Nothing to be asked."""
        return Capabilities(self.name)

    def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
        """Nothing."""
        return unsupported("a dock has no machines", "choose another platform")

    def translate(self, request: TranslationRequest) -> ResourceGraph:
        """Nothing."""
        return GraphBuilder().build()
