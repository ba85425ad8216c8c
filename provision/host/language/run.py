"""One run: the stack file is read, negotiated, translated and registered; what is wrong is told to the engine once."""

import asyncio
import gc
import sys
from collections.abc import Mapping
from typing import Any

from provision.diagnostics import Severity
from provision.host.deploying.configuration import FRAMEWORK
from provision.host.deploying.explain import explain
from provision.host.deploying.monitor import EngineStopped, Monitor, Options, Registered
from provision.host.deploying.stack import Site, StackRun, downgrades, secret_text, state_name, unresolved
from provision.host.deploying.wire import wire_value
from provision.host.language.settings import Settings, settings
from provision.host.watching import tell_command
from provision.loader import Loaded, load, reference_stacks
from provision.translate.recorded import ISOLATION, record


async def run(request: Any, engine_address: str) -> bool:
    """Do what `request` asks; False when it failed, and then the person has been told why."""
    tell_command()
    asked = settings(request)
    monitor = Monitor(asked.monitor, engine_address, preview=asked.preview)
    try:
        return await _Run(asked, monitor).run()
    except EngineStopped:
        return False
    except Exception as error:
        try:
            await monitor.log(Severity.ERROR, explain(error))
        except EngineStopped:
            print(explain(error), file=sys.stderr)
        return False
    finally:
        await monitor.close()


class _Run:
    def __init__(self, asked: Settings, monitor: Monitor) -> None:
        self._asked = asked
        self._monitor = monitor
        self._root: Registered | None = None

    async def run(self) -> bool:
        asked = self._asked
        loaded = await self._load()
        name = state_name(asked.organization, asked.project, asked.stack)
        site = Site(asked.project, asked.stack, asked.preview, asked.parallel, asked.config, state=name)
        stack = StackRun(self._monitor, site, loaded)
        agreed = await stack.agree()
        gc.freeze()  # all is imported, and stays
        gc.enable()
        root = await self._root_stack()
        component = await self._monitor.register(
            f"{FRAMEWORK}:index:Stack", asked.project, {}, Options(custom=False, parent=root.urn)
        )
        made = await stack.deploy(agreed, component)
        if made.fine:
            said = {
                "platform": agreed[0].provider.name,
                "downgrades": downgrades(agreed),
                ISOLATION: record(loaded.stack),
            }
            await self._monitor.finish(component.urn, said)
            await self._monitor.finish(root.urn, wire_value(made.outputs, unresolved))
        return made.fine

    async def _load(self) -> Loaded:
        asked = self._asked
        overlay, values = asked.stack, asked.parameters
        wanted = await asyncio.to_thread(reference_stacks, asked.path, overlay, values=values)
        references: dict[str, Mapping[str, Any]] = {}
        for name, stack in wanted.items():
            root = await self._root_stack()
            found = await self._monitor.stack_outputs(stack, root.urn)
            references[name] = {key: secret_text(value) for key, value in found.items()}
        return await asyncio.to_thread(
            load, asked.path, overlay=overlay, values=values, references=references, platform=asked.platform
        )

    async def _root_stack(self) -> Registered:
        if self._root is None:
            name = f"{self._asked.project}-{self._asked.stack}"
            self._root = await self._monitor.register("pulumi:pulumi:Stack", name, {}, Options(custom=False))
        return self._root
