"""A stack as rules see it: its models, and who can reach whom."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from provision.diagnostics import Path
from provision.models import Peer, PeerKind, Stack, TrafficPolicy
from provision.packets import ANY_SERVICE, Service
from provision.spi import NicAddress
from provision.verify.endpoints import Endpoint, EndpointKind, Family
from provision.verify.intent import DEFAULT_ALLOW, Intent
from provision.verify.reach import Class, Reach, ServiceSet, all_ends, classes, entry_of
from provision.verify.rules import Side

_ANY_VALUE = "*"


@dataclass(frozen=True, slots=True)
class Passing:
    """Packets that the file lets pass, told by one of them.

    Attributes:
        service: what it asks for.
        source: who sends it.
        destination: who gets it.
        family: version of IP.
        why: the policy that lets it pass, or `default allow`, or `services.NAME`.
        path: where the file says so.
        routed: whether the networks give it a way; without one it does not arrive, though policies would let it.
        pairs: how many pairs of ends are open to each other in the same way.
    """

    service: Service
    source: Endpoint
    destination: Endpoint
    family: Family
    why: str
    path: Path
    routed: bool
    pairs: int

    def __str__(self) -> str:
        """Such as `tcp/443 from internet (1.0.0.0) to pay-0 (10.20.1.5)`."""
        return f"{self.service} from {self._end(self.source)} to {self._end(self.destination)}"

    @property
    def by(self) -> str:
        """What lets it pass, in words."""
        if self.why == DEFAULT_ALLOW:
            return "'default: allow'"
        return f"isolation.{self.why}" if self.why.startswith("services.") else f"the policy '{self.why}'"

    def _end(self, end: Endpoint) -> str:
        address = end.address(self.family)
        public = end.kind is EndpointKind.OUTSIDE and address is not None and address.is_global
        return f"{'internet' if public else end} ({address})"


class StackView:
    """What a rule is checked on: the stack, and all that its isolation lets pass."""

    def __init__(self, stack: Stack, addresses: Mapping[str, Sequence[NicAddress]], peers: Iterable[Peer] = ()) -> None:
        """Look at a stack.

        Args:
            stack: what the file says.
            addresses: per machine instance (`web-0`), its NICs in order.
            peers: that rules speak of: prefixes among them are told apart from the rest of the world.
        """
        self.stack = stack
        self._intent = Intent(stack, addresses)
        self._reach = Reach(self._intent)
        self._prefixes = [peer.cidr for peer in peers if peer.cidr is not None]
        self._alike: dict[Endpoint, object] = {}
        self._said: dict[tuple[str, ServiceSet], list[tuple[Path, ServiceSet]]] = {}

    @cached_property
    def _ends(self) -> list[Endpoint]:
        return all_ends(self._intent, self._prefixes)

    def entries(self, peers: Iterable[Peer]) -> frozenset[str]:
        """Keys under `machines` that any of `peers` selects; `label.KEY=*` selects every value of a label."""
        return frozenset(name for peer in peers for name in self._entries(peer))

    def passing(
        self,
        sources: Sequence[Peer] | None,
        destinations: Sequence[Peer],
        services: Sequence[Service] = (ANY_SERVICE,),
        *,
        but: Sequence[Peer] = (),
    ) -> Iterator[Passing]:
        """What passes from one side to the other: for every policy that lets something pass, one packet.

        Args:
            sources: who sends; None for everybody.
            destinations: who receives.
            services: which services.
            but: senders that do not count.
        """
        asked = ServiceSet.of(services)
        found: dict[tuple[Path, bool], Passing] = {}
        for family in Family:
            senders = self._classes(sources, family, but)
            receivers = self._classes(destinations, family)
            for sender in senders:
                for receiver in receivers:
                    self._between(sender, receiver, family, asked, found)
        yield from found.values()

    def is_anybody(self, peers: Sequence[Peer]) -> bool:
        """Whether peers stand for anybody in this stack."""
        return any(self._classes(peers, family) for family in Family)

    def _between(
        self, sender: Class, receiver: Class, family: Family, asked: ServiceSet, found: dict[tuple[Path, bool], Passing]
    ) -> None:
        pair = sender.pair(receiver)
        if pair is None or EndpointKind.MACHINE not in (pair[0].kind, pair[1].kind):
            return
        answer = self._reach.between(*pair, family)
        pairs = sender.pairs(receiver)
        for why, services in answer.parts:
            for path, open_ in self._places(why, services & asked):
                key = (path, answer.routed)
                known = found.get(key)
                if known is None:
                    found[key] = Passing(open_.example(), *pair, family, why, path, answer.routed, pairs)
                elif known.family is family:
                    found[key] = replace(known, pairs=known.pairs + pairs)

    def _places(self, why: str, services: ServiceSet) -> Sequence[tuple[Path, ServiceSet]]:
        """Where the file lets services pass, each with those that it lets pass there."""
        key = (why, services)
        if key not in self._said:
            self._said[key] = [(path, part) for path, part in self._parts(why, services) if part]
        return self._said[key]

    def _parts(self, why: str, services: ServiceSet) -> Iterator[tuple[Path, ServiceSet]]:
        if why == DEFAULT_ALLOW:
            yield ("isolation", "default"), services
        elif why.startswith("services."):
            yield ("isolation", *why.split(".")), services
        else:
            policy = self.stack.isolation.policies[why]
            for index, one in enumerate(policy.allow if isinstance(policy, TrafficPolicy) else ()):
                part = services & ServiceSet.of([one])
                yield ("isolation", "policies", why, "allow", index), part
                services -= part

    def _classes(self, peers: Sequence[Peer] | None, family: Family, but: Sequence[Peer] = ()) -> list[Class]:
        side = None if peers is None else self._side(peers)
        not_side = self._side(but)

        def counts(end: Endpoint) -> bool:
            if end.address(family) is None:
                return False
            entry = entry_of(self._intent, end)
            return (side is None or side.holds(end, entry, family)) and not not_side.holds(end, entry, family)

        return classes(filter(counts, self._ends), self._key)

    def _key(self, end: Endpoint) -> object:
        if end not in self._alike:
            self._alike[end] = self._reach.alike(end)
        return self._alike[end]

    def _side(self, peers: Iterable[Peer]) -> Side:
        peers = list(peers)
        kinds = {peer.kind for peer in peers}
        return Side(
            self.entries(peers),
            frozenset(name for peer in peers for name in self._networks(peer)),
            tuple(peer.cidr for peer in peers if peer.cidr is not None),
            PeerKind.HOST in kinds,
            PeerKind.OUTSIDE in kinds,
            PeerKind.INTERNET in kinds,
        )

    def _entries(self, peer: Peer) -> Iterable[str]:
        if peer.kind is PeerKind.MACHINE:
            known = (*self.stack.machines, *self._intent.instances)
            return self.stack.machines if peer.name == "*" else [name for name in known if name == peer.name]
        if peer.kind is PeerKind.LABEL:
            return [name for name, machine in self.stack.machines.items() if _labelled(peer, machine.labels)]
        return ()

    def _networks(self, peer: Peer) -> Iterable[str]:
        if peer.kind is PeerKind.NETWORK:
            return [name for name in self.stack.networks if peer.name in ("*", name)]
        if peer.kind is PeerKind.LABEL:
            return [name for name, network in self.stack.networks.items() if _labelled(peer, network.labels)]
        return ()


def _labelled(peer: Peer, labels: Mapping[str, str]) -> bool:
    return peer.name in labels and peer.value in (_ANY_VALUE, labels[peer.name])
