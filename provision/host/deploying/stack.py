"""One stack on its way to the engine: agreed to by its platform, given addresses, translated and registered."""

import asyncio
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from provision.diagnostics import Diagnostic, DiagnosticSink
from provision.errors import PluginError, ProvisionError
from provision.host.deploying.configuration import FRAMEWORK, Config, ProviderConfig, provider_config
from provision.host.deploying.deploy import Deployment, Inherited
from provision.host.deploying.explain import without_count
from provision.host.deploying.monitor import Monitor, Options, Registered
from provision.host.deploying.wire import wire_inputs, with_unknowns
from provision.host.values import UNKNOWN, SecretValue, contains_secret, plain
from provision.loader import Loaded, render
from provision.spi import Capabilities, Decision, Output, Provider, has_unknown, registry
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


class ContentUnknown(Exception):
    """What the stack consists of depends on values that only an update will know."""


@dataclass(frozen=True)
class Site:
    """Where a stack is to be made.

    Attributes:
        project: Pulumi project.
        stack: what the stack is called in names on the platform.
        preview: whether nothing is to be changed.
        parallel: how many resources the engine handles at once.
        config: what is configured, by namespace.
        providers: references of provider resources to be used, by package.
        provider_settings: what these are configured with, by package; may hold unknowns.
        settings: configuration of the platform that wins over all other.
        unknown: a text that stands, in texts of the stack, for what is not known yet; empty for none.
        inherited: what holds for every resource.
    """

    project: str
    stack: str
    preview: bool
    parallel: int
    config: Config
    providers: Mapping[str, str] = field(default_factory=dict)
    provider_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    unknown: str = ""
    inherited: Inherited = field(default_factory=Inherited)


@dataclass(frozen=True)
class Negotiated:
    """One location whose platform has agreed to everything that will be made there."""

    placed: PlacedStack
    provider: Provider[Any, Any]
    config: ProviderConfig
    capabilities: Capabilities
    decisions: Mapping[str, Decision]


@dataclass
class Made:
    """What became of a stack.

    Attributes:
        fine: whether everything was made.
        outputs: what the file exports.
        machines: outputs of the machines' components, by machine.
        last: URNs that whoever uses the stack has to depend on.
    """

    fine: bool
    outputs: dict[str, Any] = field(default_factory=dict)
    machines: dict[str, dict[str, Any]] = field(default_factory=dict)
    last: list[str] = field(default_factory=list)


