"""What a check works with: a platform, the plugin served beside it with its faults, and everything that was said."""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from provision.host.plugin.shapes import record_of, to_wire_names
from provision.host.plugin.wire import read_stored
from provision.spi import Capabilities, Provider, ResourceType, Retries
from provision.testing.conformance.children import Nursery
from provision.testing.conformance.description import SuiteDescription
from provision.testing.conformance.samples import Platform, Sample
from provision.testing.conformance.verdicts import Unmet
from provision.testing.faults import Faults
from provision.testing.harness import Lifecycle

Kind = type[ResourceType[Any, Any, Any]]
QUICK = Retries(first_delay=0.02, longest_delay=0.1, patience=10)
"""How the framework tries again under the kit: soon, since what is injected passes at once."""


def instrumented(suite: SuiteDescription, faults: Faults) -> type[Provider[Any, Any]]:
    """The suite's provider with its transport, and without long pauses before it tries again."""
    original = suite.provider

    class Instrumented(original):  # type: ignore[valid-type, misc]
        __doc__ = original.__doc__
        resource_types = tuple(_quick(kind) for kind in original.resource_types)

        def connect(self, config: Any) -> Any:
            return suite.transport(super().connect(config), faults)

    Instrumented.__name__ = original.__name__
    return Instrumented


def _quick(kind: Kind) -> Kind:
    return type(kind.__name__, (kind,), {"retries": QUICK, "__doc__": kind.__doc__, "__module__": kind.__module__})


class Logged(logging.Handler):
    """Keeps what the plugin and its libraries write to Python's log."""

    def __init__(self) -> None:
        """Keep everything."""
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(f"{record.name}: {record.getMessage()}")


class Bench:
    """One platform and one plugin on it.

    Attributes:
        suite: what the author says.
        platform: where objects are made.
        faults: between plugin and platform.
        lifecycle: the plugin.
        connected: whether it is being served.
        traffic: everything that came back from it, by name of the call.
        logged: what went to Python's log.
        nursery: starts plugin processes that may be killed.
        notes: what the report should say beside passed or failed.
    """

    def __init__(self, suite: SuiteDescription, platform: Platform, nursery: Nursery) -> None:
        """Use `platform`, and start processes in `nursery`."""
        self.suite = suite
        self.nursery = nursery
        self.platform = platform
        self.faults = Faults(suite.errors)
        self.traffic: list[tuple[str, Any]] = []
        self.logged = Logged()
        self.notes: list[str] = []
        self.provider = instrumented(suite, self.faults)
        self.config = to_wire_names(platform.config, record_of(suite.provider.Config))
        self.stack_id = secrets.token_hex(16)
        self.lifecycle: Lifecycle
        self.connected = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Bench"]:
        """Serve the plugin; afterwards take from the platform what a failed check left there."""
        before = self.standing()
        root, noisy = logging.getLogger(), [logging.getLogger(name) for name in ("grpc", "asyncio")]
        levels = [logger.level for logger in (root, *noisy)]
        root.addHandler(self.logged)
        root.setLevel(logging.DEBUG)
        for logger in noisy:  # the kit's own
            logger.setLevel(logging.INFO)
        try:
            await self._connect()
            yield self
        finally:
            root.removeHandler(self.logged)
            for logger, level in zip((root, *noisy), levels, strict=True):
                logger.setLevel(level)
            self.faults.forget()
            if self.connected:
                await self._texts_and_close()
            if self.platform.clean is not None and self.standing() - before:
                await asyncio.to_thread(self.platform.clean)

    async def again(self) -> None:
        """Another plugin process, as far as the plugin can tell: a new session, and nothing remembered."""
        await self._texts_and_close()
        await self._connect()

    async def _connect(self) -> None:
        self.lifecycle = await Lifecycle(self.provider, self.config, watch=self.watch).__aenter__()
        self.connected = True

    def watch(self, name: str, came: Any) -> None:
        """Keep what came back from a call."""
        self.traffic.append((name, came))

    def heard(self, lifecycle: Lifecycle) -> None:
        """Keep what a plugin said to its engine."""
        self.traffic += [(f"a {said.kind} line", said.text) for said in lifecycle.log.said()]

    async def _texts_and_close(self) -> None:
        lifecycle = self.lifecycle
        self.connected = False
        await lifecycle.__aexit__(None, None, None)
        self.heard(lifecycle)

    def kind(self, token: str) -> Kind:
        """The resource type."""
        return next(kind for kind in self.suite.provider.resource_types if kind.token == token)

    def standing(self) -> "Counter[str]":
        """What is on the platform."""
        return Counter(self.platform.leftovers())

    def capabilities(self) -> Capabilities:
        """What the platform says of itself; blocks."""
        provider = self.suite.provider()
        session = provider.connect(read_stored(provider.Config, self.config))
        try:
            return provider.capabilities(session)
        finally:
            provider.disconnect(session)

    def chosen(self, calls: Sequence[str], sample: Sample, doing: str) -> list[int]:
        """Numbers of the calls that are made to fail, evenly spread when they are too many; the report says so."""
        limit = max(1, self.suite.calls_tried if sample.calls is None else sample.calls)
        if len(calls) <= limit:
            return list(range(len(calls)))
        self.notes.append(f"{doing}: {limit} of {len(calls)} calls to the platform were made to fail")
        last = len(calls) - 1
        return sorted({round(step * last / max(1, limit - 1)) for step in range(limit)})


@contextmanager
def platform_of(suite: SuiteDescription, directory: Path) -> Iterator[Platform]:
    """The suite's platform, cleaned up by the suite afterwards when it yields it."""
    given = suite.platform(directory)
    if isinstance(given, Platform):
        yield given
        return
    if not isinstance(given, Generator):
        raise _no_platform(given)
    with contextmanager(lambda: given)() as platform:
        if not isinstance(platform, Platform):
            raise _no_platform(platform)
        yield platform


def _no_platform(given: object) -> Unmet:
    return Unmet(
        "`platform` of the suite returns or yields a Platform",
        f"it gives {type(given).__name__}",
        "end it with: yield Platform(config=..., leftovers=...)",
    )
