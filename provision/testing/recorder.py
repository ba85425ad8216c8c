"""A log that keeps what a plugin says."""

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """One text that the plugin had for the engine: `kind` is `status`, `note`, `warning` or `debug`."""

    kind: str
    urn: str
    text: str


class Recorder:
    """Keeps what a plugin says instead of sending it to an engine; in order, from any thread."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self._said: list[Said] = []

    def said(self, kind: str = "") -> list[Said]:
        """Everything so far, or all of one kind."""
        with self._lock:
            return [item for item in self._said if kind in ("", item.kind)]

    def texts(self, kind: str = "") -> list[str]:
        """The texts alone."""
        return [item.text for item in self.said(kind)]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._said.clear()

    def status(self, urn: str, text: str) -> None:
        """Keep a passing status line."""
        self._keep(Said("status", urn, text))

    def note(self, urn: str, text: str) -> None:
        """Keep a lasting line."""
        self._keep(Said("note", urn, text))

    def warning(self, urn: str, text: str) -> None:
        """Keep a warning."""
        self._keep(Said("warning", urn, text))

    def debug(self, urn: str, text: str) -> None:
        """Keep what only an author wants to see."""
        self._keep(Said("debug", urn, text))

    async def flush(self) -> None:
        """Everything is there already."""

    def _keep(self, said: Said) -> None:
        with self._lock:
            self._said.append(said)
