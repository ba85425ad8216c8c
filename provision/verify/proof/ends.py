"""The addresses of a stack: who has which, and which are nobody's."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from ipaddress import ip_network

from provision.models import Stack
from provision.packets.sets import Address, Prefix
from provision.spi import NicAddress
from provision.translate.instances import instances
from provision.verify.endpoints import host_endpoint
from provision.verify.routes import has_host

_prefix = lru_cache(1 << 16)(ip_network)
"""The same object for the same text: sets of addresses are compared by it when a proof is made again."""


@dataclass(frozen=True)
class Ends:
    """The addresses of a stack.

    Attributes:
        stack: what the file says.
        addresses: per machine instance (`web-0`), its NICs in order.
        host_addresses: addresses of the hypervisor beyond the stack's networks, as far as they are known.
        here: networks of the location whose rules are looked at; None when the stack has but one.
    """

    stack: Stack
    addresses: Mapping[str, Sequence[NicAddress]]
    host_addresses: Sequence[str] = ()
    here: frozenset[str] | None = None

    def is_here(self, network: str) -> bool:
        """Whether a network is at the location whose rules are looked at."""
        return self.here is None or network in self.here

    @cached_property
    def nics(self) -> tuple[tuple[str, str, str, Prefix], ...]:
        """Every address of a machine: the entry in the file, the instance, the network, the address as a prefix."""
        found = []
        for instance in instances(self.stack):
            for nic in self.addresses.get(instance.name, ()):
                for text in (nic.ipv4, nic.ipv6):
                    if text:
                        found.append((instance.entry, instance.name, nic.network, _prefix(text)))
        return tuple(found)

    @cached_property
    def named(self) -> Mapping[str, Sequence[Prefix]]:
        """By entry in the file, and by instance where it is called otherwise, its addresses."""
        found: dict[str, list[Prefix]] = defaultdict(list)
        for entry, instance, _, address in self.nics:
            for name in {entry, instance}:
                found[name].append(address)
        return found

    @cached_property
    def gateways(self) -> Mapping[str, tuple[Prefix, ...]]:
        """By network, the host's own addresses on it."""
        found: dict[str, tuple[Prefix, ...]] = {}
        taken = {address for *_, address in self.nics}
        for name, network in self.stack.networks.items():
            end = host_endpoint(name, network)
            here = [ip_network(address) for address in (end.ipv4, end.ipv6) if address is not None]
            there = has_host(self.stack, name) and self.is_here(name)
            found[name] = tuple(one for one in here if one not in taken) if there else ()
        return found

    @cached_property
    def hosts(self) -> tuple[Prefix, ...]:
        """All addresses of the host."""
        near = [one for gateways in self.gateways.values() for one in gateways]
        return (*near, *(ip_network(text) for text in self.host_addresses))

    @cached_property
    def prefixes(self) -> tuple[Prefix, ...]:
        """All networks of the stack."""
        return tuple(
            one for network in self.stack.networks.values() for one in (network.cidr, network.cidr6) if one is not None
        )

    def of_machines(self, networks: Iterable[str]) -> list[Prefix]:
        """Addresses of machines on some networks."""
        wanted = set(networks)
        return [address for _, _, network, address in self.nics if network in wanted]

    def like(self, address: Address) -> tuple[Prefix, ...]:
        """Addresses of the same end: one difference with any of them is enough to tell."""
        whole = ip_network("0.0.0.0/0" if address.version == 4 else "::/0")
        return next(((one,) for *_, one in self.nics if address in one), (whole,))

    def name(self, address: Address) -> str:
        """Who has an address."""
        for _, instance, network, prefix in self.nics:
            if address in prefix:
                return f"{instance} on {network}" if len(self.addresses[instance]) > 1 else instance
        if any(address in one for one in self.hosts):
            return "host"
        return next(
            (f"no machine on {name}" for name, network in self.stack.networks.items()
             if any(one is not None and address in one for one in (network.cidr, network.cidr6))),
            "outside",
        )  # fmt: skip
