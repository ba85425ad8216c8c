"""The plugin process: prints its port, serves the engine, ends with it."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import grpc.aio

from provision.errors import ProvisionError
from provision.host import guarding
from provision.host.plugin.servicer import PluginServicer
from provision.host.protocol import CHANNEL_OPTIONS
from provision.host.standby.waiting import Caller, Standby
from provision.host.watching import tell_command
from provision.spi import registry
from provision.spi.provider import Provider

GRACE_S = 4.0
KILLED_S = 5.0
"""The engine kills a plugin five seconds after it asked it to end."""

SWITCH_S = 0.001
"""How long a thread computes while others want to. The engine checks one resource after the other, and each check
changes threads three times: with Python's own 5 ms it waits for all operations that read their answers meanwhile."""

ORPHAN_GRACE_S = 30.0
"""How long running operations may take to come to an end when the engine has died."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Serve until the engine is done; never returns.

    Args:
        arguments: the plugin's name, then what the engine passes: options, and its address unless it attaches later.
    """
    parent = os.getppid()  # before anything that takes time: the engine may die at any moment
    own, *rest = list(sys.argv[1:] if arguments is None else arguments) or [""]
    try:
        provider = registry.load(own)
    except ProvisionError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    serve(provider, engine_address(rest), parent)


def stand_by(provider: Provider[Any, Any], standby: Standby) -> NoReturn:
    """Serve the engine that takes this process, which was started before it asked; never returns."""
    framework_types()  # imported while there is time
    with contextlib.suppress(Exception):  # whatever is wrong is told when it is needed
        provider.preload()
    caller = standby.wait()
    serve(provider, engine_address(caller.arguments), caller=caller)


def serve(
    provider: Provider[Any, Any], engine: str = "", parent: int | None = None, caller: Caller | None = None
) -> NoReturn:
    """Serve a provider until the engine is done.

    Args:
        provider: an instance, checked.
        engine: its address; empty when it attaches later.
        parent: process whose end means that the engine has died, by default the one that started this process.
        caller: the engine, when this process was started early and it has taken it.
    """
    # The first line on stdout is the port and nothing else: what a plugin or its libraries print goes to stderr.
    port_file = os.fdopen(os.dup(1) if caller is None else os.dup(caller.answer), "w")
    os.dup2(2, 1)
    sys.setswitchinterval(SWITCH_S)
    tell_command()
    asyncio.Runner().run(_serve(provider, engine, port_file, os.getppid() if parent is None else parent, caller))
    # The runner is not closed: that waits for threads, and those that wait for a platform may never end.
    sys.stderr.flush()
    os._exit(0)


def engine_address(arguments: Sequence[str]) -> str:
    """The engine's address among the arguments; empty when it attaches later."""
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in ("--tracing", "-tracing"):
            skip = True
        elif not argument.startswith("-"):
            return "" if Path(argument).is_dir() else argument
    return ""


def framework_types() -> list[Any]:
    """Resource types of the framework itself, served beside each plugin's own."""
    from provision.addressing import AddressPlan  # late: not every start of a plugin needs it

    return [AddressPlan]


async def _serve(provider: Provider[Any, Any], engine: str, port_file: Any, parent: int, caller: Caller | None) -> None:
    servicer = PluginServicer(provider, framework_types)
    server = grpc.aio.server(options=CHANNEL_OPTIONS)
    guarding.serve(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    if engine:
        await servicer.attach(engine)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        # A terminal sends Ctrl-C to all processes in front. Only after the engine's own Cancel it means the end.
        if servicer.cancelled.is_set():
            ended.set()

    loop.add_signal_handler(signal.SIGINT, interrupted)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    if caller is not None:
        caller.when_gone(loop, ended)
    print(port, file=port_file, flush=True)
    port_file.close()
    gc.freeze()  # what is there now stays
    gc.enable()
    lives = caller.lives if caller is not None else lambda: os.getppid() == parent
    watcher = loop.create_task(_watch(lives, ended, servicer)) if engine else None
    await ended.wait()
    orphan = watcher is not None and watcher.done()
    if caller is not None and not orphan:  # the engine can kill the shim alone
        loop.call_later(KILLED_S, os._exit, 1)
    await server.stop(ORPHAN_GRACE_S if orphan else GRACE_S)
    await servicer.close()


async def _watch(lives: Callable[[], bool], ended: asyncio.Event, servicer: PluginServicer) -> None:
    """End when the engine is gone."""
    # Asked, not told: a death signal from the kernel follows the engine's thread, not its process.
    while lives():
        await asyncio.sleep(1)
    servicer.calls.cancel()
    ended.set()
