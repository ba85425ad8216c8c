"""The page itself: what matters most comes first, and what does not fit into a comment is left out from the end."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.cli.changes import Action, Change, Changes, is_native
from provision.cli.review.isolation import Isolation
from provision.cli.review.text import code, escaped, fenced
from provision.cli.words import details, failure, plural, summary
from provision.errors import POLICY_REFUSED
from provision.host.events import Message, name_of
from provision.host.result import RunResult

if TYPE_CHECKING:
    from provision.cli.review.sizes import Sized, Sizes
    from provision.verify.reach.difference import Crossing

LIMIT = 65_000
"""Characters: GitHub takes 65,536 in a comment, GitLab 1,000,000; a little is left for what a pipeline adds."""

_ROOM_BELOW = 400  # for the line that says what was left out, and the ends of what is open
_MOST_ROWS = 150
_MOST_SAID = 4_000
_MOST_NAMES = 5

_CLASSES = (
    ("destroys", "Destroys data"),
    ("replaces", "Replaced by new ones"),
    ("restarts", "Restarted"),
    ("deletes", "Deleted"),
    ("keeps", "No longer of the stack, and kept"),
    ("updates", "Changed in place"),
    ("creates", "Created"),
)


@dataclass(frozen=True)
class Review:
    """What is to be reviewed.

    Attributes:
        project: Pulumi project.
        stack: Pulumi stack.
        result: what the preview said.
        changes: what it would do.
        isolation: what the file opens and closes.
        sizes: what becomes larger or smaller; None when nothing changes.
    """

    project: str
    stack: str
    result: RunResult
    changes: Changes
    isolation: Isolation
    sizes: "Sizes | None" = None


def page(review: Review, limit: int = LIMIT) -> str:
    """The page in Markdown, of at most `limit` characters; its first line says which comment it replaces."""
    result = review.result
    said = summary(review.changes, "preview") if result.succeeded else failure(
        review.changes, "preview", interrupted=bool(result.interrupted)
    )  # fmt: skip
    lines = [
        f"<!-- provision preview {review.project}/{review.stack} -->",
        f"## Preview of `{review.stack}` of `{review.project}`",
        "",
        f"**{escaped(said)}**",
        "",
        *_refused(result),
        *_lost(review.changes),
        *_isolation(review.isolation),
        *_weaker(result),
        *_counts(review),
        *_sizes(review.sizes),
    ]
    room = limit - _ROOM_BELOW - sum(map(len, lines)) - len(lines)
    if room < 0:
        lines = [*_cut(lines, limit - _ROOM_BELOW), "", "The rest does not fit here: see `provision preview`."]
    else:
        lines += _details(review, room)
    return "\n".join(lines).rstrip() + "\n"


def _cut(lines: Iterable[str], room: int) -> Iterator[str]:
    """As many lines as there is room for; what they leave open is closed."""
    fence, folded = "", False
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        if line.startswith("```"):
            fence = "" if fence else line
        elif not fence and line.startswith(("<details>", "</details>")):
            folded = line.startswith("<details>")
        yield line
    yield from ([fence] if fence else []) + (["", "</details>"] if folded else [])


def _refused(result: RunResult) -> Iterator[str]:
    errors = list(dict.fromkeys(message.text for message in result.messages if message.severity == "error"))
    if not errors:
        return
    policies = any(text.startswith(POLICY_REFUSED) for text in errors)
    yield "### Refused policies" if policies else "### What stops it"
    yield ""
    for text in errors[:20]:
        yield from fenced(text[:_MOST_SAID])
        yield ""
    if len(errors) > 20:
        yield from (f"… and {len(errors) - 20} more", "")


def _lost(changes: Changes) -> Iterator[str]:
    lost = [change for change in changes.native() if change.loses_data]
    if not lost:
        return
    yield "### Data will be lost"
    yield ""
    for change in lost[:_MOST_ROWS]:
        why = "deleted" if change.action is Action.DELETE else "replaced"
        yield f"- {code(change.name)} is {why}, and the data on it is gone"
    if len(lost) > _MOST_ROWS:
        yield f"- … and {len(lost) - _MOST_ROWS} more"
    yield ""


def _isolation(found: Isolation) -> Iterator[str]:
    yield "### Isolation"
    yield ""
    if found.unknown:
        yield from (f"What changes in who reaches whom is not known: {found.unknown}.", "")
        return
    opened = [one for one in found.crossings if one.opened]
    closed = [one for one in found.crossings if not one.opened]
    if not opened and not closed:
        nothing = "The first deployment: no way is open." if found.first else "Nothing changes in who reaches whom."
        yield from (nothing, "")
        return
    if found.first:
        yield from (f"The first deployment: {plural(len(opened), 'way is', 'ways are')} open, all else is closed.", "")
    else:
        yield from (f"{plural(len(opened), 'way')} opened, {len(closed)} closed.", "")
    titles = ("from", "to", "by the policy")
    for rows, title in ((opened, "passes now"), (closed, "does not pass any more")):
        if rows:
            yield f"| {titles[0]} | {titles[1]} | {title} | {titles[2]} |"
            yield "|---|---|---|---|"
            for one in sorted(rows, key=_order)[:_MOST_ROWS]:
                mark = "" if found.first else " (new)" if one.opened else " (gone)"
                source, destination = mark * one.fresh_source, mark * one.fresh_destination
                services = ", ".join(map(code, one.services))
                by = ", ".join(map(code, one.by))
                ends = f"{escaped(one.source)}{source} | {escaped(one.destination)}{destination}"
                yield f"| {ends} | {services} | {by} |"
            if len(rows) > _MOST_ROWS:
                yield f"| … | and {len(rows) - _MOST_ROWS} more | | |"
            yield ""


def _order(one: "Crossing") -> tuple[bool, str, str]:
    """Ways between ends that stay come first: they are what a change opens behind the back of machines that run."""
    return one.fresh_source or one.fresh_destination, one.destination, one.source


def _weaker(result: RunResult) -> Iterator[str]:
    if result.downgraded:
        yield from ("### Policies that are not enforced", "")
        for name, why in list(result.downgraded.items())[:_MOST_ROWS]:
            yield f"- {code(name)}: {escaped(why)}"
        yield ""
    warnings = [m.text for m in result.messages if m.severity == "warning"]
    told = [text for text in dict.fromkeys(warnings) if not any(f"'{name}'" in text for name in result.downgraded)]
    if told:
        yield from (f"<details><summary>{plural(len(told), 'warning')}</summary>", "")
        for text in told[:20]:
            yield from fenced(text[:_MOST_SAID])
        if len(told) > 20:
            yield f"… and {len(told) - 20} more"
        yield from ("", "</details>", "")


def _counts(review: Review) -> Iterator[str]:
    by_class = _by_class(review)
    if not by_class:
        return
    yield from ("### Changes", "", "| class | resources | machines |", "|---|---|---|")
    for key, title in _CLASSES:
        if found := by_class.get(key):
            machines = {name for change in found if (name := _machine(change))}
            yield f"| {title} | {len(found)} | {len(machines) or ''} |"
    yield ""


def _sizes(found: "Sizes | None") -> Iterator[str]:
    if found is None or not found.rows:
        return
    yield from ("### Sizes", "")
    if found.more:
        yield from (f"In all: {', '.join(f'{more} {what}' for what, more in found.more)}.", "")
    yield from ("| machines | sizes |", "|---|---|")
    for row in found.rows[:_MOST_ROWS]:
        yield f"| {_names(row)} | {', '.join(_sized(row, *value) for value in row.values)} |"
    if len(found.rows) > _MOST_ROWS:
        yield f"| … | and {len(found.rows) - _MOST_ROWS} more |"
    yield ""


def _names(row: "Sized") -> str:
    more = len(row.machines) - _MOST_NAMES
    mark = {Action.CREATE: " (new)", Action.DELETE: " (gone)"}.get(row.action, "")
    return ", ".join(map(code, row.machines[:_MOST_NAMES])) + (f" and {more} more" if more > 0 else "") + mark


def _sized(row: "Sized", what: str, before: str | None, after: str | None) -> str:
    if before is None or after is None:
        mark = "" if row.action in (Action.CREATE, Action.DELETE) else " (new)" if before is None else " (gone)"
        return f"{what} {escaped(before or after or '')}{mark}"
    return f"{what} {escaped(before)} → {escaped(after)}"


def _details(review: Review, room: int) -> Iterator[str]:
    by_class = _by_class(review)
    left_out = 0
    for key, title in _CLASSES:
        found = by_class.get(key, [])
        head = [f"<details><summary>{title}: {plural(len(found), 'resource')}</summary>", ""]
        if not found:
            continue
        room -= sum(map(len, head)) + len("</details>") + 6
        shown: list[str] = []
        for change in found:
            lines = [f"- {code(change.name)} ({change.kind})", *(f"  - {code(text)}" for text in details(change))]
            cost = sum(map(len, lines)) + len(lines)
            if cost > room:
                break
            room -= cost
            shown += lines
        count = sum(line.startswith("- ") for line in shown)
        left_out += len(found) - count
        if shown:
            yield from (*head, *shown, "", "</details>", "")
    if left_out:
        yield f"{plural(left_out, 'resource')} more not shown here: see `provision preview`."


def _by_class(review: Review) -> dict[str, list[Change]]:
    telling = {name_of(m.urn): m.text for m in review.result.messages if m.urn and _tells_class(m)}
    found: dict[str, list[Change]] = {}
    for change in sorted(review.changes.found, key=lambda change: change.name):
        if is_native(change.type) and not change.failed:
            found.setdefault(_class(change, telling.get(change.name, "")), []).append(change)
    return found


def _tells_class(message: Message) -> bool:
    return message.text.startswith(("restarts: ", "may restart: ", "destroys data: ", "may destroy data: "))


def _class(change: Change, told: str) -> str:
    if change.loses_data or told.startswith(("destroys", "may destroy")):
        return "destroys"
    match change.action:
        case Action.REPLACE:
            return "replaces"
        case Action.DELETE:
            return "keeps" if change.kept else "deletes"
        case Action.CREATE | Action.IMPORT:
            return "creates"
        case Action.UPDATE:
            return "restarts" if told else "updates"


def _machine(change: Change) -> str:
    parts: Sequence[str] = change.name.split("/")
    return parts[1] if parts[0] == "machines" and len(parts) > 1 else ""
