"""One stack on its way to the engine: agreed to by its platform, given addresses, translated and registered."""

import asyncio
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from provision.diagnostics import Diagnostic, DiagnosticSink, SourceMap
from provision.errors import PluginError, ProvisionError, UserError
from provision.host.deploying.configuration import (
    FRAMEWORK,
    Config,
    ConfigValue,
    ProviderConfig,
    provider_config,
    without_written,
)
from provision.host.deploying.deploy import Deployment, Inherited, Target
from provision.host.deploying.explain import without_count
from provision.host.deploying.foreseen import foreseen, translated
from provision.host.deploying.guardrails import assigned_addresses, keep_rules
from provision.host.deploying.losing import Held, Wanted, held, refuse_missing_disks, refuse_missing_machines, wanted
from provision.host.deploying.monitor import Monitor, Options, Registered
from provision.host.deploying.wire import wire_inputs, with_unknowns
from provision.host.permission import ALLOW_DESTROY, permission
from provision.host.plugin.configuration import ALLOWED, IDENTITY
from provision.host.values import UNKNOWN, SecretValue, contains_secret, plain
from provision.loader import Loaded, render
from provision.loader.rule_files import CONFIGURED as RULES
from provision.spi import Capabilities, Output, Provider, has_unknown, registry
from provision.translate import (
    AddressPlan,
    Agreement,
    AssignedAddress,
    PlacedStack,
    Scope,
    address_inputs,
    agreements,
    allocate,
    at_once,
    capabilities_of,
    place,
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
        state: full name of the Pulumi stack whose state holds what was made; empty when nothing was.
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
    state: str = ""


@dataclass(frozen=True)
class Negotiated(Agreement):
    """One location whose platform has agreed, with the configuration by which it was asked."""

    config: ProviderConfig


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
        self._held: Sequence[Held] = ()
        self._recorded: Mapping[str, AssignedAddress] = {}
        self._wanted: Mapping[str, Wanted] = {}
        self._permission = permission(_shown(site.config.get(FRAMEWORK, {}).get(ALLOW_DESTROY)))

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
        parts = place(self._loaded.stack, sink)
        await self._refuse_losses(parts)
        await self._keep_rules(urn)
        configs = [self._config(placed, parts) for placed in parts]
        found = await asyncio.to_thread(agree, parts, configs, sink)
        self._refuse_moves(found)
        await self.tell([*self._loaded.diagnostics, *sink], urn)
        return found

    async def _refuse_losses(self, parts: Sequence[PlacedStack]) -> None:
        """Refuse that machines with data leave the stack or their platform; no platform is asked for that.

        Raises:
            StackFileError: data would be lost.
        """
        site = self._site
        if site.state:
            recorded = await self._monitor.recorded(site.state)
            self._held = tuple(held(recorded, site.inherited.prefix))
            self._recorded = assigned_addresses(recorded, site.inherited.prefix)
        sink = DiagnosticSink(self._loaded.source_map)
        refuse_missing_machines(self._held, wanted(parts), self._permission, sink)

    async def _keep_rules(self, urn: str) -> None:
        """Refuse a stack that breaks rules of the organisation, and tell what they warn of.

        Raises:
            PolicyRefused: it breaks one.
            ProvisionError: the rules cannot be used.
        """
        configured = _shown(self._site.config.get(FRAMEWORK, {}).get(RULES))
        found, source_map = await asyncio.to_thread(keep_rules, self._loaded, configured, self._recorded)
        await self.tell(found, urn, source_map)

    def _refuse_moves(self, agreed: Sequence[Negotiated]) -> None:
        """The same, now that the platforms have said which very ones they are."""
        identities = {one.placed.location: one.capabilities.identity for one in agreed}
        self._wanted = wanted([one.placed for one in agreed], identities)
        sink = DiagnosticSink(self._loaded.source_map)
        refuse_missing_machines(self._held, self._wanted, self._permission, sink)

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
        if made.fine:
            made.fine = await self._make(agreed, component.urn, identity, made)
        return made

    async def tell(self, found: Iterable[Diagnostic], urn: str = "", source_map: SourceMap | None = None) -> None:
        """Show diagnostics to the person; `source_map` when they are not of the stack file alone."""
        for item in dict.fromkeys(found):
            text = without_count(render([item], source_map or self._loaded.source_map))
            # The engine puts the severity before the text.
            await self._monitor.log(item.severity, text.replace(f"{item.severity}: ", "", 1), urn)

    def _config(self, placed: PlacedStack, parts: Sequence[PlacedStack] = ()) -> ProviderConfig:
        """How the platform of a location is reached; `parts` are all locations."""
        provider = registry.load(placed.platform)
        package = f"{FRAMEWORK}-{provider.name}"
        shared = sum(other.platform == placed.platform for other in parts) > 1
        from_file: Mapping[str, Any] = {}
        if package in self._site.providers:
            if shared:
                raise UserError(
                    f"one provider of '{package}' is given, and the stack has several locations on '{provider.name}'",
                    "give none: each location has its own under 'locations:'",
                )
            configured = dict(self._site.provider_settings[package])
        else:
            from_file = placed.config
            configured = {**self._site.config.get(package, {}), **self._site.settings}
            configured = configured_for(placed, parts, configured, provider)
        if has_unknown(plain(configured)):
            names = ", ".join(sorted(key for key, value in configured.items() if has_unknown(plain(value))))
            raise ContentUnknown(f"how to reach the platform '{provider.name}' ({names})")
        given = {key: _hidden(value) for key, value in configured.items()}
        return provider_config(provider, from_file, given)

    async def _make(self, agreed: Sequence[Negotiated], parent: str, identity: Registered, made: Made) -> bool:
        """Make what belongs to all locations, and add to `made` what became of it; False when something failed."""
        site, source_map = self._site, self._loaded.source_map
        scope = Scope(site.project, site.stack, str(self._loaded.directory))
        ahead = asyncio.create_task(asyncio.to_thread(foreseen, agreed, self._recorded, scope, source_map))
        begun = await asyncio.gather(*(self._begin(location, parent, scope) for location in agreed))
        if any(item is None for item in begun):
            return False
        assigned = {key: value for item in begun if item is not None for key, value in item[1].items()}
        guess = await ahead
        if guess is None or guess.assigned != assigned:
            guess = await asyncio.to_thread(translated, agreed, assigned, scope, source_map)
        done = guess.whole
        await self.tell(guess.sink)
        refuse_missing_disks(self._held, self._wanted, done.graph.nodes, self._permission, guess.sink)
        targets = {one.placed.location: item[0] for one, item in zip(agreed, begun, strict=True) if item is not None}
        deployment = Deployment(
            self._monitor,
            with_unknowns(done.graph, site.unknown) if site.unknown else done.graph,
            targets={name: targets[location] for name, location in done.at.items()},
            parent=parent,
            stack_id=identity,
            parallel=site.parallel,
            inherited=site.inherited,
        )
        if not await deployment.run():
            return False
        made.outputs.update(done.outputs)
        made.machines.update(deployment.component_outputs("Machine"))
        made.last += deployment.last()
        return True

    async def _begin(
        self, location: Negotiated, parent: str, scope: Scope
    ) -> tuple[Target, Mapping[str, AssignedAddress]] | None:
        """The provider and the addresses of one location; None when one of them failed."""
        placed, package = location.placed, f"{FRAMEWORK}-{location.provider.name}"
        reference = await self._provider(location, parent, package)
        if reference is None:
            return None
        inputs = address_inputs(placed.stack, scope, location.provider)
        prefix = self._site.inherited.prefix
        plan = await self._monitor.register(
            f"{package}:{AddressPlan.token}",
            f"{prefix}{placed.named('addresses')}",
            wire_inputs(AddressPlan.Inputs, inputs.model_dump(exclude_none=True), unresolved),
            Options(
                parent=parent,
                provider=reference,
                aliases=[f"{prefix}{name}" for name in placed.former("addresses")],
            ),
        )
        if plan.failed:
            return None
        recorded = plain(plan.outputs.get("assigned"))
        if isinstance(recorded, dict):
            assigned = {key: AssignedAddress.model_validate(value) for key, value in recorded.items()}
        elif plan.unknown:  # left out of a targeted run: it would be given these
            assigned, _ = allocate(inputs, {})
        else:
            raise PluginError(f"the address plan of '{package}' came back without addresses", "report this")
        return Target(package, reference, "" if plan.unknown else plan.urn), assigned

    async def _provider(self, location: Negotiated, parent: str, package: str) -> str | None:
        """The reference of the provider resource, which is made unless one is given; None when it failed."""
        given = self._site.providers.get(package)
        if given is not None:
            return given
        identity = location.capabilities.identity
        provider = await self._monitor.register(
            f"pulumi:providers:{package}",
            # A name that begins with "default" would make the engine take it for a provider of its own making.
            f"{self._site.inherited.prefix}locations/{location.placed.location}",
            {
                **location.config.inputs,
                **({IDENTITY: identity} if identity else {}),
                **({ALLOWED: allowed} if (allowed := list(self._permission.configured)) else {}),
            },
            Options(parent=parent),
        )
        return None if provider.failed else provider.reference


def agree(parts: Sequence[PlacedStack], configs: Sequence[ProviderConfig], sink: DiagnosticSink) -> list[Negotiated]:
    """Ask the platforms of all locations, at once, what they can do, and have them agree to the stack.

    Raises:
        ProvisionError: one cannot be reached, or does not agree.
    """
    asked = at_once(lambda item: ask(*item), list(zip(parts, configs, strict=True)))
    found = agreements(asked, sink)
    return [
        Negotiated(one.placed, one.provider, one.capabilities, one.decisions, config)
        for one, config in zip(found, configs, strict=True)
    ]


def ask(placed: PlacedStack, config: ProviderConfig) -> tuple[PlacedStack, Provider[Any, Any], Capabilities]:
    """Ask one platform what it can do.

    Raises:
        ProvisionError: it cannot be reached.
    """
    provider = registry.load(placed.platform)
    try:
        session = provider.connect(config.model)
        try:
            capabilities = capabilities_of(provider, session, placed.stack)
        finally:
            provider.disconnect(session)
    except ProvisionError as error:
        mask = config.masker()
        error.summary, error.fix = mask(error.summary), mask(error.fix)
        if not placed.alone:
            error.summary = f"location '{placed.location}': {error.summary}"
        raise
    return placed, provider, capabilities


def configured_for(
    placed: PlacedStack, parts: Sequence[PlacedStack], configured: Mapping[str, Any], provider: Provider[Any, Any]
) -> dict[str, Any]:
    """What of a platform's configuration holds at a location.

    It wins over the file, but what is configured for a platform cannot tell several locations on it apart: there the
    file's own settings of each win.
    """
    if sum(other.platform == placed.platform for other in parts) < 2:
        return dict(configured)
    return without_written(configured, placed.config, provider)


def location_config(placed: PlacedStack, parts: Sequence[PlacedStack], config: Config) -> ProviderConfig:
    """How the platform of a location is reached, as a file and Pulumi's configuration say.

    Raises:
        UserError: a setting is unknown, does not fit, or is missing.
    """
    provider = registry.load(placed.platform)
    configured = config.get(f"{FRAMEWORK}-{provider.name}", {})
    return provider_config(provider, placed.config, configured_for(placed, parts, configured, provider))


def downgrades(agreed: Iterable[Negotiated]) -> dict[str, str]:
    """Why policies are not enforced, by policy."""
    return {name: decision.reason for item in agreed for name, decision in item.decisions.items() if decision.reason}


def state_name(organization: str, project: str, stack: str) -> str:
    """How the engine's backend calls a Pulumi stack of some project."""
    return "/".join(part for part in (organization, project, stack) if part)


def _shown(value: ConfigValue | None) -> str | None:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


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
