"""Telling the engine's display what happens; never in the way of the work itself."""

import asyncio
from typing import Any, Protocol

import grpc.aio

from provision.host.protocol import CHANNEL_OPTIONS, engine_pb2, engine_pb2_grpc


class Log(Protocol):
    """Where texts for people go. Every method may be called from any thread and never raises."""

    def status(self, urn: str, text: str) -> None:
        """Show a passing status line beside a resource."""

    def warning(self, urn: str, text: str) -> None:
        """Show a lasting warning."""

    def debug(self, urn: str, text: str) -> None:
        """Record what only an author wants to see."""


class Silent:
    """Before any engine is known."""

    def status(self, urn: str, text: str) -> None:
        """Drop it."""

    def warning(self, urn: str, text: str) -> None:
        """Drop it."""

    def debug(self, urn: str, text: str) -> None:
        """Drop it."""


class EngineLog:
    """Sends texts to an engine, in order, from a task of its own."""

    def __init__(self, address: str) -> None:
        """Send to the engine at `address`; called inside the event loop."""
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[engine_pb2.LogRequest | None] = asyncio.Queue()
        self._channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._task = self._loop.create_task(self._send())

    def status(self, urn: str, text: str) -> None:
        """Show a passing status line beside a resource."""
        self._put(engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, urn=urn, ephemeral=True))

    def warning(self, urn: str, text: str) -> None:
        """Show a lasting warning."""
        self._put(engine_pb2.LogRequest(severity=engine_pb2.WARNING, message=text, urn=urn))

    def debug(self, urn: str, text: str) -> None:
        """Record what only an author wants to see."""
        self._put(engine_pb2.LogRequest(severity=engine_pb2.DEBUG, message=text, urn=urn))

    def _put(self, request: engine_pb2.LogRequest) -> None:
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, request)
        except RuntimeError:  # the loop has ended: there is nobody left to tell
            return

    async def _send(self) -> None:
        engine: Any = engine_pb2_grpc.EngineStub(self._channel)  # typed for synchronous channels
        while (request := await self._queue.get()) is not None:
            try:
                await engine.Log(request, timeout=10)
            except grpc.aio.AioRpcError:
                continue

    async def close(self) -> None:
        """Send what is left, for two seconds at most."""
        self._queue.put_nowait(None)
        await asyncio.wait([self._task], timeout=2)
        self._task.cancel()
        await self._channel.close()
