"""What becomes of each resource in a run: the engine's steps, with the parts of a replacement put together."""

import enum
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from provision.host.events import UNCHANGED_OPS, PropertyChange, ResourceStep, Value

_MACHINE = "provision:index:Machine"


class Action(enum.StrEnum):
    """What is done to a resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    IMPORT = "import"


_WHOLE = {
    "create": Action.CREATE,
    "update": Action.UPDATE,
    "delete": Action.DELETE,
    "discard": Action.DELETE,
    "import": Action.IMPORT,
}
_PART = frozenset({"replace", "create-replacement", "delete-replaced", "discard-replaced", "import-replacement"})


@dataclass(frozen=True, slots=True)
class Change:
    """One resource that changes, or failed to.

    Attributes:
        action: what is done to it.
        type: its type token.
        name: Pulumi's name, the path in the stack file.
        urn: Pulumi's URN.
        properties: what changes in it.
        kept: whether the native object outlives a deletion of the resource.
        failed: whether it could not be done.
        seconds: how long it took.
        before: simple inputs that it has, as those of its step.
        after: simple inputs that it gets.
    """

    action: Action
    type: str
    name: str
    urn: str
    properties: tuple[PropertyChange, ...] = ()
    kept: bool = False
    failed: bool = False
    seconds: float = 0.0
    before: Mapping[str, Value] = field(default_factory=dict, compare=False, repr=False)
    after: Mapping[str, Value] = field(default_factory=dict, compare=False, repr=False)

    @property
    def kind(self) -> str:
        """The last part of the type token."""
        return self.type.rpartition(":")[2]

    @property
    def loses_data(self) -> bool:
        """Whether a disk with data of its own is destroyed."""
        return self.action in (Action.DELETE, Action.REPLACE) and not self.kept and is_disk(self.name)


class Changes:
    """Collects the steps of one run."""

    def __init__(self, *, preview: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin; in a preview a replacement has happened when it is announced, else when the new object is there."""
        self._replaced_by = ("replace",) if preview else ("create-replacement", "import-replacement")
        self._clock = clock
        self._begun: dict[str, float] = {}
        self._reasons: dict[str, tuple[PropertyChange, ...]] = {}
        self._removed: dict[str, str] = {}
        self._preview = preview
        self.under_way: dict[str, ResourceStep] = {}
        self.found: list[Change] = []
        self.unchanged = 0

    def take(self, step: ResourceStep) -> Change | None:
        """Take one step; gives the change that it completes, if any."""
        if step.phase == "started":
            self.under_way[step.urn] = step
            self._begun.setdefault(step.urn, self._clock())
            return None
        self.under_way.pop(step.urn, None)
        if step.op in _PART and step.changes:
            self._reasons[step.urn] = step.changes
        if step.phase == "done" and step.op in UNCHANGED_OPS:
            self.unchanged += is_native(step.type)
            self._begun.pop(step.urn, None)
            return None
        if step.phase == "done" and step.op == "delete-replaced" and not self._preview:
            self._removed[step.urn] = step.name
        change = self._change(step)
        if change is not None:
            self._begun.pop(step.urn, None)
            self.found.append(change)
        return change

    def elapsed(self, urn: str) -> float:
        """Seconds since work on a resource began."""
        return self._clock() - self._begun.get(urn, self._clock())

    def native(self) -> list[Change]:
        """The changes of resources that exist on the platform."""
        return [change for change in self.found if is_native(change.type)]

    def halfway(self) -> list[str]:
        """Names of resources that were deleted to be made anew, and are not made yet."""
        made = {change.urn for change in self.found if change.action is Action.REPLACE and not change.failed}
        return [name for urn, name in self._removed.items() if urn not in made]

    def _change(self, step: ResourceStep) -> Change | None:
        failed = step.phase == "failed"
        if step.op in _WHOLE:
            action = _WHOLE[step.op]
        elif step.op in self._replaced_by or (failed and step.op in _PART):
            action = Action.REPLACE
        elif failed:
            action = Action.UPDATE
        else:
            return None
        properties = self._reasons.get(step.urn, step.changes) if action is Action.REPLACE else step.changes
        if action not in (Action.CREATE, Action.UPDATE, Action.REPLACE):
            properties = ()
        seconds = self.elapsed(step.urn)
        return Change(
            action, step.type, step.name, step.urn, properties, step.kept, failed, seconds, step.before, step.after
        )


def is_native(kind: str) -> bool:
    """Whether resources of that type exist on the platform: no components, no bookkeeping of the engine."""
    return not kind.startswith(("pulumi:", "provision:"))


def is_disk(name: str) -> bool:
    """Whether a resource of that name holds data of its own."""
    return name.rpartition("/")[2].startswith("disk-")


def machines(changes: Iterable[Change]) -> dict[str, Action]:
    """What becomes of each machine of which something changes."""
    found: dict[str, Action] = {}
    for change in changes:
        place, _, rest = change.name.partition("/")
        if place != "machines" or change.failed:
            continue
        machine = rest.split("/")[0]
        if change.type == _MACHINE and change.action is not Action.UPDATE:
            found[machine] = change.action
        else:
            found.setdefault(machine, Action.UPDATE)
    return found
