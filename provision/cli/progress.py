"""What an engine run shows while it happens: one line per finished step, and on a terminal what is under way."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from provision.host.automation import UNCHANGED_OPS, Message, ResourceStep, RunResult

_MARKS = {
    "create": ("+", "green"),
    "create-replacement": ("+", "green"),
    "update": ("~", "yellow"),
    "replace": ("±", "magenta"),
    "delete": ("-", "red"),
    "delete-replaced": ("-", "red"),
    "discard": ("-", "red"),
    "import": ("=", "cyan"),
}
_PAST = {
    "create": "created",
    "create-replacement": "created again",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "delete-replaced": "deleted, replaced",
    "import": "imported",
    "refresh": "read",
}


class Progress:
    """Prints steps and messages; use as a context manager around one run."""

    def __init__(self, *, preview: bool) -> None:
        """Show planned steps when `preview`, else done ones; both go to standard error."""
        self._preview = preview
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._started: dict[str, tuple[ResourceStep, float]] = {}
        self._status: dict[str, str] = {}
        self._said: set[str] = set()
        self._live = Live(get_renderable=self._under_way, console=self._console, refresh_per_second=4, transient=True)

    def __enter__(self) -> "Progress":
        """Begin."""
        if sys.stderr.isatty():
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; what was under way is no longer shown."""
        self._live.stop()

    def __call__(self, event: ResourceStep | Message) -> None:
        """Take one event."""
        if isinstance(event, Message):
            self._message(event)
        elif event.op not in UNCHANGED_OPS and not event.type.startswith("pulumi:"):
            self._step(event)

    def _step(self, step: ResourceStep) -> None:
        if step.phase == "started":
            self._started[step.urn] = (step, time.monotonic())
            if self._preview and step.op in _MARKS:
                self._line(step, step.op, "", step.paths if step.op in ("update", "replace") else ())
            return
        begun = self._started.pop(step.urn, (step, time.monotonic()))[1]
        self._status.pop(step.urn, None)
        if step.phase == "failed":
            self._line(step, "failed", f"{time.monotonic() - begun:.1f}s", (), style="bold red")
        elif not self._preview and step.op in _PAST:
            self._line(
                step, _PAST[step.op], f"{time.monotonic() - begun:.1f}s", step.paths if step.op == "update" else ()
            )

    def _line(self, step: ResourceStep, word: str, took: str, paths: tuple[str, ...], style: str = "") -> None:
        mark, color = _MARKS.get(step.op, (" ", "white"))
        kind = step.type.split(":")[-1]
        text = Text.assemble(
            (f" {mark} ", style or color),
            (f"{kind:<12}", "bold"),
            f"{step.name:<40} ",
            (f"{word:<10}", style),
            (took, "dim"),
        )
        if paths:
            text.append("  [" + ", ".join(paths[:6]) + (", …" if len(paths) > 6 else "") + "]", "dim")
        self._console.print(text)

    def _message(self, message: Message) -> None:
        if message.ephemeral:
            self._status[message.urn] = message.text
            return
        if message.severity == "debug" or message.text in self._said:
            return
        self._said.add(message.text)
        style = {"error": "red", "warning": "yellow"}.get(message.severity, "")
        where = f"{message.urn.split('::')[-1]}: " if message.urn and "pulumi:pulumi:Stack" not in message.urn else ""
        label = "" if message.severity.startswith("info") or "error:" in message.text else f"{message.severity}: "
        self._console.print(Text(f"{where}{label}{message.text}", style))

    def _under_way(self) -> Text:
        now = time.monotonic()
        lines = [
            f" … {step.type.split(':')[-1]:<12}{step.name:<40} {now - begun:>5.1f}s  {self._status.get(urn, '')}"
            for urn, (step, begun) in list(self._started.items())[:12]
        ]
        return Text("\n".join(lines), "dim")


def summary(result: RunResult, *, preview: bool) -> str:
    """One line that says what a run did, or would do."""
    same = sum(count for op, count in result.changes.items() if op in UNCHANGED_OPS)
    if not result.changed:
        return f"Nothing to change: {same} resource{'' if same == 1 else 's'} as the file says."
    words = {op: word for op, word in _PAST.items() if op != "refresh"}
    parts = [
        f"{count} {op if preview else words.get(op, op)}"
        for op, count in result.changes.items()
        if op not in UNCHANGED_OPS
    ]
    return ("To do: " if preview else "Done: ") + ", ".join(parts) + f"; {same} unchanged."
