"""One run: the stack file is read, negotiated, translated and registered; what is wrong is told to the engine once."""

import asyncio
import secrets
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from provision.diagnostics import Diagnostic, DiagnosticSink, Severity
from provision.errors import PluginError, ProvisionError, StackFileError
from provision.host.language.deploy import Deployment
from provision.host.language.monitor import EngineStopped, Monitor, Options, Registered
from provision.host.language.settings import FRAMEWORK, ProviderConfig, Settings, provider_config, settings
from provision.host.language.wire import wire_inputs, wire_value
from provision.host.values import UNKNOWN, SecretValue, plain
from provision.loader import Loaded, load, reference_stacks, render
from provision.spi import Capabilities, Decision, Output, Provider, registry
from provision.translate import (
    AddressPlan,
    AssignedAddress,
    PlacedStack,
    Scope,
    address_inputs,
    allocate,
    negotiate,
    place,
    translate,
)


@dataclass(frozen=True)
class Negotiated:
    """One location whose platform has agreed to everything that will be made there."""

    placed: PlacedStack
    provider: Provider[Any, Any]
    config: ProviderConfig
    capabilities: Capabilities
    decisions: Mapping[str, Decision]


async def run(request: Any, engine_address: str) -> bool:
    """Do what `request` asks; False when it failed, and then the person has been told why."""
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


def explain(error: Exception) -> str:
    """What a person is told about an error; never a traceback, unless it is a defect of the product."""
    if isinstance(error, StackFileError):
        return f"{error.summary}\n{_without_count(render(error))}"
    if isinstance(error, ProvisionError):
        return str(error)
    where = "".join(traceback.format_tb(error.__traceback__, limit=-3))
    return f"this is a defect of provision, please report it: {type(error).__name__}\n{where}"


def _without_count(rendered: str) -> str:
    """The engine counts by itself."""
    return rendered.rstrip().rpartition("\n")[0]


class _Run:
    def __init__(self, asked: Settings, monitor: Monitor) -> None:
        self._asked = asked
        self._monitor = monitor
        self._root: Registered | None = None

    async def run(self) -> bool:
        asked = self._asked
        loaded = await self._load()
        sink = DiagnosticSink(loaded.source_map)
        # Everything that can be refused is refused here, before the engine hears of the first resource.
        agreed = [await asyncio.to_thread(agree, asked, placed, sink) for placed in place(loaded.stack, sink)]
        await self._tell([*loaded.diagnostics, *sink], loaded)
        root = await self._root_stack()
        component = await self._monitor.register(
            f"{FRAMEWORK}:index:Stack", asked.project, {}, Options(custom=False, parent=root.urn)
        )
        identity = await self._monitor.register(
            "pulumi:index:Stash",
            "stack-id",
            {"input": UNKNOWN if asked.preview else secrets.token_hex(16)},
            Options(parent=component.urn, ignore_changes=("input",)),
        )
        fine, outputs = not identity.failed, dict[str, Any]()
        for location in agreed if fine else ():
            ok, exported = await self._deploy(location, loaded, component.urn, identity)
            fine = fine and ok
            outputs.update(exported)
        if fine:
            downgrades = {n: d.reason for a in agreed for n, d in a.decisions.items() if d.reason}
            await self._monitor.finish(component.urn, {"platform": agreed[0].provider.name, "downgrades": downgrades})
            await self._monitor.finish(root.urn, wire_value(outputs, _unresolved))
        return fine

    async def _load(self) -> Loaded:
        asked = self._asked
        overlay, values = asked.stack, asked.parameters
        wanted = await asyncio.to_thread(reference_stacks, asked.path, overlay, values=values)
        references: dict[str, Mapping[str, Any]] = {}
        for name, stack in wanted.items():
            root = await self._root_stack()
            found = await self._monitor.stack_outputs(stack, root.urn)
            references[name] = {key: _secret_text(value) for key, value in found.items()}
        return await asyncio.to_thread(
            load, asked.path, overlay=overlay, values=values, references=references, platform=asked.platform
        )

    async def _root_stack(self) -> Registered:
        if self._root is None:
            name = f"{self._asked.project}-{self._asked.stack}"
            self._root = await self._monitor.register("pulumi:pulumi:Stack", name, {}, Options(custom=False))
        return self._root

    async def _tell(self, found: Iterable[Diagnostic], loaded: Loaded) -> None:
        for item in dict.fromkeys(found):
            text = _without_count(render([item], loaded.source_map))
            # The engine puts the severity before the text.
            await self._monitor.log(item.severity, text.replace(f"{item.severity}: ", "", 1))

    async def _deploy(
        self, location: Negotiated, loaded: Loaded, parent: str, identity: Registered
    ) -> tuple[bool, Mapping[str, Any]]:
        asked, stack = self._asked, location.placed.stack
        scope = Scope(asked.project, asked.stack, str(loaded.directory))
        package = f"{FRAMEWORK}-{location.provider.name}"
        provider = await self._monitor.register(
            f"pulumi:providers:{package}",
            # A name that begins with "default" would make the engine take it for a provider of its own making.
            f"locations/{location.placed.location}",
            location.config.inputs,
            Options(parent=parent),
        )
        if provider.failed:
            return False, {}
        inputs = address_inputs(stack, scope)
        plan = await self._monitor.register(
            f"{package}:{AddressPlan.token}",
            "addresses",
            wire_inputs(AddressPlan.Inputs, inputs.model_dump(exclude_none=True), _unresolved),
            Options(parent=parent, provider=provider.reference),
        )
        if plan.failed:
            return False, {}
        recorded = plain(plan.outputs.get("assigned"))
        if isinstance(recorded, dict):
            assigned = {key: AssignedAddress.model_validate(value) for key, value in recorded.items()}
        elif plan.unknown:  # left out of a targeted run: it would be given these
            assigned, _ = allocate(inputs, {})
        else:
            raise PluginError(f"the address plan of '{package}' came back without addresses", "report this")
        sink = DiagnosticSink(loaded.source_map)
        made = await asyncio.to_thread(
            translate, stack, location.provider, location.capabilities, location.decisions, assigned, scope, sink
        )
        await self._tell(sink, loaded)
        deployment = Deployment(
            self._monitor,
            made.graph,
            package=package,
            parent=parent,
            provider=provider.reference,
            stack_id=identity,
            parallel=asked.parallel,
        )
        return await deployment.run(), made.outputs


def agree(asked: Settings, placed: PlacedStack, sink: DiagnosticSink) -> Negotiated:
    """Ask one platform what it can do, and have it agree to the stack.

    Raises:
        ProvisionError: it cannot be reached, or does not agree.
    """
    provider = registry.load(placed.platform)
    config = provider_config(provider, placed.config, asked.config.get(f"{FRAMEWORK}-{provider.name}", {}))
    session = provider.connect(config.model)
    try:
        capabilities = provider.capabilities(session)
    finally:
        provider.disconnect(session)
    return Negotiated(placed, provider, config, capabilities, negotiate(placed.stack, provider, capabilities, sink))


def _secret_text(value: Any) -> Any:
    """Outputs of other stacks as the loader takes them."""
    if isinstance(value, SecretValue):
        return SecretStr(str(plain(value)))
    return value


def _unresolved(output: Output) -> Any:
    raise PluginError(f"a value refers to {output}, which is not known here", "report this to the plugin's author")
