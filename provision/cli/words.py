"""Changes in words: the lines of a run, and the sentence that sums it up."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from provision.cli.changes import Action, Change, Changes, machines
from provision.host.result import Command

NAMES: Mapping[Command, str] = {"destroy": "down", "preview-destroy": "preview"}
"""Commands whose name is another one than the engine's."""

_DONE = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.REPLACE: "replaced",
    Action.DELETE: "deleted",
    Action.IMPORT: "imported",
}
_PLANNED = {action: f"to {action}" for action in Action}
_DRIFT = {Action.UPDATE: "changed outside", Action.DELETE: "gone", Action.CREATE: "found", Action.REPLACE: "replaced"}
_MOST_PROPERTIES = 8


def is_preview(command: Command) -> bool:
    """Whether the command only shows what would be done."""
    return command in ("preview", "preview-destroy")


def word(change: Change, command: Command) -> str:
    """What is, or was, done to a resource."""
    if change.failed:
        return "failed"
    if command == "refresh":
        return _DRIFT.get(change.action, str(change.action))
    if is_preview(command):
        return str(change.action)
    return _DONE[change.action]


def details(change: Change) -> Iterator[str]:
    """Further lines about a change: what it loses, and which properties change."""
    if change.loses_data:
        yield "the data on this disk is lost"
    elif change.kept and change.action in (Action.DELETE, Action.REPLACE):
        yield "the object itself is kept"
    ordered = sorted(change.properties, key=lambda item: not item.replaces)
    for item in ordered[:_MOST_PROPERTIES]:
        values = f": {item.values}" if item.values else ""
        yield f"{item.path}{values}" + (" (needs a new one)" if item.replaces else "")
    if len(ordered) > _MOST_PROPERTIES:
        yield f"… and {len(ordered) - _MOST_PROPERTIES} more properties"


def summary(changes: Changes, command: Command) -> str:
    """One sentence that says what a run did, or would do."""
    found = [change for change in changes.found if not change.failed]
    if not found:
        return _nothing(changes.unchanged, command)
    native = [change for change in changes.native() if not change.failed]
    words = _PLANNED if is_preview(command) else _DRIFT if command == "refresh" else _DONE
    parts = []
    if by_machine := machines(found):
        changed = "to change" if is_preview(command) else "changed"
        parts.append(_counted("machine", by_machine.values(), {**words, Action.UPDATE: changed}))
    if native:
        parts.append(_counted("resource", (change.action for change in native), words))
    if changes.unchanged:
        parts.append(f"{changes.unchanged} unchanged")
    begin = "To do: " if is_preview(command) else "Drift: " if command == "refresh" else "Done: "
    return begin + "; ".join(parts or ["the record alone"]) + "." + _lost(native, command)


def _lost(changes: Iterable[Change], command: Command) -> str:
    lost = [change.name for change in changes if change.loses_data]
    if not lost or command == "refresh":
        return ""
    more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
    return f" Data {'will be' if is_preview(command) else 'was'} lost on: {', '.join(lost[:5])}{more}."


def failure(changes: Changes, command: Command, *, interrupted: bool) -> str:
    """One sentence that says where a failed run stands."""
    name = NAMES.get(command, command)
    failed = list(dict.fromkeys(change.name for change in changes.found if change.failed))
    halfway = changes.halfway()
    done = sum(not change.failed for change in changes.native()) + len(halfway)
    begin = f"{name} was interrupted" if interrupted else f"{name} failed"
    if failed and not is_preview(command):
        begin += f": {plural(len(failed), 'resource')} failed ({', '.join(failed[:3])}{', …' if failed[3:] else ''})"
    if is_preview(command) or not done:
        return f"{begin}; nothing was changed."
    gone = f" Deleted, and not made anew yet: {', '.join(halfway)}." if halfway else ""
    return f"{begin}; {plural(done, 'change')} done and recorded.{gone} Run it again to go on from there."


def plural(count: int, noun: str, many: str = "") -> str:
    """A number and its noun."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"


def _nothing(unchanged: int, command: Command) -> str:
    match command:
        case "destroy" | "preview-destroy":
            return "Nothing to remove: the stack is empty."
        case "refresh":
            return f"No drift: {plural(unchanged, 'resource')} as recorded."
        case _:
            return f"Nothing to change: {plural(unchanged, 'resource')} as the file says."


def _counted(noun: str, actions: Iterable[Action], words: Mapping[Action, str]) -> str:
    """Such as `2 machines to create, 1 to change`, or `2 machines created, 1 changed`."""
    counts = Counter(actions)
    first, *others = [(counts[action], words.get(action, str(action))) for action in Action if counts[action]]
    return ", ".join([f"{plural(first[0], noun)} {first[1]}", *(f"{count} {said}" for count, said in others)])
