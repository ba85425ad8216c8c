"""The servicer of Pulumi's `LanguageRuntime` protocol, and its process."""

import asyncio
import contextlib
import os
import platform
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc

from provision.host.protocol import CHANNEL_OPTIONS, language_pb2, language_pb2_grpc, plugin_pb2
from provision.host.standby.waiting import Standby

_ORPHAN_CHECK = 1.0
"""Seconds between looks at whether the engine still lives."""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine about, and runs, one stack file."""

    def __init__(
        self, engine_address: str, cancelled: asyncio.Event, warmed: "asyncio.Task[None] | None" = None
    ) -> None:
        """Serve the engine at `engine_address`; `cancelled` is set when it is done with this process.

        What is being `warmed` is waited for before a run.
        """
        self._engine_address = engine_address
        self._cancelled = cancelled
        self._warmed = warmed
        self.has_run = False

    def begin(self, engine_address: str) -> None:
        """Serve another connection of an engine, at `engine_address`."""
        self._engine_address = engine_address
        self._cancelled.clear()

    async def Handshake(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        """Learn the engine's address when it was not an argument."""
        self._engine_address = request.engine_address or self._engine_address
        return language_pb2.LanguageHandshakeResponse()

    async def GetPluginInfo(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        """The version of this package."""
        return plugin_pb2.PluginInfo(version=_version())

    async def About(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        """What runs the program, for `pulumi about`."""
        return language_pb2.AboutResponse(
            executable=sys.executable, version=_version(), metadata={"python": platform.python_version()}
        )

    async def GetRequiredPackages(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        """None: a named version would bind the state to it, and be looked for on the Internet."""
        return language_pb2.GetRequiredPackagesResponse()

    async def GetRequiredPlugins(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        """None, as with packages."""
        return language_pb2.GetRequiredPluginsResponse()

    async def InstallDependencies(
        self, request: Any, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[Any]:
        """A stack file has no dependencies but this package."""
        return
        yield  # makes this an empty stream

    async def RuntimeOptionsPrompts(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        """There are no options."""
        return language_pb2.RuntimeOptionsResponse()

    async def Run(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        """Make, or preview, what the stack file says; what is wrong has been told to the engine when this returns."""
        self.has_run = True
        if self._warmed is not None:
            await asyncio.shield(self._warmed)
        from provision.host.language.run import run

        fine = await run(request, self._engine_address)
        return language_pb2.RunResponse(bail=not fine)

    async def Cancel(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        """End this process soon."""
        from google.protobuf import empty_pb2

        self._cancelled.set()  # stopping the server waits for this very answer: the engine waits for the process to end
        return empty_pb2.Empty()


async def serve(engine_address: str) -> None:
    """Print the port and serve until cancelled, or until the process that started this one is gone."""
    parent = os.getppid()  # before anything that takes time: the engine may die at any moment
    cancelled = asyncio.Event()
    server, port = await _listen(LanguageHost(engine_address, cancelled), cancelled)
    print(port, flush=True)
    await _until(cancelled, lambda: os.getppid() == parent)
    await server.stop(grace=0.2)


async def serve_standby(standby: Standby, warm: Callable[[], None]) -> None:
    """Serve one shim of the engine after the other, until one has had a stack file run.

    Args:
        standby: this process, which was started before the engine asked for it.
        warm: loads what a run takes, in a thread of its own: the engine has questions first.
    """
    cancelled = asyncio.Event()
    loop = asyncio.get_running_loop()
    host = LanguageHost("", cancelled, asyncio.create_task(asyncio.to_thread(warm)))
    server, port = await _listen(host, cancelled)
    while True:
        caller = await asyncio.to_thread(standby.wait)
        host.begin(engine_address(caller.arguments))
        caller.when_gone(loop, cancelled)
        caller.say(port)
        await _until(cancelled, caller.lives)
        if host.has_run:
            break
        loop.remove_reader(caller.asked)
        standby.release()
    await server.stop(grace=0.2)


def engine_address(arguments: Sequence[str]) -> str:
    """The engine's address among what it gives a language host."""
    positional = [argument for argument in arguments if not argument.startswith("-")]
    flags = iter(arguments)
    for flag in flags:
        if flag in ("--tracing", "-tracing", "--root", "-root"):  # the flags whose value is a word of its own
            value = next(flags, "")
            if value in positional:
                positional.remove(value)
    return positional[-1] if positional else ""


async def _listen(host: LanguageHost, cancelled: asyncio.Event) -> tuple[Any, int]:
    server = grpc.aio.server(options=CHANNEL_OPTIONS)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, cancelled.set)
    return server, port


async def _until(cancelled: asyncio.Event, lives: Callable[[], bool]) -> None:
    while not cancelled.is_set() and lives():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(cancelled.wait(), _ORPHAN_CHECK)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("provision")
    except PackageNotFoundError:
        return "0.0.0"
