"""What passes between two ends, by which policy: the relation of `Intent`, answered for all services at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from provision.models import PeerIsolationPolicy, Posture
from provision.translate.instances import selected
from provision.verify.endpoints import OUTSIDE, Endpoint, EndpointKind, Family
from provision.verify.intent import DEFAULT_ALLOW, Intent
from provision.verify.reach.services import EVERYTHING, ServiceSet
from provision.verify.routes import Way

Parts = tuple[tuple[str, ServiceSet], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What policies let pass from one end to another.

    Attributes:
        parts: services with the policy that lets them pass (or `default allow`, `services.NAME`); no service is in two.
        routed: whether the networks give it a way; without one nothing arrives, whatever policies say.
    """

    parts: Parts = ()
    routed: bool = True

    @property
    def services(self) -> ServiceSet:
        """All that policies let pass."""
        found = ServiceSet()
        for _, services in self.parts:
            found |= services
        return found


_NOTHING = Answer()


class Reach:
    """The relation of an `Intent`; answers are remembered for ends that are treated alike."""

    def __init__(self, intent: Intent) -> None:
        """Answer for the stack of `intent`."""
        self.intent = intent
        isolation = intent.stack.isolation
        self._open = isolation.default is Posture.ALLOW
        self._discovery = isolation.services.nd
        self._apart = [
            selected(intent.stack, policy.machines)
            for name, policy in isolation.policies.items()
            if isinstance(policy, PeerIsolationPolicy) and name not in intent.without
        ]
        self._services = [ServiceSet.of(rule.services) for rule in intent.rules]
        self._known: dict[tuple[int, bool, Family], Parts] = {}

    def alike(self, end: Endpoint) -> object:
        """Ends with equal keys are treated alike: as source, as destination, and by the networks."""
        nics = self.intent.machines.get(end.name, ()) if end.kind is EndpointKind.MACHINE else ()
        attached = tuple((nic.network, nic.ipv4 is not None, nic.ipv6 is not None) for nic in nics)
        entry = self._entry(end)
        return (
            end.kind,
            end.network,
            end.nic,
            end.ipv4 is not None,
            end.ipv6 is not None,
            attached,
            tuple(entry in entries for entries in self._apart),
            *(self.intent.speaking_of(end, family) for family in Family),
        )

    def between(self, source: Endpoint, destination: Endpoint, family: Family) -> Answer:
        """What passes from `source` to `destination`."""
        if source.address(family) is None or destination.address(family) is None:
            return _NOTHING
        if family is Family.V6 and not self._discovery:
            return _NOTHING
        way = self.intent.routes.way(source, destination, family)
        parts = self._decided(source, destination, family)
        if way is Way.HIDDEN and parts:
            seen = self.intent.hosts.get(destination.network)
            if self._home(source) != self._home(destination):
                seen = Endpoint(EndpointKind.OUTSIDE, OUTSIDE)
            if seen is not None:
                sent = Answer(parts).services  # the receiver's rules have the last word
                decided = self._decided(seen, destination, family)
                parts = tuple((why, both) for why, services in decided if (both := services & sent))
        return Answer(parts, way is not Way.NONE)

    def _decided(self, source: Endpoint, destination: Endpoint, family: Family) -> Parts:
        same = bool(source.network) and source.network == destination.network
        if same and self._kept_apart(source, destination):
            return ()
        both = self.intent.speaking_of(source, family)[0] & self.intent.speaking_of(destination, family)[1]
        key = (both, same, family)
        if key not in self._known:
            self._known[key] = tuple(self._parts(both, same, family))
        return self._known[key]

    def _parts(self, both: int, same: bool, family: Family) -> Sequence[tuple[str, ServiceSet]]:
        left, found = EVERYTHING[family], list[tuple[str, ServiceSet]]()
        for index, rule in enumerate(self.intent.rules):
            if not both >> index & 1 or (rule.same_network and not same):
                continue
            hit = left & self._services[index]
            if hit and rule.allow:
                found.append((rule.why, hit))
            left -= hit
        return [*found, (DEFAULT_ALLOW, left)] if self._open and left else found

    def _kept_apart(self, source: Endpoint, destination: Endpoint) -> bool:
        ends = {self._entry(source), self._entry(destination)}
        return any(ends <= entries for entries in self._apart)

    def _entry(self, end: Endpoint) -> str:
        instance = self.intent.instances.get(end.name) if end.kind is EndpointKind.MACHINE else None
        return instance.entry if instance else ""

    def _home(self, end: Endpoint) -> str:
        network = self.intent.stack.networks.get(end.network)
        return "" if network is None else self.intent.stack.home(network.location)
