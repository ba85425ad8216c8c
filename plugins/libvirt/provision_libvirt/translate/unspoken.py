"""Addresses that are neither a machine's nor meant by any policy that allows something.

Frames of them that look like answers are stopped, where a policy opens the rest of what is beyond the stack.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from provision.models import Stack
from provision.spi.peers import PeerSet
from provision_libvirt.translate.closing import inside, own_addresses
from provision_libvirt.translate.lookup import SidedPolicy
from provision_libvirt.translate.prefixes import not_public


@dataclass(frozen=True)
class Unspoken:
    """What a stack's policies leave out.

    Attributes:
        stack: what the file says.
        policies: the traffic policies that are carried out.
        further: addresses of the hypervisor beyond the stack's networks.
        elsewhere: prefixes of the stack's networks on other hypervisors.
    """

    stack: Stack
    policies: Sequence[SidedPolicy]
    further: Sequence[str]
    elsewhere: Sequence[str]

    def beside(self, peers: PeerSet, family: int) -> tuple[str, ...]:
        """Addresses that are not among peers of which `outside` or `internet` is one, nor among any others."""
        allowing = [one for policy in self.policies if policy.policy.allow
                    for one in (policy.sources, policy.destinations)]  # fmt: skip
        written = [text for one in allowing for text in one.cidrs(family)]
        hosts = own_addresses(self.stack, family, self.further)
        if any(one.host for one in allowing) or any(_holds(text, hosts) for text in written):
            hosts = ()
        if any(one.outside for one in (*allowing, peers)):
            return hosts
        meant = () if hosts else tuple(self.further)
        known = inside(self.stack, family, meant, self.elsewhere)
        return (*hosts, *not_public(family, (*known, *written)))


def _holds(prefix: str, addresses: Sequence[str]) -> bool:
    return any(ip_address(address) in ip_network(prefix) for address in addresses)
