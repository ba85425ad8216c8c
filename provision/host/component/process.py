"""The process: prints its port, serves the engine, ends with it."""

import asyncio
import contextlib
import os
import signal
import sys
from typing import Any

import grpc.aio

from provision.host import guarding
from provision.host.component.servicer import ComponentServicer
from provision.host.protocol import CHANNEL_OPTIONS

GRACE_S = 4.0
"""The engine kills a plugin five seconds after it asked it to end."""

_ORPHAN_CHECK_S = 1.0


def main() -> None:
    """Serve until the engine is done; never returns."""
    parent = os.getppid()  # before anything that takes time: the engine may die at any moment
    # The first line on stdout is the port and nothing else: what plugins or their libraries print goes to stderr.
    port_file = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    asyncio.Runner().run(_serve(_engine_address(sys.argv[1:]), port_file, parent))
    # The runner is not closed: that waits for threads, and those that wait for a platform may never end.
    sys.stderr.flush()
    os._exit(0)


def _engine_address(arguments: list[str]) -> str:
    """The engine's address among flags; empty when it says it in the handshake."""
    words = iter(arguments)
    for word in words:
        if word in ("--tracing", "-tracing"):
            next(words, None)
        elif not word.startswith("-"):
            return word
    return ""


async def _serve(engine: str, port_file: Any, parent: int) -> None:
    ended = asyncio.Event()
    servicer = ComponentServicer(engine)
    server = grpc.aio.server(options=CHANNEL_OPTIONS)
    guarding.serve(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        # A terminal sends Ctrl-C to all processes in front. Only after the engine's own Cancel it means the end.
        if servicer.cancelled:
            ended.set()

    loop.add_signal_handler(signal.SIGINT, interrupted)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    print(port, file=port_file, flush=True)
    port_file.close()
    # Asked, not told: a death signal from the kernel follows the engine's thread, not its process.
    while not ended.is_set() and (not engine or os.getppid() == parent):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _ORPHAN_CHECK_S)
    await server.stop(GRACE_S)
