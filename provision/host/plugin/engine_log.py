"""Telling the engine's display what happens; never in the way of the work itself."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import grpc.aio

from provision.host.protocol import CHANNEL_OPTIONS, engine_pb2, engine_pb2_grpc
from provision.host.texts import fit


class Log(Protocol):
    """Where texts for people go. Every method may be called from any thread and never raises."""

    def status(self, urn: str, text: str) -> None:
        """Show a passing status line beside a resource."""

    def note(self, urn: str, text: str) -> None:
        """Show a line that stays."""

    def warning(self, urn: str, text: str) -> None:
        """Show a lasting warning."""

    def debug(self, urn: str, text: str) -> None:
        """Record what only an author wants to see."""

    async def flush(self) -> None:
        """Wait until all that is to stay has arrived; not for ever."""


class Silent:
    """Before any engine is known."""

    def status(self, urn: str, text: str) -> None:
        """Drop it."""

    def note(self, urn: str, text: str) -> None:
        """Drop it."""

    def warning(self, urn: str, text: str) -> None:
        """Drop it."""

    def debug(self, urn: str, text: str) -> None:
        """Drop it."""

    async def flush(self) -> None:
        """There is nothing to wait for."""


class EngineLog:
    """Sends texts to an engine, in order, from a task of its own.

    Of the status lines of one resource only the last one counts: one that was not sent yet makes way for the next.
    """

    def __init__(self, address: str) -> None:
        """Send to the engine at `address`; called inside the event loop."""
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[engine_pb2.LogRequest | asyncio.Future[None] | str | None] = asyncio.Queue()
        self._status: dict[str, str] = {}
        self._lasting = 0
        self._channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._task = self._loop.create_task(self._send())

    def status(self, urn: str, text: str) -> None:
        """Show a passing status line beside a resource."""
        self._soon(lambda: self._put_status(urn, fit(text)))

    def note(self, urn: str, text: str) -> None:
        """Show a line that stays."""
        self._put(engine_pb2.INFO, urn, text)

    def warning(self, urn: str, text: str) -> None:
        """Show a lasting warning."""
        self._put(engine_pb2.WARNING, urn, text)

    def debug(self, urn: str, text: str) -> None:
        """Record what only an author wants to see."""
        self._put(engine_pb2.DEBUG, urn, text)

    async def flush(self) -> None:
        """Wait until every note and warning has arrived; two seconds at most."""
        await asyncio.sleep(0)  # what was said in this turn of the loop is put into the queue in the next
        if not self._lasting:
            return
        sent: asyncio.Future[None] = self._loop.create_future()
        self._queue.put_nowait(sent)
        await asyncio.wait([sent], timeout=2)

    def _put(self, severity: Any, urn: str, text: str) -> None:
        request = engine_pb2.LogRequest(severity=severity, message=fit(text), urn=urn)
        self._soon(lambda: self._put_request(request))

    def _put_request(self, request: engine_pb2.LogRequest) -> None:
        self._lasting += _lasts(request)
        self._queue.put_nowait(request)

    def _put_status(self, urn: str, text: str) -> None:
        if urn not in self._status:
            self._queue.put_nowait(urn)
        self._status[urn] = text

    def _soon(self, what: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:  # the loop has ended: there is nobody left to tell
            return

    async def _send(self) -> None:
        engine: Any = engine_pb2_grpc.EngineStub(self._channel)  # typed for synchronous channels
        while (item := await self._queue.get()) is not None:
            if isinstance(item, asyncio.Future):
                if not item.done():
                    item.set_result(None)
                continue
            if isinstance(item, engine_pb2.LogRequest):
                request = item
            else:
                text = self._status.pop(item)
                request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, urn=item, ephemeral=True)
            with suppress(grpc.aio.AioRpcError):
                await engine.Log(request, timeout=10)
            self._lasting -= _lasts(request)

    async def close(self) -> None:
        """Send what is left, for two seconds at most."""
        self._queue.put_nowait(None)
        await asyncio.wait([self._task], timeout=2)
        self._task.cancel()
        await self._channel.close()


def _lasts(request: engine_pb2.LogRequest) -> bool:
    """Whether a person is to read it, and not only for a moment."""
    return bool(request.severity != engine_pb2.DEBUG and not request.ephemeral)
