"""The filter of a network: what holds on it for every machine, whatever policies say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provision.models import Internet, Posture, Stack
from provision.packets import Service
from provision_libvirt.translate import priorities as at
from provision_libvirt.translate.basis import leases
from provision_libvirt.translate.closing import METADATA
from provision_libvirt.translate.hostside import host_address
from provision_libvirt.translate.lookup import Places, SidedPolicy
from provision_libvirt.translate.services import Rule, prefix_attributes, rule, stateful, stateless

_DNS = (Service.parse("udp/53"), Service.parse("tcp/53"))
_TIME = (Service.parse("udp/123"),)
_IP = {4: "ip", 6: "ipv6"}
_ALL = {4: "all", 6: "all-ipv6"}


@dataclass(frozen=True)
class NetworkRules:
    """Makes the rules of the networks of one stack.

    Attributes:
        stack: what the file says.
        families: IP versions that machines may speak.
        policies: traffic policies that are carried out.
        places: every NIC of the stack.
        stepped: whether order or denials need steps of priorities.
    """

    stack: Stack
    families: Sequence[int]
    policies: Sequence[SidedPolicy]
    places: Places
    stepped: bool

    @property
    def _open(self) -> bool:
        return self.stack.isolation.default is Posture.ALLOW

    def of(self, name: str) -> Iterator[Rule]:
        """All rules of the filter of one network."""
        services = self.stack.isolation.services
        for family in self.families:
            prefix, host = self._prefix(name, family), host_address(self.stack, name, family)
            if prefix is None:
                continue
            if host is not None:
                if services.dhcp and family == 4:
                    yield from leases(host)
                yield from self._offered(host, family)
                if self._open:
                    yield from self._closed(name, host, family)
                if self.stack.networks[name].internet is not Internet.NONE and family == 4:
                    # Errors of the hypervisor's own routing ("fragmentation needed"); this layer knows no ICMP types.
                    yield rule("accept", "in", at.EXPLICIT, "ip", protocol="icmp", srcipaddr=host)
                if not self._open:
                    yield rule("drop", "in", at.CLOSED_HOST, _IP[family], srcipaddr=host)
            if self.stack.networks[name].internet is not Internet.NONE and family == 6:
                # Errors (RFC 4443), from wherever on the way they come.
                yield rule("accept", "in", at.NEEDED, "ipv6", protocol="icmpv6", type="1", typeend="4")
            if self._open:
                yield from self._opened(name, family, prefix)
                continue
            yield rule("accept", "in", at.INSIDE, _IP[family], **prefix_attributes("src", prefix))
            for other in self._spoken_to(name, family):
                gateway, far = host_address(self.stack, other, family), self._prefix(other, family)
                if gateway is not None:
                    yield rule("drop", "in", at.CLOSED_HOST, _IP[family], srcipaddr=gateway)
                if far is not None:
                    yield rule("accept", "in", at.INSIDE, _IP[family], **prefix_attributes("src", far))

    def _offered(self, host: str, family: int) -> Iterator[Rule]:
        """What the hypervisor offers on a network, and is switched on."""
        services = self.stack.isolation.services
        for service in (*(_DNS if services.dns else ()), *(_TIME if services.ntp else ())):
            yield from stateful(service, family, "out", host, at.EXPLICIT)
            yield from stateless(service, family, "out", host, at.EXPLICIT)

    def _closed(self, name: str, host: str, family: int) -> Iterator[Rule]:
        """With `default: allow`, what is not switched on stays closed all the same."""
        services = self.stack.isolation.services
        suffix = "-ipv6" if family == 6 else ""
        priority = at.CLOSED_SERVICES if self.stepped else at.EXPLICIT
        for wanted, ports in (
            (services.dhcp, (("udp", "67"), ("udp", "547"))),
            (services.dns, (("udp", "53"), ("tcp", "53"))),
            (services.ntp, (("udp", "123"),)),
        ):
            for protocol, port in () if wanted else ports:
                yield rule("drop", "out", priority, f"{protocol}{suffix}", dstipaddr=host, dstportstart=port)
        if family == 4 and not services.metadata and self.stack.networks[name].internet is not Internet.NONE:
            # No libvirt has one, but a hypervisor that is itself a machine of a cloud leads to the cloud's.
            yield rule("drop", "out", priority, "tcp", dstipaddr=METADATA, dstportstart="80", state="NEW")

    def _opened(self, name: str, family: int, prefix: str) -> Iterator[Rule]:
        """`default: allow`: everything passes, as far as the network's own way out goes."""
        internet = self.stack.networks[name].internet
        if self.stepped:
            yield rule("accept", "out", at.OPENED, _ALL[family])
        if internet is Internet.NONE:
            priority = at.CLOSED_SERVICES if self.stepped else at.CLOSED_HOST
            yield rule("drop", "out", priority, _ALL[family], match="no", **prefix_attributes("dst", prefix))
            yield rule("accept", "in", at.INSIDE, _IP[family], **prefix_attributes("src", prefix))
            return
        if internet is Internet.NAT:
            for other in self.stack.networks:
                far = self._prefix(other, family)
                if other != name and far is not None and self.stack.networks[other].internet is not Internet.ROUTED:
                    yield rule("drop", "in", at.CLOSED_HOST, _IP[family], **prefix_attributes("src", far))
        yield rule("accept", "in", at.INSIDE, _IP[family])

    def _spoken_to(self, name: str, family: int) -> list[str]:
        """Other networks from which packets are routed to this one because a policy speaks of both."""
        here = self.stack.networks[name].internet
        if here is Internet.NONE:
            return []
        found: set[str] = set()
        for policy in self.policies:
            if not policy.policy.allow:
                continue
            for one, other, answers in (
                (policy.sources, policy.destinations, True),
                (policy.destinations, policy.sources, False),
            ):
                if (here is Internet.NAT and not answers) or not self.places.on(one, name, family):
                    continue
                found |= {
                    far
                    for far in self.places.networks
                    if far != name
                    and self.stack.networks[far].internet is Internet.ROUTED
                    and self.places.on(other, far, family)
                }
        return sorted(found)

    def _prefix(self, name: str, family: int) -> str | None:
        network = self.stack.networks[name]
        found = network.cidr if family == 4 else network.cidr6
        return None if found is None else str(found)
