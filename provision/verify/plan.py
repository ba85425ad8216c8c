"""The plan of a verification: every probe to send, with what the stack file expects of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from provision.models import Power
from provision.packets import Protocol, Service
from provision.spi import Probe
from provision.verify.endpoints import Endpoint, EndpointKind, Family
from provision.verify.expectation import Expectation
from provision.verify.intent import Intent, overlap
from provision.verify.pairs import MAX_PAIRS, Pairs, choose, kind
from provision.verify.services import Catalogue, catalogue
from provision.verify.sharing import Coverage, share

PROBE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class PlannedProbe:
    """One probe with its expectation."""

    expectation: Expectation
    probe: Probe


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that is not probed: how much of it, and why."""

    count: int
    what: str
    why: str


@dataclass(frozen=True)
class ProbePlan:
    """All that a verification is to do.

    Attributes:
        probes: by source: name of a machine, or `outside`.
        listeners: ports to answer on, by machine or `outside`.
        addresses: addresses of each machine, and of `outside`, that others probe or that it must hold.
        ports: the ports behind the plan.
        not_probed: machines that cannot be probed, with the reason.
        left_out: what was left out to keep the plan within bounds, or because no probe exists for it.
        rule: how pairs of machines were chosen.
        coverage: how far its probes stand for all between those pairs.
    """

    probes: Mapping[str, tuple[PlannedProbe, ...]]
    listeners: Mapping[str, tuple[tuple[Protocol, int], ...]]
    addresses: Mapping[str, tuple[Endpoint, ...]]
    ports: Catalogue
    not_probed: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    rule: str = ""
    coverage: Coverage = field(default_factory=Coverage)

    def __len__(self) -> int:
        """How many probes there are, without controls."""
        return sum(len(planned) for planned in self.probes.values())


def make_plan(
    intent: Intent,
    deployed: Sequence[str],
    outside: Endpoint | Mapping[str, Endpoint] | None = None,
    *,
    max_pairs: int = MAX_PAIRS,
    exhaustive: bool = False,
    seconds: float = PROBE_SECONDS,
    unable: Mapping[str, str] | None = None,
) -> ProbePlan:
    """Decide what to probe.

    Args:
        intent: what the file says.
        deployed: names of the machines that the last update made.
        outside: the peer beyond the stack's networks, None when the platform has none; where machines have different
            ones, that of each machine that has any.
        max_pairs: most ordered pairs of machines probed one by one.
        exhaustive: whether machines that are alike share nothing, and every packet goes between every two of them.
        seconds: how long each probe waits for an answer.
        unable: machines from which nothing can be sent, with the reason.
    """
    ports = catalogue(intent.stack)
    not_probed = dict(_unavailable(intent, deployed)) | dict(unable or {})
    usable = [name for name in intent.instances if name not in not_probed]
    pairs = choose(intent, usable, max_pairs)
    machines = pairs.machines if pairs.chosen else tuple(usable[:1])
    ends: dict[str, tuple[Endpoint, ...]] = {name: intent.machines[name] for name in machines}
    if isinstance(outside, Endpoint):
        outside = dict.fromkeys(machines, outside)
    peers = outside or {}
    ends |= {peer.name: (peer,) for peer in peers.values()}
    found: dict[str, list[PlannedProbe]] = {name: [] for name in ends}
    possible = list(_expectations(intent, ports, pairs, machines, peers))
    kinds = {name: kind(intent, name) for name in machines}
    sent = possible if exhaustive else share(possible, kinds)
    coverage = Coverage(len(sent), len(possible), len(machines), len(pairs.chosen))
    for expectation in sent:
        probe = Probe(expectation.service.protocol, expectation.address, _port(expectation.service), seconds)
        found[expectation.source.name].append(PlannedProbe(expectation, probe))
    listeners: dict[str, dict[tuple[Protocol, int], None]] = {
        name: {(service.protocol, service.first): None for service in ports.controls} for name in ends
    }
    for planned in found.values():
        for one in planned:
            if one.expectation.witness and one.probe.port:
                listeners[one.expectation.destination.name][one.probe.protocol, one.probe.port] = None
    return ProbePlan(
        {name: tuple(planned) for name, planned in found.items()},
        {name: tuple(wanted) for name, wanted in listeners.items()},
        ends,
        ports,
        not_probed,
        tuple(_left_out(ports, pairs, usable, machines, peers, coverage)),
        pairs.rule,
        coverage,
    )


