"""An in-memory network of probe channels whose behaviour follows a given relation."""

import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from provision.errors import PlatformError
from provision.models import Stack
from provision.packets import Protocol, Service
from provision.spi import DeployedMachine, Observation, Probe, Seen
from provision.verify.endpoints import Family, host_endpoint, nic_endpoints, outside_endpoint
from provision.verify.intent import Intent
from provision.verify.state import Assigned, DeployedStack

OUTSIDE_ADDRESSES = ("198.51.100.10", "2001:db8:ffff::10")
Relation = Callable[[str, Probe], bool]


@dataclass
class World:
    """Machines by address, what they listen on, and what passes between them."""

    passes: Relation
    owner: dict[str, str]
    hosts: frozenset[str] = frozenset()
    dead: dict[str, str] = field(default_factory=dict)
    deaf: frozenset[str] = frozenset()
    always: dict[str, Seen] = field(default_factory=dict)
    blocked: Seen = Seen.TIMEOUT
    failed_first: set[tuple[str, str, int]] = field(default_factory=set)
    lost_first: set[tuple[str, str, int]] = field(default_factory=set)
    dies_after: dict[str, int] = field(default_factory=dict)
    listening: dict[str, set[tuple[Protocol, int]]] = field(default_factory=dict)
    sent: list[tuple[str, Probe]] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    interrupt: str = ""
    by_signal: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def channel(self, name: str) -> "FakeChannel":
        if name in self.dead:
            raise PlatformError(self.dead[name])
        with self.lock:
            self.opened.append(name)
        return FakeChannel(self, name)

    def see(self, name: str, probe: Probe) -> Seen:
        with self.lock:
            self.sent.append((name, probe))
            if name in self.always:
                return self.always[name]
            key = (name, probe.address, probe.port)
            if key in self.failed_first:
                self.failed_first.discard(key)
                return Seen.FAILED
            if key in self.lost_first:
                self.lost_first.discard(key)
                return Seen.TIMEOUT
            target = self.owner.get(probe.address)
            if target != name and not self.passes(name, probe):
                return self.blocked
            if target is not None and self.dies_after.get(target, 1) <= 0:
                return Seen.TIMEOUT
            if probe.protocol in (Protocol.ICMP, Protocol.ICMPV6):
                return Seen.OPEN
            if target is not None and (probe.protocol, probe.port) in self.listening.get(target, set()):
                return Seen.OPEN
            return Seen.REFUSED


@dataclass
class FakeChannel:
    """One machine's channel."""

    world: World
    name: str

    def listen(self, services: Sequence[tuple[Protocol, int]]) -> None:
        if self.name not in self.world.deaf:
            self.world.listening.setdefault(self.name, set()).update(services)

    def run(self, probes: Sequence[Probe]) -> Sequence[Observation]:
        if self.name == self.world.interrupt:
            if not self.world.by_signal:
                raise KeyboardInterrupt
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        left = self.world.dies_after.get(self.name)
        if left is not None:
            if left <= 0:
                raise PlatformError("the guest went silent")
            self.world.dies_after[self.name] = left - 1
        return [Observation(probe, self.world.see(self.name, probe)) for probe in probes]

    def addresses(self) -> Sequence[str]:
        return OUTSIDE_ADDRESSES

    def close(self) -> None:
        with self.world.lock:
            self.world.closed.append(self.name)
            self.world.listening.pop(self.name, None)


@dataclass
class FakeProvider:
    """As much of a provider as verification uses."""

    world: World
    name: str = "pretend"
    has_outside: bool = True

    def probe_channel(self, session: Any, machine: DeployedMachine) -> FakeChannel:
        return self.world.channel(machine.name)

    def outside_channel(self, session: Any) -> FakeChannel | None:
        return self.world.channel("outside") if self.has_outside else None


def deployed_for(stack: Stack, **changes: Any) -> DeployedStack:
    """A deployed stack whose addresses are counted up from the tenth of each network."""
    from provision.translate.instances import instances

    assigned, count = {}, {}
    fixed = {str(nic.address) for machine in stack.machines.values() for nic in machine.nics}
    for instance in instances(stack):
        for nic, key in zip(instance.machine.nics, instance.nic_keys(), strict=True):
            network = stack.networks[nic.network]
            number = count.get(nic.network, 9) + 1
            while network.cidr and str(network.cidr[number]) in fixed:
                number += 1
            count[nic.network] = number
            assigned[key] = Assigned(
                "02:00:00:00:00:01",
                str(nic.address or network.cidr[number]) if network.cidr else None,
                str(network.cidr6[number]) if network.cidr6 else None,
            )
    machines = {i.name: DeployedMachine(i.name, ()) for i in instances(stack)}
    values: dict[str, Any] = {
        "project": "shop",
        "name": "dev",
        "platform": "pretend",
        "machines": machines,
        "assigned": assigned,
    }
    return DeployedStack(**(values | changes))


def following(stack: Stack, deployed: DeployedStack, **changes: Any) -> World:
    """A world that does exactly what the file says."""
    addresses = deployed.addresses(stack)
    intent = Intent(stack, addresses)
    owner, ends = {}, {}
    for name, nics in addresses.items():
        for end in nic_endpoints(name, nics):
            for family in Family:
                if (address := end.address(family)) is not None:
                    owner[str(address)], ends[str(address)] = name, end
    hosts = {}
    for name, network in stack.networks.items():
        end = host_endpoint(name, network)
        for family in Family:
            if (address := end.address(family)) is not None:
                hosts[str(address)] = end
    outside = outside_endpoint(OUTSIDE_ADDRESSES)
    for text in OUTSIDE_ADDRESSES:
        owner[text], ends[text] = "outside", outside

    def passes(name: str, probe: Probe) -> bool:
        family = Family(ip_address(probe.address).version)
        target = ends.get(probe.address) or hosts[probe.address]
        service = family.echo if not probe.port else Service(probe.protocol, probe.port, probe.port)
        if name == "outside":
            source = outside
        else:
            nic = intent.routes.source_nic(name, target, family)
            if nic is None:
                return False
            source = intent.machines[name][nic]
        return intent.allowed(source, target, service, family).allowed

    return World(passes, owner, frozenset(hosts), **changes)
