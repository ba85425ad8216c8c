"""The intent of a stack as a reachability relation, from the models alone.

Written independently of every translation, so that a mistake there cannot hide here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from provision.models import PeerIsolationPolicy, Posture, Stack
from provision.packets import Protocol, Service
from provision.spi import NicAddress
from provision.translate.instances import instances, selected
from provision.verify.endpoints import OUTSIDE, Endpoint, EndpointKind, Family, host_endpoint, nic_endpoints
from provision.verify.index import SideIndex
from provision.verify.routes import Routes, Way
from provision.verify.rules import Rule, rules

DEFAULT_DENY = "default deny"
DEFAULT_ALLOW = "default allow"
NO_ROUTE = "no route"
NO_ADDRESS = "no address"
NO_DISCOVERY = "services.nd"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the stack file says of some packets; `why` is a policy's name or one of this module's constants."""

    allowed: bool
    why: str


class Intent:
    """Who may reach whom, as the file says it.

    Answers are for connections as a whole: replies to what is allowed pass. Each answer takes time in the number of
    policies that speak of both ends, whatever the number of machines.
    """

    def __init__(
        self, stack: Stack, addresses: Mapping[str, Sequence[NicAddress]], without: Collection[str] = ()
    ) -> None:
        """Index the stack.

        Args:
            stack: what the file says.
            addresses: per machine instance (`web-0`), its NICs in order.
            without: names of policies that are not enforced here because they were downgraded.
        """
        self.stack = stack
        self.without = frozenset(without)
        self.instances = {instance.name: instance for instance in instances(stack)}
        self.machines = {name: nic_endpoints(name, addresses.get(name, ())) for name in self.instances}
        self.hosts = {name: host_endpoint(name, network) for name, network in stack.networks.items()}
        self.routes = Routes(stack, self.machines)
        self.rules = rules(stack, without)
        self._default = (
            Verdict(True, DEFAULT_ALLOW) if stack.isolation.default is Posture.ALLOW else Verdict(False, DEFAULT_DENY)
        )
        self._apart = [
            (name, selected(stack, policy.machines))
            for name, policy in stack.isolation.policies.items()
            if isinstance(policy, PeerIsolationPolicy) and name not in without
        ]
        self._sources = SideIndex([rule.sources for rule in self.rules])
        self._destinations = SideIndex([rule.destinations for rule in self.rules])
        self._common: dict[int, tuple[Rule, ...]] = {}

    def allowed(self, source: Endpoint, destination: Endpoint, service: Service, family: Family) -> Verdict:
        """What the file says of packets of `service` from `source` to `destination`.

        A service of several ports is allowed only when one policy allows all of them and none before it denies any.
        """
        if source.address(family) is None or destination.address(family) is None:
            return Verdict(False, NO_ADDRESS)
        if service.protocol is family.other_echo:
            return Verdict(False, NO_ROUTE)
        way = self.routes.way(source, destination, family)
        if way is Way.NONE:
            return Verdict(False, NO_ROUTE)
        if family is Family.V6 and not self.stack.isolation.services.nd:
            return Verdict(False, NO_DISCOVERY)
        verdict = self._decide(source, destination, service, family)
        if way is Way.HIDDEN and verdict.allowed:
            # The receiver's filter sees the host's address, so it must also allow the host.
            seen = self.hosts.get(destination.network)
            if self._home(source) != self._home(destination):  # there it is the address of somebody outside
                seen = Endpoint(EndpointKind.OUTSIDE, OUTSIDE)
            return verdict if seen is None else self._decide(seen, destination, service, family)
        return verdict

    def speaking_of(self, endpoint: Endpoint, family: Family) -> tuple[int, int]:
        """Which rules speak of an endpoint as source and as destination; equal answers mean equal treatment."""
        entry = self._entry(endpoint)
        return self._sources.holding(endpoint, entry, family), self._destinations.holding(endpoint, entry, family)

    def _decide(self, source: Endpoint, destination: Endpoint, service: Service, family: Family) -> Verdict:
        closed = self.kept_apart(source, destination)
        if closed is not None:
            return Verdict(False, closed)
        for rule in self._speaking(source, destination, family):
            if rule.same_network and source.network != destination.network:
                continue
            if rule.allow and any(one.covers(service) for one in rule.services):
                return Verdict(True, rule.why)
            if not rule.allow and any(overlap(one, service) for one in rule.services):
                return Verdict(False, rule.why)
        return self._default

    def kept_apart(self, source: Endpoint, destination: Endpoint) -> str | None:
        """The policy by which two ends of one network see nothing of each other; None when there is none."""
        if not self._apart or not source.network or source.network != destination.network:
            return None
        ends = {self._entry(source), self._entry(destination)}
        return next((name for name, entries in self._apart if ends <= entries), None)

    def _home(self, endpoint: Endpoint) -> str:
        network = self.stack.networks.get(endpoint.network)
        return "" if network is None else self.stack.home(network.location)

    def _entry(self, endpoint: Endpoint) -> str:
        instance = self.instances.get(endpoint.name) if endpoint.kind is EndpointKind.MACHINE else None
        return instance.entry if instance else ""

    def _speaking(self, source: Endpoint, destination: Endpoint, family: Family) -> tuple[Rule, ...]:
        """The rules that speak of both ends, in order; sets of rules are numbers, a bit for each."""
        both = self._sources.holding(source, self._entry(source), family)
        both &= self._destinations.holding(destination, self._entry(destination), family)
        found = self._common.get(both)
        if found is None:
            found = tuple(rule for index, rule in enumerate(self.rules) if both >> index & 1)
            self._common[both] = found
        return found


def overlap(one: Service, other: Service) -> bool:
    """Whether some packet is of both services."""
    if Protocol.ANY in (one.protocol, other.protocol):
        return True
    return (
        one.protocol is other.protocol
        and one.number == other.number
        and one.first <= other.last
        and other.first <= one.last
        and (None in (one.kind, other.kind) or one.kind == other.kind)
        and (None in (one.code, other.code) or one.code == other.code)
    )
