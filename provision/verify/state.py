"""What a deployed stack is, read from the state that `pulumi stack export` prints."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from provision.errors import UserError
from provision.models import Stack
from provision.models.stack import DEFAULT_LOCATION
from provision.spi import DeployedMachine, NativeState, NicAddress, Properties, ResourceType
from provision.translate import AssignedAddress
from provision.translate.instances import instances
from provision.translate.recorded import ISOLATION
from provision.verify.naming import by_python_name, snake

HIDDEN = "[secret]"
"""Stands wherever the state holds a secret: neither its text nor its ciphertext leaves this module."""

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"
_PROVIDER = "pulumi:providers:provision-"
_TOKEN = re.compile(r"^provision-(?P<platform>[a-z0-9-]+):(?P<token>[^:]+:[^:]+)$")
_ENGINE_INPUTS = frozenset({"version", "pluginDownloadURL", "parameterization"})


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """What the last update recorded of one policy."""

    name: str
    kind: str
    level: str
    verdict: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Assigned:
    """The addresses of one NIC, as the state keeps them."""

    mac: str = ""
    ipv4: str | None = None
    ipv6: str | None = None


@dataclass(frozen=True)
class DeployedLocation:
    """One location of a deployed stack.

    Attributes:
        platform: name of the provider plugin.
        provider_config: the plugin's configuration by Python name; secrets are `HIDDEN`.
        machines: names of the machines there.
        shared: native resources there that belong to no machine.
    """

    platform: str
    provider_config: Mapping[str, Any] = field(default_factory=dict)
    machines: frozenset[str] = frozenset()
    shared: tuple[NativeState, ...] = ()


@dataclass(frozen=True)
class DeployedStack:
    """A stack as it was last deployed.

    Attributes:
        project: Pulumi project.
        name: Pulumi stack.
        platform: name of the provider plugin, of the first location; empty when nothing was deployed.
        provider_config: the plugin's configuration there by Python name; secrets are `HIDDEN`.
        stack_id: the random identity of the stack, empty when it has none yet.
        machines: by name of instance.
        policies: by name.
        assigned: addresses by key of interface: `web-0/front`.
        shared: native resources that belong to no machine.
        locations: where it was made, by name; the first is `default`, if there is one.
        isolation: what its file said of isolation, as `provision.translate.record` keeps it; empty when the state
            does not say.
    """

    project: str = ""
    name: str = ""
    platform: str = ""
    provider_config: Mapping[str, Any] = field(default_factory=dict)
    stack_id: str = ""
    machines: Mapping[str, DeployedMachine] = field(default_factory=dict)
    policies: Mapping[str, PolicyRecord] = field(default_factory=dict)
    assigned: Mapping[str, Assigned] = field(default_factory=dict)
    shared: tuple[NativeState, ...] = ()
    locations: Mapping[str, DeployedLocation] = field(default_factory=dict)
    isolation: str = ""

    @property
    def has_default(self) -> bool:
        """Whether `platform` is that of what says no location."""
        return not self.locations or DEFAULT_LOCATION in self.locations

    def location_of(self, machine: str) -> str:
        """The location of a machine; empty when nobody knows, so that it is the only one."""
        return next((name for name, one in self.locations.items() if machine in one.machines), "")

    def part(self, location: str) -> "DeployedStack":
        """What is at one location; addresses are those of all."""
        one = self.locations[location]
        machines = {name: machine for name, machine in self.machines.items() if name in one.machines}
        return replace(
            self,
            platform=one.platform,
            provider_config=one.provider_config,
            machines=machines,
            shared=one.shared,
            locations={location: one},
        )

    def addresses(self, stack: Stack) -> Mapping[str, tuple[NicAddress, ...]]:
        """The NICs of each machine that is both in the file and deployed, in the order of the file."""
        return {
            instance.name: tuple(
                NicAddress(nic.network, given.mac, given.ipv4, given.ipv6)
                for nic, given in (
                    (nic, self.assigned.get(key, Assigned()))
                    for nic, key in zip(instance.machine.nics, instance.nic_keys(), strict=True)
                )
            )
            for instance in instances(stack)
            if instance.name in self.machines
        }

    @property
    def recorded(self) -> Mapping[str, AssignedAddress]:
        """The addresses as a translation takes those that interfaces have already."""
        return {
            key: AssignedAddress(mac=item.mac, ipv4=item.ipv4, ipv6=item.ipv6) for key, item in self.assigned.items()
        }

    @property
    def downgraded(self) -> tuple[PolicyRecord, ...]:
        """Policies that were not enforced because their author let them be `preferred`."""
        return tuple(policy for policy in self.policies.values() if policy.verdict == "downgrade")


@dataclass(frozen=True, slots=True)
class _Resource:
    urn: str
    type: str
    name: str
    parent: str
    id: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    provider: str = ""

    @property
    def location(self) -> str:
        """The last part of the name of the provider resource that made it."""
        return self.provider.rpartition("::")[0].rpartition("::")[2].rpartition("/")[2]


Types = Iterable[type[ResourceType[Any, Any, Any]]]


def read_state(export: Mapping[str, Any], resource_types: Types | Mapping[str, Types] = ()) -> DeployedStack:
    """Read an exported deployment.

    Args:
        export: the parsed JSON of `pulumi stack export`.
        resource_types: those of the plugin, or of several by platform, from which the Python names of properties are
            exact; without them names are converted by rule.

    Raises:
        UserError: when it is not an exported stack.
    """
    found = list(_resources(export))
    by_urn = {resource.urn: resource for resource in found}
    kinds = resource_types if isinstance(resource_types, Mapping) else {"": resource_types}
    models: dict[tuple[str, str], tuple[type[Properties], ...]] = {
        (where, kind.token): (kind.Inputs, kind.Outputs) for where, found_in in kinds.items() for kind in found_in
    }
    natives: dict[str, list[NativeState]] = {
        r.name.removeprefix("machines/"): [] for r in found if r.type == "provision:index:Machine"
    }
    assigned: dict[str, Assigned] = {}
    shared: list[tuple[str, NativeState]] = []
    at: dict[str, str] = {}
    configs: dict[str, tuple[str, Mapping[str, Any]]] = {}
    platform, stack_id, isolation = "", "", ""
    for resource in found:
        match = _TOKEN.match(resource.type)
        if resource.type.startswith(_PROVIDER):
            config = {snake(k): v for k, v in resource.inputs.items() if _is_setting(k)}
            configs[resource.name.rpartition("/")[2]] = (resource.type.removeprefix(_PROVIDER), config)
        elif resource.type == "provision:index:Stack":
            isolation = str(resource.outputs.get(ISOLATION, ""))
        elif resource.type == "pulumi:index:Stash" and resource.name == "stack-id":
            stack_id = str(resource.outputs.get("output", ""))
        elif match and match["token"] == "index:AddressPlan":
            platform = platform or match["platform"]
            assigned.update(_assigned(resource.outputs.get("assigned")))
        elif match:
            machine = _machine_of(resource, by_urn)
            token = match["token"]
            known = models.get((match["platform"], token)) or models.get(("", token), ())
            native = _native(resource, token, known)
            if machine is None:
                shared.append((resource.location, native))
            else:
                natives[machine].append(native)
                at[machine] = resource.location
    project, stack = _identity(found)
    locations = {
        name: DeployedLocation(
            kind,
            config,
            frozenset(machine for machine in natives if at.get(machine, name) == name),
            tuple(native for where, native in shared if where in (name, "")),
        )
        for name, (kind, config) in sorted(configs.items(), key=lambda item: item[0] != DEFAULT_LOCATION)
    }
    first = next(iter(locations.values()), DeployedLocation(platform))
    return DeployedStack(
        project,
        stack,
        first.platform,
        first.provider_config,
        stack_id,
        {name: DeployedMachine(name, tuple(parts)) for name, parts in natives.items()},
        {policy.name: policy for policy in _policies(found)},
        assigned,
        tuple(native for _, native in shared),
        locations,
        isolation,
    )


def plain(value: Any) -> Any:
    """A value of the state with every secret in it replaced by `HIDDEN`."""
    if isinstance(value, Mapping):
        if value.get(_SIGNATURE) == _SECRET:
            return HIDDEN
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def _resources(export: Mapping[str, Any]) -> Iterator[_Resource]:
    deployment = export.get("deployment", export)
    listed = deployment.get("resources", []) if isinstance(deployment, Mapping) else None
    if not isinstance(listed, list):
        raise UserError("this is not an exported stack", "give the output of 'pulumi stack export'")
    for item in listed:
        if not isinstance(item, Mapping) or item.get("delete"):
            continue  # an object that only waits for its removal is no part of the stack
        urn = str(item.get("urn", ""))
        yield _Resource(
            urn,
            str(item.get("type", "")),
            urn.rpartition("::")[2],
            str(item.get("parent", "")),
            str(item.get("id", "")),
            plain(item.get("inputs") or {}),
            plain(item.get("outputs") or {}),
            str(item.get("provider", "")),
        )


def _identity(found: Sequence[_Resource]) -> tuple[str, str]:
    """Project and stack, as every URN says them: `urn:pulumi:STACK::PROJECT::…`."""
    parts = found[0].urn.removeprefix("urn:pulumi:").split("::") if found else []
    return (parts[1], parts[0]) if len(parts) > 1 else ("", "")


def _is_setting(key: str) -> bool:
    return key not in _ENGINE_INPUTS and not key.startswith("__")


def _machine_of(resource: _Resource, by_urn: Mapping[str, _Resource]) -> str | None:
    """The machine whose component is above this resource, however far."""
    above = by_urn.get(resource.parent)
    while above is not None:
        if above.type == "provision:index:Machine":
            return above.name.removeprefix("machines/")
        above = by_urn.get(above.parent)
    return None


def _native(resource: _Resource, token: str, models: tuple[type[Properties], ...]) -> NativeState:
    outputs, inputs = (
        by_python_name({key: value for key, value in found.items() if not key.startswith("__")}, *models)
        for found in (resource.outputs, resource.inputs)
    )
    return NativeState(token, resource.name, resource.id, outputs, inputs, resource.urn)


def _policies(found: Iterable[_Resource]) -> Iterator[PolicyRecord]:
    for resource in found:
        if resource.type == "provision:index:Policy":
            words = {key: str(resource.outputs.get(key) or "") for key in ("kind", "level", "verdict", "reason")}
            yield PolicyRecord(resource.name.partition("/")[2] or resource.name, **words)


def _assigned(value: Any) -> Iterator[tuple[str, Assigned]]:
    for key, given in value.items() if isinstance(value, Mapping) else ():
        if isinstance(given, Mapping):
            yield key, Assigned(str(given.get("mac", "")), given.get("ipv4"), given.get("ipv6"))
