"""The process that waits: it loads what language host and resource plugins share, and forks."""

import asyncio
import contextlib
import gc
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, NoReturn

from provision.host.language.server import serve_standby
from provision.host.plugin import process as plugin
from provision.host.standby import LANGUAGE, resource
from provision.host.standby.waiting import Standby, given, say_nothing
from provision.spi import registry

_END_S = 6.0
"""How long resource plugins may take to end after the language host: more than they take by themselves."""


def main() -> NoReturn:
    """Wait for the engine, and end with it."""
    runs, platforms = "--run" in sys.argv, [word for word in sys.argv[1:] if word != "--run"]
    waiting = given()
    children = _forked(platforms, waiting)
    host = waiting[LANGUAGE]
    host.watch()
    asyncio.run(_serve(host, platforms if runs else None, children))
    os._exit(0)


def _forked(platforms: list[str], waiting: Mapping[str, Standby]) -> list[int]:
    """A process for each platform; one that cannot be loaded is left to the engine, which tells why."""
    providers: dict[str, Any] = {}
    for platform in platforms:
        with contextlib.suppress(Exception):
            providers[platform] = registry.load(platform)
    plugin.framework_types()
    gc.freeze()  # so that the collector of one process does not copy what it shares with the others
    children = []
    for platform, standby in ((platform, waiting[resource(platform)]) for platform in platforms):
        if platform in providers and len(os.listdir("/proc/self/task")) == 1:  # threads would be missing in a fork
            child = os.fork()
            if child == 0:
                _be_plugin(providers[platform], standby, [one for one in waiting.values() if one is not standby])
            standby.belongs_to(child)
            children.append(child)
        standby.close()
    return children


def _be_plugin(provider: Any, standby: Standby, others: list[Standby]) -> NoReturn:
    try:
        for other in others:
            other.close()
        standby.watch()
        plugin.stand_by(provider, standby)
    finally:  # never back into what the other process does
        os._exit(1)


async def _serve(host: Standby, platforms: list[str] | None, children: list[int]) -> NoReturn:
    """Serve the language host; `platforms` of the stack file that will be run, None when none will be."""
    await serve_standby(host, lambda: _load_run(platforms) if platforms is not None else None)
    say_nothing()
    host.close()  # the engine waits for what looks like this process, and need not wait for the others
    deadline = time.monotonic() + _END_S
    while children and time.monotonic() < deadline:
        children = [child for child in children if os.waitpid(child, os.WNOHANG)[0] == 0]
        await asyncio.sleep(0.01)
    # A run that was cancelled is abandoned here; ending the loop would print what became of it.
    os._exit(0)


def _load_run(platforms: list[str]) -> None:
    with contextlib.suppress(Exception):  # whatever is wrong is told by the run itself
        import provision.host.language.run  # noqa: F401 - it takes a while
    for platform in platforms:  # which is asked what it can do before anything else is done
        with contextlib.suppress(Exception):
            registry.load(platform).preload()
