"""Drift from two looks: what the engine reads back of each resource, and what the platform shows of its isolation."""

from collections.abc import Iterator, Mapping
from typing import Any

from provision.cli.changes import Action, Change, Changes
from provision.cli.drifting.found import Finding, Kind, Report
from provision.cli.words import details
from provision.diagnostics import Path, Position
from provision.loader import Loaded
from provision.spi import Isolates, ResourceType
from provision.translate.instances import instances
from provision.verify.evidence import Gathered
from provision.verify.held import Held

_SECTIONS = {"machines": (), "networks": (), "isolation": ("policies",), "sharing": ("shares",)}
Types = Mapping[str, type[ResourceType[Any, Any, Any]]]
"""Resource types by their Pulumi type token."""


def collected(
    project: str, stack: str, loaded: Loaded, changes: Changes, gathered: Gathered | None, types: Types
) -> Report:
    """Everything that is not as it was deployed.

    Args:
        project: Pulumi project.
        stack: Pulumi stack.
        loaded: the stack file, for the places to point at.
        changes: what a preview of a refresh found.
        gathered: what the platform shows of isolation; None when no machine is deployed.
        types: to know what isolation depends on.
    """
    places = _Places(loaded)
    found = [_of_resource(change, places, types) for change in changes.native()]
    found += _of_isolation(gathered, places) if gathered else ()
    return Report(project, stack, tuple(sorted(found, key=lambda finding: finding.rank)), changes.unchanged)


def _of_resource(change: Change, places: "_Places", types: Types) -> Finding:
    position = places.of(change.name)
    carried = change.name.startswith("isolation/") or _carries(change, types)
    if change.failed:
        return Finding(Kind.UNSEEN, change.name, f"{change.name} could not be read", (), carried, position)
    if change.action is Action.DELETE:
        return Finding(Kind.GONE, change.name, f"{change.name} is gone", (), carried, position)
    return Finding(
        Kind.CHANGED, change.name, f"{change.name} was changed outside", tuple(details(change)), carried, position
    )


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


class _Places:
    """Where the stack file speaks of what Pulumi's names name."""

    def __init__(self, loaded: Loaded) -> None:
        self._source_map = loaded.source_map
        self._entries = {instance.name: instance.entry for instance in instances(loaded.stack)}

    def of(self, name: str) -> Position | None:
        section, _, rest = name.partition("/")
        if section not in _SECTIONS:
            return None
        key = rest.partition("/")[0]
        path: Path = (section, *_SECTIONS[section], self._entries.get(key, key)) if key else (section,)
        return self._source_map.locate(path, key=True)
