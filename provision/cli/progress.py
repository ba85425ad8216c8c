"""What an engine run shows while it happens: lines for what is done, and on a terminal what is under way."""

import os
import re
import sys
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from provision.cli.changes import Action, Change, Changes, is_disk, is_native
from provision.cli.words import details, is_preview, word
from provision.host.events import UNCHANGED_OPS, Message, ResourceStep, name_of
from provision.host.result import Command

_MARKS = {
    Action.CREATE: ("+", "green"),
    Action.UPDATE: ("~", "yellow"),
    Action.REPLACE: ("±", "magenta"),
    Action.DELETE: ("-", "red"),
    Action.IMPORT: ("=", "cyan"),
}
_INDENT = " " * 15
_WORD = 18
_EXCERPT = re.compile(r" *\d* +\| ")
"""Lines of the stack file, and the carets below them: when broken they would point nowhere."""
_MOST_UNDER_WAY = 8
_DESTROYS = "destroys data: "
"""How the line of a plugin's host begins that announces the loss."""


class LastingConsole(Console):
    """Goes on without a word when nobody reads any more (`provision up 2>&1 | head -1`): the run is to end in order.

    Rich would end the thread that prints, which the engine then waits for, and silence standard output, which somebody
    may still read.
    """

    def on_broken_pipe(self) -> None:
        """Print nothing from now on."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


class Progress:
    """Prints changes and messages to standard error; use as a context manager around one run."""

    def __init__(self, command: Command, changes: Changes, told: set[str], console: Console | None = None) -> None:
        """Show a run.

        Args:
            command: what is run.
            changes: collects its steps.
            told: messages that the person has read, in this run or in the preview before it.
            console: where to print; default: standard error.
        """
        self._command = command
        self._changes = changes
        self._told = told
        self._console = console or LastingConsole(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())
        self._status: dict[str, str] = {}
        self._failed: set[str] = set()
        self._reasons: dict[str, str] = {}
        self._begun = False
        self._live = Live(
            get_renderable=self._under_way, console=self._console, refresh_per_second=4, transient=True,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip

    def __enter__(self) -> "Progress":
        """Begin."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; what was under way is no longer shown."""
        self._begun = True
        self._changes.under_way.clear()
        self._live.stop()

    def __call__(self, event: ResourceStep | Message) -> None:
        """Take one event."""
        if isinstance(event, Message):
            self._message(event)
            return
        self._begun = True
        change = self._changes.take(event)
        if change is not None and is_native(change.type) and not (change.failed and change.urn in self._failed):
            self._change(change)

    def _change(self, change: Change) -> None:
        mark, color = ("!", "bold red") if change.failed else _MARKS[change.action]
        took = "" if is_preview(self._command) else f"{change.seconds:.1f}s"
        self._line(mark, color, change.kind, change.name, word(change, self._command), took)
        for text in details(change):
            if change.action is Action.CREATE and text in self._told:
                continue  # why many are as they are is told of the first
            self._told.add(text)
            self._console.print(Text(_INDENT + text, "bold red" if change.loses_data and "data" in text else "dim"))

    def _line(self, mark: str, color: str, kind: str, name: str, said: str, took: str) -> None:
        room = min(self._console.width - len(_INDENT) - _WORD - 8, 44) if self._console.is_terminal else 44
        text = Text.assemble((f" {mark} ", color), (f"{kind:<11} ", "bold"))
        if len(name) > room:  # the name in full, and the rest below it
            text.append(f"{name}\n{_INDENT}")
        else:
            text.append(f"{name:<{room}} ")
        text.append(f"{said:<{_WORD}}" if took else said, color)
        text.append(took, "dim")
        self._console.print(text)

    def _message(self, message: Message) -> None:
        if message.ephemeral:
            self._status[message.urn] = message.text.splitlines()[0] if message.text else ""
            return
        if message.text.startswith(_DESTROYS) and message.urn and is_disk(name_of(message.urn)):
            return  # the line of the change says so
        subject = _subject(message.urn)
        if message.severity == "error" and subject:
            self._failure(message, *subject)
        elif message.text not in self._told:
            self._told.add(message.text)
            for line in _painted(message, subject[1] if subject else "").split("\n"):
                excerpt = _EXCERPT.match(line.plain) is not None and self._console.is_terminal
                self._console.print(line, no_wrap=excerpt or None, overflow="ellipsis" if excerpt else None)

    def _failure(self, message: Message, kind: str, name: str) -> None:
        if message.urn not in self._failed:
            self._failed.add(message.urn)
            self._line("!", "bold red", kind, name, "failed", "")
        if message.text in self._reasons:  # such as a hypervisor that is away: once is enough
            self._console.print(Text(f"{_INDENT}for the same reason as {self._reasons[message.text]}", "dim"))
            return
        self._reasons[message.text] = name
        for line in message.text.splitlines():
            self._console.print(Text(_INDENT + line, "" if line.startswith("  fix:") else "red"))

    def _under_way(self) -> RenderableType:
        if not self._begun:
            return Text(" … the engine is starting", "dim")
        changes = self._changes
        busy = [s for s in list(changes.under_way.values()) if s.op not in UNCHANGED_OPS and is_native(s.type)]
        lines = [
            Text(
                f" … {step.type.rpartition(':')[2]:<11} {step.name}  {changes.elapsed(step.urn):.0f}s  "
                + self._status.get(step.urn, ""),
                "dim",
                no_wrap=True,
                overflow="ellipsis",
            )
            for step in busy[:_MOST_UNDER_WAY]
        ]
        if len(busy) > _MOST_UNDER_WAY:
            lines.append(Text(f" … and {len(busy) - _MOST_UNDER_WAY} more", "dim"))
        return Group(*lines)


def _subject(urn: str) -> tuple[str, str] | None:
    """Kind and name of the resource that a message is about; None for the stack as a whole."""
    if not urn or "pulumi:pulumi:Stack::" in urn:
        return None
    return urn.split("::")[2].rpartition(":")[2], name_of(urn)


def _painted(message: Message, name: str) -> Text:
    severity = message.severity.partition("#")[0]
    text = message.text
    if severity in ("error", "warning") and not re.search(rf"(^|: ){severity}: ", text, re.MULTILINE):
        text = f"{severity}: {text}"
    painted = Text(f"{name}: {text}" if name else text)
    painted.highlight_regex(r"\berror:", "bold red")
    painted.highlight_regex(r"\bwarning:", "bold yellow")
    painted.highlight_regex(r"(?m)^ +fix:", "green")
    painted.highlight_regex(r"(?m)^ +\| +\^+", "red")
    return painted
