"""Drift from two looks: what the engine reads back of each resource, and what the platform shows of its isolation."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from provision.cli.changes import Action, Change, Changes
from provision.cli.drifting.found import Finding, Kind, Report
from provision.cli.words import details
from provision.diagnostics import Path, Position
from provision.errors import ProvisionError
from provision.host.events import PropertyChange, ResourceStep
from provision.loader import Loaded
from provision.models import DriftPolicy, DriftRules
from provision.models.drift import STRANGERS
from provision.spi import Isolates, ResourceType, Stranger
from provision.translate.drift import policy_of, written
from provision.translate.instances import entry_names
from provision.verify.evidence import Gathered
from provision.verify.held import Held

_SECTIONS = {"machines": (), "networks": (), "isolation": ("policies",), "sharing": ("shares",)}
Types = Mapping[str, type[ResourceType[Any, Any, Any]]]
"""Resource types by their Pulumi type token."""


def collected(
    project: str,
    stack: str,
    loaded: Loaded,
    changes: Changes,
    gathered: Gathered | None,
    types: Types,
    quiet: Sequence[ResourceStep] = (),
    others: Iterable[Stranger | ProvisionError] = (),
) -> Report:
    """Everything that is not as it was deployed.

    Args:
        project: Pulumi project.
        stack: Pulumi stack.
        loaded: the stack file, for what it says of drift, and for the places to point at.
        changes: what a preview of a refresh found.
        gathered: what the platform shows of isolation; None when no machine is deployed.
        types: to know what isolation depends on, and which field of the file says what.
        quiet: steps in which the engine passed over what it was told to ignore.
        others: machines that are none of the stack's on its networks, and why some could not be looked for.
    """
    places = _Places(loaded)
    sorted_ = [Sorted.of(change, loaded.stack.drift, types) for change in with_quiet(changes, quiet, types)]
    found = [_of_resource(one, places, types) for one in sorted_ if one.counts]
    found += _of_isolation(gathered, places) if gathered else ()
    ignored = [_ignored(one.ignored, places) for one in sorted_ if one.ignored is not None]
    left_alone = loaded.stack.drift.of(STRANGERS) is DriftPolicy.IGNORE
    for one in others:
        if left_alone and isinstance(one, Stranger):
            ignored.append(replace(_of_others(one, places), policy=DriftPolicy.IGNORE))
        elif not left_alone:
            found.append(_of_others(one, places))
    told = {change.urn for change in changes.native()}
    return Report(
        project,
        stack,
        tuple(sorted(found, key=lambda finding: finding.rank)),
        changes.unchanged - sum(one.counting.urn not in told for one in sorted_),
        tuple(sorted(ignored, key=lambda finding: finding.name)),
    )


def with_quiet(changes: Changes, quiet: Sequence[ResourceStep], types: Types) -> list[Change]:
    """What changed, with what of the fields of the stack file the engine passed over."""
    passed: dict[str, tuple[ResourceStep, tuple[PropertyChange, ...]]] = {}
    for step in quiet:
        kind = types.get(step.type)
        spots = written(kind.Inputs) if kind is not None else {}
        if items := tuple(item for item in step.ignored if item.path in spots):
            passed[step.urn] = step, items
    told = [
        replace(change, properties=(*change.properties, *passed.pop(change.urn)[1]))
        if change.urn in passed and change.action is Action.UPDATE
        else change
        for change in changes.native()
    ]
    return told + [Change(Action.UPDATE, step.type, step.name, step.urn, items) for step, items in passed.values()]


@dataclass(frozen=True)
class Sorted:
    """A change by what the stack file says of drift.

    Attributes:
        counting: what of it is drift.
        counts: whether anything of it is.
        ignored: what of it is to be left alone, if anything.
        adopted: properties that the file is to take over.
    """

    counting: Change
    counts: bool
    ignored: Change | None
    adopted: frozenset[str] = frozenset()

    @classmethod
    def of(cls, change: Change, rules: DriftRules, types: Types) -> "Sorted":
        """Sort the properties of a change."""
        kind = types.get(change.type)
        spots = written(kind.Inputs) if kind is not None else {}
        if change.failed or change.action is not Action.UPDATE or not change.properties:
            return cls(change, True, None)
        by: dict[DriftPolicy, list[PropertyChange]] = {policy: [] for policy in DriftPolicy}
        for item in change.properties:
            spot = spots.get(item.path)
            by[policy_of(spot, change.name, rules) if spot is not None else DriftPolicy.OWN].append(item)
        own, left, adopt = by[DriftPolicy.OWN], by[DriftPolicy.IGNORE], by[DriftPolicy.ADOPT]
        ignored = replace(change, properties=tuple(left)) if left else None
        counting = replace(change, properties=(*own, *adopt))
        return cls(counting, bool(own or adopt), ignored, frozenset(item.path for item in adopt))


def _of_resource(found: Sorted, places: "_Places", types: Types) -> Finding:
    change = found.counting
    position = places.of(change.name)
    carried = change.name.startswith("isolation/") or _carries(change, types)
    if change.failed:
        return Finding(Kind.UNSEEN, change.name, f"{change.name} could not be read", (), carried, position)
    if change.action is Action.DELETE:
        return Finding(Kind.GONE, change.name, f"{change.name} is gone", (), carried, position)
    policy = DriftPolicy.ADOPT if found.adopted else DriftPolicy.OWN
    told = tuple(
        f"{line} (to be adopted)" if line.partition(":")[0] in found.adopted else line for line in details(change)
    )
    return Finding(Kind.CHANGED, change.name, f"{change.name} was changed outside", told, carried, position, policy)


def _ignored(change: Change, places: "_Places") -> Finding:
    summary, position = f"{change.name} was changed outside, and is left alone", places.of(change.name)
    policy = DriftPolicy.IGNORE
    return Finding(Kind.CHANGED, change.name, summary, tuple(details(change)), False, position, policy)


def _carries(change: Change, types: Types) -> bool:
    """Whether isolation depends on a property that changed, or on the object that is gone as such."""
    kind = types.get(change.type)
    marked = {
        field.alias or name
        for name, field in (kind.Inputs.model_fields if kind else {}).items()
        if any(isinstance(mark, Isolates) for mark in field.metadata)
    }
    return any(item.path.partition(".")[0].partition("[")[0] in marked for item in change.properties)


def _of_isolation(gathered: Gathered, places: "_Places") -> Iterator[Finding]:
    if gathered.applied is not None:
        for item in gathered.applied.differences:
            yield Finding(Kind.RULES, "isolation", str(item), (), True, places.of("isolation"))
        for text in gathered.applied.unmodelled:
            summary = f"a rule of the platform is not understood: {text}"
            yield Finding(Kind.UNSEEN, "isolation", summary, (), True, places.of("isolation"))
    elif gathered.failed:
        yield Finding(Kind.UNSEEN, "isolation", gathered.not_applied, (), True, places.of("isolation"))
    for section, found in (("isolation", gathered.policies), ("sharing", gathered.shares)):
        for name, kinds in found.items():
            yield from _of_policy(f"{section}/{name}", kinds.values(), places)


def _of_policy(name: str, kinds: Any, places: "_Places") -> Iterator[Finding]:
    held: Held
    for held in kinds:
        if held.holds is False:
            yield Finding(Kind.POLICY, name, f"{name}: {held.text}", (), True, places.of(name))
        elif held.failed:
            yield Finding(Kind.UNSEEN, name, f"{name}: {held.text}", (), True, places.of(name))


def _of_others(found: Stranger | ProvisionError, places: "_Places") -> Finding:
    if isinstance(found, ProvisionError):
        summary = f"whether machines of others are on the networks is not known: {found.summary}"
        return Finding(Kind.UNSEEN, "networks", summary, (), True, places.of("networks"))
    name = "/".join(found.network.split("/")[:2])
    summary = f"{found.what} is on {name}, and is none of the stack's"
    return Finding(Kind.FOREIGN, name, summary, (), False, places.of(name))


class _Places:
    """Where the stack file speaks of what Pulumi's names name."""

    def __init__(self, loaded: Loaded) -> None:
        self._source_map = loaded.source_map
        self._entries = entry_names(loaded.stack)

    def of(self, name: str) -> Position | None:
        section, _, rest = name.partition("/")
        if section not in _SECTIONS:
            return None
        key = rest.partition("/")[0]
        path: Path = (section, *_SECTIONS[section], self._entries.get(key, key)) if key else (section,)
        return self._source_map.locate(path, key=True)