def _unavailable(intent: Intent, deployed: Sequence[str]) -> Iterator[tuple[str, str]]:
    there = set(deployed)
    for name, instance in intent.instances.items():
        if instance.machine.power is Power.STOPPED:
            yield name, "the file says that it is stopped"
        elif name not in there:
            yield name, "it is not deployed yet: run 'provision up'"
        elif not any(nic.address(family) for nic in intent.machines[name] for family in Family):
            yield name, "it has no network interface with an address"
    for name in deployed:
        if name not in intent.instances:
            yield name, "it is deployed, but not in the file any more: run 'provision up'"


def _expectations(
    intent: Intent, ports: Catalogue, pairs: Pairs, machines: Sequence[str], peers: Mapping[str, Endpoint]
) -> Iterator[Expectation]:
    for source, destination in pairs.chosen:
        for end in intent.machines[destination]:
            yield from _from_machine(intent, ports, source, end)
    taken = {nic.address(family) for nics in intent.machines.values() for nic in nics for family in Family}
    for name in machines:
        for network in dict.fromkeys(nic.network for nic in intent.machines[name]):
            host = intent.hosts[network]
            if not taken & {host.ipv4, host.ipv6} - {None}:  # where the host is absent, a machine may have its address
                yield from _from_machine(intent, ports, name, host)
        if (outside := peers.get(name)) is not None:
            yield from _from_machine(intent, ports, name, outside)
            for end in intent.machines[name]:
                for family in Family:
                    yield from _services(intent, ports, outside, end, family)


def _from_machine(intent: Intent, ports: Catalogue, name: str, end: Endpoint) -> Iterator[Expectation]:
    nics = intent.machines[name]
    for family in Family:
        chosen = intent.routes.source_nic(name, end, family)
        able = [nic for nic in nics if nic.address(family)]
        source = next((nic for nic in able if nic.nic == chosen), able[0] if able else None)
        if source is not None:
            yield from _services(intent, ports, source, end, family)


def _services(
    intent: Intent, ports: Catalogue, source: Endpoint, end: Endpoint, family: Family
) -> Iterator[Expectation]:
    """Every service to try between two ends: named ports, neighbours of what is allowed, control ports and an echo."""
    if source.address(family) is None or end.address(family) is None:
        return
    witness = end.kind is not EndpointKind.HOST
    passing: set[Service] = set()
    for service in (*ports.points, *ports.controls, family.echo):
        verdict = intent.allowed(source, end, service, family)
        if verdict.allowed:
            passing.add(service)
        # The host's own services drop what they do not understand, so silence on its UDP ports would prove nothing.
        # Nor does it at others where all may pass: not every host says that a port is closed.
        control = service in ports.controls and not verdict.allowed
        if witness or service.protocol is not Protocol.UDP or control:
            yield Expectation(source, end, service, family, verdict, witness)
    allowed = [service for service in ports.ranges if any(overlap(service, one) for one in passing)]
    for service in ports.neighbours(allowed):
        if witness or service.protocol is not Protocol.UDP:
            yield Expectation(source, end, service, family, intent.allowed(source, end, service, family), witness)


def _left_out(
    ports: Catalogue,
    pairs: Pairs,
    usable: Sequence[str],
    machines: Sequence[str],
    peers: Mapping[str, Endpoint],
    coverage: Coverage,
) -> Iterator[LeftOut]:
    if coverage.shared:
        yield LeftOut(
            coverage.possible - coverage.sent,
            "probes",
            "machines that the file treats alike share what goes to and comes from their peers; --exhaustive sends all",
        )
    if pairs.left_out:
        yield LeftOut(pairs.left_out, "ordered pairs of machines", f"probed was {pairs.rule}")
    if len(machines) < len(usable):
        yield LeftOut(len(usable) - len(machines), "machines", "others of the same kind were probed for them")
    if ports.dropped:
        yield LeftOut(ports.dropped, "named ports", f"at most {len(ports.points)} are probed on each machine")
    if ports.unprobeable:
        names = ", ".join(map(str, ports.unprobeable))
        yield LeftOut(len(ports.unprobeable), "services", f"no probe can send {names}")
    udp = sum(point.protocol is Protocol.UDP for point in ports.points)
    if udp and usable:
        yield LeftOut(
            udp,
            f"UDP port{'' if udp == 1 else 's'} of the host",
            "nothing of ours answers there, and silence would prove nothing",
        )
    alone = len(usable) if not peers else sum(name not in peers for name in machines)
    if alone:
        yield LeftOut(2 * alone, "ways to or from outside", "there is no probing peer outside of the stack")


def _port(service: Service) -> int:
    return service.first if service.has_ports else 0
