"""What was changed on the platform, taken over into the stack file where the file says that it is to be."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provision.cli.changes import Action, Change
from provision.diagnostics import DiagnosticSink, format_path
from provision.diagnostics import Path as DataPath
from provision.errors import ProvisionError
from provision.host.events import PropertyChange
from provision.loader import Loaded
from provision.loader.editing import CannotEdit, Draft, Edit
from provision.loader.files import shown
from provision.models import DriftPolicy
from provision.spi import ResourceGraph, ResourceType
from provision.translate import Scope, agreements, capabilities_of, place, translate_all
from provision.translate.drift import Written, place_of, policy_of, written
from provision.translate.instances import entry_names, instances
from provision.verify import DeployedStack
from provision.verify.places import Places, site_of

Types = Mapping[str, type[ResourceType[Any, Any, Any]]]
Translate = Callable[[Draft], ResourceGraph]
"""What a draft of the stack file would make."""


@dataclass(frozen=True, slots=True)
class Real:
    """A value on the platform that a field of the file says otherwise.

    Attributes:
        resource: Pulumi's name of the resource.
        item: the input.
        change: from what to what.
        path: of the field in the file.
    """

    resource: str
    item: Written
    change: PropertyChange
    path: DataPath


@dataclass
class Adopted:
    """What became of it.

    Attributes:
        draft: the stack file with everything that could be taken over.
        taken: fields that were, with the resources that they are of.
        refused: by field, why not.
    """

    draft: Draft
    taken: dict[DataPath, list[str]] = field(default_factory=dict)
    refused: dict[DataPath, str] = field(default_factory=dict)

    def diff(self) -> Iterator[str]:
        """The change of the files, line by line."""
        for file, before, after in self.draft.changed:
            name = shown(file).lstrip("/")
            lines = difflib.unified_diff(before.splitlines(), after.splitlines(), f"a/{name}", f"b/{name}", lineterm="")
            yield from lines

    @property
    def files(self) -> list[str]:
        """Names of the files that change."""
        return [shown(file) for file, _, _ in self.draft.changed]

    def sentences(self) -> Iterator[str]:
        """What could not be taken over, and why."""
        for path, why in self.refused.items():
            yield f"not adopted: {format_path(path)}: {why}"


def to_adopt(loaded: Loaded, changes: Sequence[Change], types: Types) -> list[Real]:
    """What the file wants to be taken over."""
    entries = entry_names(loaded.stack)
    found = []
    for change in changes:
        kind = types.get(change.type)
        if kind is None or change.failed or change.action is not Action.UPDATE:
            continue
        for item in change.properties:
            spot = written(kind.Inputs).get(item.path)
            field_ = spot.field(change.name) if spot is not None else None
            if spot is None or field_ is None:
                continue
            if policy_of(spot, change.name, loaded.stack.drift) is DriftPolicy.ADOPT:
                name = change.name.split("/")[1]
                place = place_of(field_, change.name, entries.get(name, name))
                found.append(Real(change.name, spot, item, place))
    return found


def adopted(draft: Draft, loaded: Loaded, reals: Sequence[Real], translate: Translate) -> Adopted:
    """A draft of the file that says what is real, as far as it can.

    What is written is translated before anybody sees it: only what makes just the real values is kept.

    Args:
        draft: the file as it is.
        loaded: what it says.
        reals: what is to be taken over.
        translate: what a draft would make.
    """
    done = Adopted(draft)
    by_path: dict[DataPath, list[Real]] = {}
    for real in reals:
        by_path.setdefault(real.path, []).append(real)
    for path, group in by_path.items():
        try:
            draft.write(Edit(path, _spelt(loaded, path, group)))
        except CannotEdit as error:
            done.refused[path] = str(error)
        else:
            done.taken[path] = [real.resource for real in group]
    if done.taken and (why := _wrong(draft, [real for real in reals if real.path in done.taken], translate)):
        done.refused |= dict.fromkeys(done.taken, why)
        done.taken.clear()
        draft.undo()
    return done


def graph_of(loaded: Loaded, deployed: DeployedStack, places: Places) -> ResourceGraph:
    """What a stack file would make of a stack that is deployed.

    Raises:
        ProvisionError: a platform does not agree to it.
    """
    sink = DiagnosticSink(loaded.source_map)
    asked = []
    for placed in place(loaded.stack, sink):
        provider, session = site_of(places, placed.location)
        asked.append((placed, provider, capabilities_of(provider, session, placed.stack)))
    agreed = agreements(asked, sink)
    scope = Scope(deployed.project, deployed.name, str(loaded.directory))
    return translate_all(agreed, deployed.recorded, scope, sink).graph


def _spelt(loaded: Loaded, path: DataPath, group: Sequence[Real]) -> Any:
    """The value as a person would write it.

    Raises:
        CannotEdit: nobody could.
    """
    values = list(dict.fromkeys(real.change.value for real in group))
    if None in values:
        raise CannotEdit("what the platform has is no value that the file could hold")
    sharing = _sharing(loaded, path)
    untouched = [name for name in sharing if not any(real.resource.split("/")[1] == name for real in group)]
    if len(values) > 1 or untouched:
        told = "they differ now" if len(values) > 1 else f"of these {', '.join(untouched[:3])} has not changed"
        raise CannotEdit(f"the file says it once for {', '.join(sharing[:3])}{', …' * (len(sharing) > 3)}; {told}")
    spell = group[0].item.mark.spell
    if spell is None:
        raise CannotEdit(f"what the platform says ({values[0]}) cannot be written as a value of that field")
    return spell(values[0])


def _sharing(loaded: Loaded, path: DataPath) -> list[str]:
    """The machines for which the field is said once."""
    if path[0] != "machines":
        return []
    return [instance.name for instance in instances(loaded.stack) if instance.entry == path[1]]


def _wrong(draft: Draft, reals: Sequence[Real], translate: Translate) -> str:
    """Why a draft does not say what is real; empty when it does."""
    try:
        graph = translate(draft)
    except ProvisionError as error:
        details = getattr(error, "diagnostics", ())
        return f"the file would not be valid: {details[0].summary if details else error.summary}"
    for real in reals:
        node = graph.named.get(real.resource)
        made = None if node is None else node.inputs.get(real.item.name)
        if made != real.change.value:
            return f"written so, the file would make {made} of {real.change.value} for {real.resource}"
    return ""