class StackRun:
    """One stack in one run of the engine."""

    def __init__(self, monitor: Monitor, site: Site, loaded: Loaded) -> None:
        """Make `loaded` at `site`."""
        self._monitor = monitor
        self._site = site
        self._loaded = loaded

    async def agree(self, urn: str = "") -> list[Negotiated]:
        """Have the platform agree to the whole stack, and tell what is to be said of it.

        Everything that can be refused is refused here, before the engine hears of the first resource.

        Args:
            urn: what the messages are about.

        Raises:
            ProvisionError: a platform cannot be reached, or does not agree.
            ContentUnknown: how to reach it is not known in this preview.
        """
        sink = DiagnosticSink(self._loaded.source_map)
        found = []
        for placed in place(self._loaded.stack, sink):
            config = self._config(placed)
            found.append(await asyncio.to_thread(agree, placed, config, sink))
        await self.tell([*self._loaded.diagnostics, *sink], urn)
        return found

    async def deploy(self, agreed: Sequence[Negotiated], component: Registered) -> Made:
        """Register everything below `component`; `agreed` is what `agree` gave."""
        prefix = self._site.inherited.prefix
        identity = await self._monitor.register(
            "pulumi:index:Stash",
            f"{prefix}stack-id",
            {"input": UNKNOWN if self._site.preview else secrets.token_hex(16)},
            Options(parent=component.urn, ignore_changes=("input",)),
        )
        made = Made(not identity.failed)
        for location in agreed if made.fine else ():
            await self._at(location, component.urn, identity, made)
        return made

    async def tell(self, found: Iterable[Diagnostic], urn: str = "") -> None:
        """Show diagnostics to the person."""
        for item in dict.fromkeys(found):
            text = without_count(render([item], self._loaded.source_map))
            # The engine puts the severity before the text.
            await self._monitor.log(item.severity, text.replace(f"{item.severity}: ", "", 1), urn)

    def _config(self, placed: PlacedStack) -> ProviderConfig:
        provider = registry.load(placed.platform)
        package = f"{FRAMEWORK}-{provider.name}"
        from_file: Mapping[str, Any] = {}
        if package in self._site.providers:
            configured = dict(self._site.provider_settings[package])
        else:
            from_file = placed.config
            configured = {**self._site.config.get(package, {}), **self._site.settings}
        if has_unknown(plain(configured)):
            names = ", ".join(sorted(key for key, value in configured.items() if has_unknown(plain(value))))
            raise ContentUnknown(f"how to reach the platform '{provider.name}' ({names})")
        given = {key: _hidden(value) for key, value in configured.items()}
        return provider_config(provider, from_file, given)

    async def _at(self, location: Negotiated, parent: str, identity: Registered, made: Made) -> None:
        """Make what belongs to one location, and add to `made` what became of it."""
        site, inherited, stack = self._site, self._site.inherited, location.placed.stack
        scope = Scope(site.project, site.stack, str(self._loaded.directory))
        package = f"{FRAMEWORK}-{location.provider.name}"
        reference = await self._provider(location, parent, package)
        if reference is None:
            made.fine = False
            return
        inputs = address_inputs(stack, scope)
        plan = await self._monitor.register(
            f"{package}:{AddressPlan.token}",
            f"{inherited.prefix}addresses",
            wire_inputs(AddressPlan.Inputs, inputs.model_dump(exclude_none=True), unresolved),
            Options(parent=parent, provider=reference),
        )
        if plan.failed:
            made.fine = False
            return
        recorded = plain(plan.outputs.get("assigned"))
        if isinstance(recorded, dict):
            assigned = {key: AssignedAddress.model_validate(value) for key, value in recorded.items()}
        elif plan.unknown:  # left out of a targeted run: it would be given these
            assigned, _ = allocate(inputs, {})
        else:
            raise PluginError(f"the address plan of '{package}' came back without addresses", "report this")
        sink = DiagnosticSink(self._loaded.source_map)
        done = await asyncio.to_thread(
            translate, stack, location.provider, location.capabilities, location.decisions, assigned, scope, sink
        )
        await self.tell(sink)
        deployment = Deployment(
            self._monitor,
            with_unknowns(done.graph, site.unknown) if site.unknown else done.graph,
            package=package,
            parent=parent,
            provider=reference,
            stack_id=identity,
            parallel=site.parallel,
            inherited=inherited,
        )
        if not await deployment.run():
            made.fine = False
            return
        made.outputs.update(done.outputs)
        made.machines.update(deployment.component_outputs("Machine"))
        made.last += deployment.last()

    async def _provider(self, location: Negotiated, parent: str, package: str) -> str | None:
        """The reference of the provider resource, which is made unless one is given; None when it failed."""
        given = self._site.providers.get(package)
        if given is not None:
            return given
        provider = await self._monitor.register(
            f"pulumi:providers:{package}",
            # A name that begins with "default" would make the engine take it for a provider of its own making.
            f"{self._site.inherited.prefix}locations/{location.placed.location}",
            location.config.inputs,
            Options(parent=parent),
        )
        return None if provider.failed else provider.reference


def agree(placed: PlacedStack, config: ProviderConfig, sink: DiagnosticSink) -> Negotiated:
    """Ask one platform what it can do, and have it agree to the stack.

    Raises:
        ProvisionError: it cannot be reached, or does not agree.
    """
    provider = registry.load(placed.platform)
    try:
        session = provider.connect(config.model)
        try:
            capabilities = provider.capabilities(session)
        finally:
            provider.disconnect(session)
    except ProvisionError as error:
        mask = config.masker()
        error.summary, error.fix = mask(error.summary), mask(error.fix)
        raise
    return Negotiated(placed, provider, config, capabilities, negotiate(placed.stack, provider, capabilities, sink))


def downgrades(agreed: Iterable[Negotiated]) -> dict[str, str]:
    """Why policies are not enforced, by policy."""
    return {name: decision.reason for item in agreed for name, decision in item.decisions.items() if decision.reason}


def secret_text(value: Any) -> Any:
    """Outputs of other stacks as the loader takes them."""
    if isinstance(value, SecretValue):
        return SecretStr(str(plain(value)))
    return value


def unresolved(output: Output) -> Any:
    """For values that cannot refer to outputs.

    Raises:
        PluginError: always.
    """
    raise PluginError(f"a value refers to {output}, which is not known here", "report this to the plugin's author")


def _hidden(value: Any) -> Any:
    """Settings as they are configured: what is secret as a `SecretStr`."""
    if isinstance(value, SecretStr):
        return value
    bare = plain(value)
    if contains_secret(value):
        return SecretStr(bare if isinstance(bare, str) else json.dumps(bare))
    return bare
