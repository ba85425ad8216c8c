"""Addresses: prefixes that do not overlap, and everything that has an address inside its prefix, once."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

from provision.diagnostics import Path
from provision.loader.checks.context import Context, makes
from provision.models import Machine, Network, Nic

Address: TypeAlias = IPv4Address | IPv6Address
Prefix: TypeAlias = IPv4Network | IPv6Network


def check_addresses(context: Context) -> None:
    """Report overlapping prefixes, and gateways, ranges and fixed addresses that do not fit or are given twice."""
    networks = context.stack.networks
    for key in ("cidr", "cidr6"):
        _overlaps(context, key)
    for name, network in networks.items():
        if context.known("networks", name):
            _network(context, name, network)
    _Fixed(context).check()


def _overlaps(context: Context, key: str) -> None:
    """Sorted by first address, a prefix overlaps another only if it begins inside the widest one before it."""
    by_location: dict[str, list[tuple[int, int, str]]] = {}
    for name, network in context.stack.networks.items():
        prefix: Prefix | None = network.cidr if key == "cidr" else network.cidr6
        if prefix is not None and context.known("networks", name, key) and context.known("networks", name, "location"):
            first = int(prefix.network_address)
            home = context.stack.home(network.location)
            by_location.setdefault(home, []).append((first, -(first + prefix.num_addresses - 1), name))
    order = {name: index for index, name in enumerate(context.stack.networks)}
    for entries in by_location.values():
        end, holder = -1, ""
        for first, last, name in sorted(entries, key=lambda item: (item[0], item[1], order[item[2]])):
            if first <= end:
                late, early = (name, holder) if order[name] > order[holder] else (holder, name)
                mine, other = (getattr(context.stack.networks[n], key) for n in (late, early))
                context.sink.error(
                    ("networks", late, key),
                    f"{mine} overlaps {other} of the network '{early}'",
                    "give every network of a location a prefix of its own",
                )
            if -last > end:
                end, holder = -last, name


def gateway_of(network: Network, version: int) -> Address | None:
    """The gateway of a network: the one that is written, else the first address of its prefix."""
    prefix: Prefix | None = network.cidr if version == 4 else network.cidr6
    written: Address | None = network.gateway if version == 4 else network.gateway6
    if written is not None or prefix is None:
        return written
    return prefix.network_address + 1 if prefix.num_addresses > 2 else None


def _network(context: Context, name: str, network: Network) -> None:
    at: Path = ("networks", name)
    pairs: list[tuple[str, str, Address | None, Prefix | None]] = [
        ("gateway", "cidr", network.gateway, network.cidr),
        ("gateway6", "cidr6", network.gateway6, network.cidr6),
    ]
    for key, prefix_key, gateway, prefix in pairs:
        if gateway is None:
            continue
        if prefix is None:
            context.sink.error(
                (*at, key),
                f"the network '{name}' has a '{key}' but no '{prefix_key}'",
                f"add '{prefix_key}:'",
            )
        else:
            _inside(context, (*at, key), f"the gateway {gateway}", gateway, prefix)
    dhcp = network.dhcp
    if dhcp.enabled and network.cidr is None:
        context.sink.error((*at, "dhcp"), f"the network '{name}' has DHCP but no 'cidr'", "add 'cidr:'", key=True)
    if dhcp.range is not None and network.cidr is not None:
        first, last = dhcp.range
        fits = [
            _inside(context, (*at, "dhcp", "range", index), f"the DHCP range's {end} address {address}", address,
                    network.cidr)
            for index, (end, address) in enumerate((("first", first), ("last", last)))
        ]  # fmt: skip
        gateway4 = gateway_of(network, 4)
        if first > last:
            context.sink.error(
                (*at, "dhcp", "range"),
                f"the DHCP range ends at {last}, before its beginning {first}",
                "swap the two",
            )
        elif all(fits) and isinstance(gateway4, IPv4Address) and first <= gateway4 <= last:
            context.sink.error(
                (*at, "dhcp", "range"),
                f"the DHCP range holds the gateway {gateway4}",
                "begin the range after it",
            )


def _inside(context: Context, path: Path, what: str, address: Address, prefix: Prefix) -> bool:
    if address not in prefix:
        context.sink.error(path, f"{what} is outside {prefix}", _range(prefix))
    elif prefix.num_addresses > 2 and address == prefix.network_address:
        context.sink.error(path, f"{what} is the address of the network itself", _range(prefix))
    elif prefix.version == 4 and prefix.num_addresses > 2 and address == prefix.broadcast_address:
        context.sink.error(path, f"{what} is the broadcast address", _range(prefix))
    else:
        return True
    return False


def _range(prefix: Prefix) -> str:
    if prefix.num_addresses <= 2:
        return f"use an address of {prefix}"
    last = prefix.broadcast_address - (1 if prefix.version == 4 else 0)
    return f"use an address from {prefix.network_address + 1} to {last}"


class _Fixed:
    """The fixed addresses of all NICs."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._taken: dict[tuple[str, object], tuple[str, Path]] = {}
        self._needed: dict[str, int] = {}

    def check(self) -> None:
        context = self._context
        for name, machine in context.stack.machines.items():
            for index, nic in enumerate(machine.nics):
                network = context.network_of(name, index)
                if network is None:
                    continue
                if not context.known("machines", name, "count"):
                    continue
                self._needed[nic.network] = self._needed.get(nic.network, 0) + machine.instances
                if context.known("machines", name, "nics", index):
                    at = ("machines", name, "nics", index)
                    self._nic(at, name, machine, nic, network)
        for name, needed in self._needed.items():
            self._capacity(name, needed)

    def _capacity(self, name: str, needed: int) -> None:
        network = self._context.stack.networks[name]
        if network.cidr is None and network.cidr6 is None:
            self._context.sink.error(
                ("networks", name),
                f"the network '{name}' has machines but no prefix to address them from",
                "add 'cidr:' or 'cidr6:'",
                key=True,
            )
        for key, prefix in (("cidr", network.cidr), ("cidr6", network.cidr6)):
            if prefix is None:
                continue
            edges = 2 if prefix.version == 4 else 1
            usable = prefix.num_addresses - edges - 1 if prefix.num_addresses > 2 else prefix.num_addresses
            if needed > usable:
                self._context.sink.error(
                    ("networks", name, key),
                    f"{prefix} has {usable} addresses for machines, and {needed} are needed",
                    "use a shorter prefix, or more networks",
                )

    def _nic(self, at: Path, name: str, machine: Machine, nic: Nic, network: Network) -> None:
        sink = self._context.sink
        self._addresses((*at, "address"), name, machine, nic.address, network.cidr, network, nic.network)
        self._addresses((*at, "address6"), name, machine, nic.address6, network.cidr6, network, nic.network)
        if nic.mac is None:
            return
        if machine.instances > 1:
            sink.error(
                (*at, "mac"),
                f"one MAC address for {machine.instances} machines ({makes(name, machine)})",
                "remove it: every machine gets one of its own",
            )
        elif int(nic.mac[1], 16) & 1:
            sink.error((*at, "mac"), f"{nic.mac} is a multicast address", "make its second digit even")
        else:
            self._take((*at, "mac"), nic.network, nic.mac, name)

    def _addresses(
        self,
        path: Path,
        name: str,
        machine: Machine,
        given: Address | list[IPv4Address] | list[IPv6Address] | None,
        prefix: Prefix | None,
        network: Network,
        network_name: str,
    ) -> None:
        if given is None:
            return
        sink = self._context.sink
        if prefix is None:
            key = "cidr6" if path[-1] == "address6" else "cidr"
            sink.error(path, f"the network '{network_name}' has no '{key}'", f"add '{key}:' to it, or remove this")
            return
        if isinstance(given, list):
            if machine.count is None:
                sink.error(path, f"a list of addresses, but '{name}' has no 'count'", "write one address")
                return
            if len(given) != machine.count:
                sink.error(
                    path,
                    f"{len(given)} addresses for {machine.count} machines",
                    f"write one address for each of {makes(name, machine)}",
                )
        elif machine.instances > 1:
            sink.error(
                path,
                f"one address for {machine.count} machines",
                f"write a list: one for each of {makes(name, machine)}",
            )
            return
        gateway = gateway_of(network, prefix.version)
        for index, address in enumerate(given if isinstance(given, list) else [given]):
            place = (*path, index) if isinstance(given, list) else path
            if not _inside(self._context, place, f"the address {address}", address, prefix):
                continue
            if address == gateway:
                sink.error(place, f"the address {address} is the gateway of '{network_name}'", _range(prefix))
                continue
            self._take(place, network_name, address, f"{name}-{index}" if machine.count is not None else name)

    def _take(self, path: Path, network: str, address: object, owner: str) -> None:
        holder = self._taken.setdefault((network, address), (owner, path))
        if holder[1] == path:
            return
        who = "this machine" if holder[0] == owner else f"the machine '{holder[0]}'"
        self._context.sink.error(
            path,
            f"{address} is given twice on '{network}': {who} has it already",
            "give every NIC an address of its own",
        )
