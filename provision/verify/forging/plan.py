"""Which false senders to try: for every machine that a policy holds to its identity, and who is to watch."""

import enum
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from provision.models import AntiSpoofingPolicy
from provision.packets import Protocol, Service
from provision.spi import Frame, NicAddress
from provision.translate.instances import selected
from provision.verify.endpoints import Address, Endpoint, Family
from provision.verify.forging.frames import Station, announcement, packet
from provision.verify.intent import Intent
from provision.verify.plan import LeftOut, ProbePlan

NOBODY = "02:00:5e:00:53:00"
"""A MAC that no machine has: of those for documentation (RFC 7042), made local."""
_LOOK_AT = 1024  # so many addresses of a network are tried for one that nobody has
_ORDER = (Protocol.UDP, Protocol.ICMP, Protocol.ICMPV6, Protocol.TCP)  # the first asks the least of who gets it
_ALONE = "no other machine on their network could watch"
_NOBODY_ELSE = "no two machines on their network may send the same to a third, by which a false address would show"


class Claim(enum.StrEnum):
    """What a frame says of its sender."""

    MAC = "mac"
    IP = "ip"
    ARP = "arp"


@dataclass(frozen=True, slots=True)
class Forgery:
    """One false sender, and the same frame with the true one.

    Attributes:
        policy: that forbids it.
        claim: what is false.
        source: the network card that sends.
        witness: the network card that is to get it.
        family: version of IP of what is sent; of ARP that which it is about.
        false: the frame that is not to arrive.
        true: the frame that is to.
        marks: those of both.
        said: whom it claims to be, in words.
    """

    policy: str
    claim: Claim
    source: Endpoint
    witness: Endpoint
    family: Family
    false: Frame
    true: Frame
    marks: tuple[str, str]
    said: str


@dataclass(frozen=True)
class Forgeries:
    """All that are to be tried, and what is not."""

    chosen: tuple[Forgery, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def forgeries(intent: Intent, nics: Mapping[str, Sequence[NicAddress]], plan: ProbePlan) -> Forgeries:
    """What to try between the machines of a plan.

    The claimed MAC, and the address claimed in ARP, are those of nobody, so that a claim which passes misleads nobody.
    An address in a packet is that of a neighbour who may send the same: only then nothing else can stop it.
    """
    maker = _Maker(intent, nics, plan)
    found: list[Forgery] = []
    missing: Counter[str] = Counter()
    done: set[tuple[Endpoint, Claim]] = set()
    for name, policy in intent.stack.isolation.policies.items():
        if not isinstance(policy, AntiSpoofingPolicy) or name in intent.without:
            continue
        entries = selected(intent.stack, policy.machines)
        claims = [claim for claim in Claim if getattr(policy, claim.value)]
        for end in maker.ends:
            if intent.instances[end.name].entry in entries:
                for claim in (one for one in claims if (end, one) not in done):
                    done.add((end, claim))
                    for made in maker.of(name, end, claim):
                        if isinstance(made, str):
                            missing[made] += 1
                        else:
                            found.append(made)
    return Forgeries(tuple(found), not_tried(missing))


def not_tried(reasons: Counter[str]) -> tuple[LeftOut, ...]:
    """False senders that are not tried, counted by reason."""
    return tuple(LeftOut(count, f"false sender{'s' * (count > 1)}", why) for why, count in reasons.items())


class _Maker:
    """Frames from the network cards of a plan's machines."""

    def __init__(self, intent: Intent, nics: Mapping[str, Sequence[NicAddress]], plan: ProbePlan) -> None:
        self.ends = [end for name in plan.addresses if name in intent.machines for end in intent.machines[name]]
        self._intent = intent
        self._plan = plan
        self._macs = {end: nics[end.name][end.nic].mac for end in self.ends}
        self._near: dict[str, list[Endpoint]] = {}
        for end in self.ends:
            self._near.setdefault(end.network, []).append(end)
        self._free: dict[tuple[str, Family], Address | None] = {}

    def of(self, policy: str, end: Endpoint, claim: Claim) -> Iterator[Forgery | str]:
        """The forgeries of one card, each a reason where there can be none."""
        near = self._near[end.network]
        at = near.index(end)  # the next one watches, so that no machine watches for all
        witnesses = [
            other
            for other in (*near[at + 1 :], *near[:at])
            if other.name != end.name and not self._intent.kept_apart(end, other)
        ]
        for family in Family:
            if end.address(family) is None or (claim is not Claim.IP and family is Family.V6):
                continue
            able = [other for other in witnesses if other.address(family) is not None]
            if not able:
                yield _ALONE
            elif claim is Claim.IP:
                yield self._address(policy, end, able, family) or _NOBODY_ELSE
            else:
                yield self._announced(policy, end, able[0], claim)

    def _announced(self, policy: str, end: Endpoint, witness: Endpoint, claim: Claim) -> Forgery | str:
        own, to, marks = self._station(end, Family.V4), self._macs[witness], _marks()
        true = announcement(own, to, marks[1])
        if claim is Claim.MAC:
            false, said = announcement(own, to, marks[0], NOBODY), NOBODY
        else:
            claimed = self._unused(end.network)
            if claimed is None:
                return "their network has no address that nobody has"
            false, said = announcement(Station(own.mac, claimed), to, marks[0]), str(claimed)
        frames = Frame(own.mac, false), Frame(own.mac, true)
        return Forgery(policy, claim, end, witness, Family.V4, *frames, marks, said)

    def _address(self, policy: str, end: Endpoint, able: Sequence[Endpoint], family: Family) -> Forgery | None:
        for witness in able:
            for other in self._near[end.network]:
                if other.address(family) is None or other.name in (end.name, witness.name):
                    continue
                service = self._service(end, other, witness, family)
                if service is None:
                    continue
                own, to, marks = self._station(end, family), self._station(witness, family), _marks()
                claimed = other.address(family)
                assert claimed is not None
                false = packet(Station(own.mac, claimed), to, service, marks[0])
                true = packet(own, to, service, marks[1])
                said = f"{claimed} of {other.name}, with {service}"
                frames = Frame(own.mac, false), Frame(own.mac, true)
                return Forgery(policy, Claim.IP, end, witness, family, *frames, marks, said)
        return None

    def _service(self, one: Endpoint, other: Endpoint, to: Endpoint, family: Family) -> Service | None:
        """What both may send to a third."""
        known = [*self._plan.ports.controls, *self._plan.ports.points, family.echo]
        both = (
            service
            for service in sorted(known, key=lambda it: _ORDER.index(it.protocol))
            if all(self._intent.allowed(end, to, service, family).allowed for end in (one, other))
        )
        return next(both, None)

    def _station(self, end: Endpoint, family: Family) -> Station:
        address = end.address(family)
        assert address is not None
        return Station(self._macs[end], address)

    def _unused(self, network: str) -> Address | None:
        """An address of a network that nobody of the stack has, nor its hypervisor; from the end, where few are."""
        prefix = self._intent.stack.networks[network].cidr
        if prefix is None:
            return None
        taken = {end.ipv4 for nics in self._intent.machines.values() for end in nics}
        taken.add(self._intent.hosts[network].ipv4)
        last = prefix.num_addresses - 1
        return next((one for at in range(1, min(last, _LOOK_AT)) if (one := prefix[last - at]) not in taken), None)


def _marks() -> tuple[str, str]:
    return secrets.token_hex(4), secrets.token_hex(4)
