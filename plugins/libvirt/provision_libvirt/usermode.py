"""A user's own hypervisor (`qemu:///session`): what it can do without any right, and what it therefore cannot.

Its machines have user-mode networking: QEMU itself speaks for each of them to whatever its user can reach. There is no
bridge, so no machine reaches another, nothing reaches a machine, and packets could be filtered nowhere.
"""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from typing import Any

from provision.errors import UserError
from provision.models import Internet, Network, Posture, Stack
from provision.spi import ENFORCED, Capabilities, FeatureUse, NicAddress, Objection, Support, unsupported
from provision_libvirt.place import is_session

SESSION = "session"
_GATEWAY, _SERVER = 2, 3  # places in the prefix that QEMU's user-mode networking (libslirp) takes for itself
_LONGEST_PREFIX = 27  # libslirp's DHCP begins at the fifteenth address
_SYSTEM = "use a hypervisor of the system (qemu:///system, or qemu+ssh://HOST/system)"
_NO_FILTERS = "a user's own hypervisor (qemu:///session) has no packet filters: libvirt filters what bridges carry"
_NO_GROUPS = "a user's own hypervisor (qemu:///session) may make no control groups, by which the kernel limits machines"
_SERVICES = ("dhcp", "dns", "ntp", "metadata")
_IPV4 = "user-mode networking (qemu:///session) has IPv4 alone here"
_SERVERS = "the network of a user's own hypervisor (qemu:///session) is QEMU's own, whose servers cannot be set up"

_REFUSED: Mapping[str, tuple[str, str]] = {
    "isolation.policies.confinement": (
        "all machines of a user's own hypervisor (qemu:///session) run as that user, whose files they can reach",
        _SYSTEM,
    ),
    "isolation.policies.dedicated_cpus": (_NO_GROUPS, _SYSTEM),
    "isolation.policies.peer_isolation": ("a user's own hypervisor (qemu:///session) has no bridges", _SYSTEM),
    "machines.nics.address6": (_IPV4, "remove 'address6'"),
    "networks.cidr6": (_IPV4, f"remove 'cidr6', or {_SYSTEM}"),
    "networks.dhcp": (_SERVERS, "remove 'dhcp': machines get their addresses from their seed"),
    "networks.dns": (_SERVERS, "remove 'dns'"),
    "networks.domain": (_SERVERS, "remove 'domain'"),
    "networks.gateway6": (_IPV4, "remove 'gateway6'"),
    "networks.mtu": (_SERVERS, "remove 'mtu'"),
    "sharing.shares.cpu": (_NO_GROUPS, f"remove it, or {_SYSTEM}"),
    "sharing.shares.memory.maximum": (_NO_GROUPS, f"remove it, or {_SYSTEM}"),
    "sharing.shares.nic": ("a user may not limit the rate of network cards", f"remove it, or {_SYSTEM}"),
}


def is_user(capabilities: Capabilities) -> bool:
    """Whether these are the capabilities of a user's own hypervisor."""
    return capabilities.facts.get("mode") == SESSION


def facts(uri: str) -> dict[str, Any]:
    """What is so on every hypervisor of a user, whatever the system around it can do."""
    if not is_session(uri):
        return {"mode": "system"}
    return {
        "mode": SESSION,
        "nwfilter": False,
        "host_addresses": [],
        "closes_host": False,
        "cgroup_version": None,
        "cgroup_controllers": [],
        "shaping_missing": None,
        "may_lock_memory": False,
        "huge_pages_mounted": False,
    }


def answer(use: FeatureUse) -> Support | None:
    """Whether a field is enforced there; None when that depends on what it depends on everywhere."""
    parts = use.feature.split(".")
    if parts[:2] == ["isolation", "services"] and use.value is True:
        return ENFORCED  # it passes, wherever it may be offered
    found = (_REFUSED.get(".".join(parts[:end])) for end in range(len(parts), 0, -1))
    refused = next((one for one in found if one is not None), None)
    return None if refused is None else unsupported(*refused)


def no_filters() -> Support:
    """Why packets cannot be filtered there."""
    return unsupported(_NO_FILTERS, _SYSTEM)


def objections(stack: Stack) -> Iterator[Objection]:
    """What of a stack user-mode networking cannot give."""
    on: dict[str, list[str]] = {}
    for entry, machine in stack.machines.items():
        for nic in machine.nics:
            on.setdefault(nic.network, []).extend(machine.names(entry))
    if not on:
        return
    if stack.isolation.default is Posture.DENY:
        yield Objection(
            ("isolation",),
            f"isolation is 'deny' by default, but {_NO_FILTERS}",
            f"{_SYSTEM}, or write 'default: allow' under 'isolation:'",
        )
    services = stack.isolation.services
    closed = [name for name in _SERVICES if not getattr(services, name)]
    if closed:
        yield Objection(
            ("isolation", "services"),
            f"user-mode networking lets machines reach every service that their user reaches, and nothing can close "
            f"{', '.join(closed)}",
            f"write 'services: {{{', '.join(f'{name}: true' for name in _SERVICES)}}}' under 'isolation:'",
        )
    for name, machines in on.items():
        yield from _network(name, stack.networks[name], machines)


def _network(name: str, network: Network, machines: list[str]) -> Iterator[Objection]:
    at = ("networks", name)
    if network.internet is not Internet.NAT:
        yield Objection(
            (*at, "internet"),
            f"the network '{name}' is 'internet: {network.internet}', but with user-mode networking machines reach "
            "whatever their user reaches, and nothing reaches them",
            "write 'internet: nat'",
        )
    if len(machines) > 1:
        one, other = machines[:2]
        yield Objection(
            at,
            f"'{one}' and '{other}' are both on the network '{name}', but each would have user-mode networking of its "
            "own, without a way to the other",
            f"give each a network of its own, or {_SYSTEM}",
        )
    if network.cidr is None or network.cidr.prefixlen > _LONGEST_PREFIX:
        yield Objection(
            (*at, "cidr"),
            f"user-mode networking needs an IPv4 prefix of at most {_LONGEST_PREFIX} bits",
            "write such as 'cidr: 10.20.1.0/24'",
        )
    elif network.gateway != network.cidr[_GATEWAY]:
        yield Objection(
            at if network.gateway is None else (*at, "gateway"),
            f"with user-mode networking the gateway of {network.cidr} is {network.cidr[_GATEWAY]}, which stands for "
            "the hypervisor itself",
            f"write 'gateway: {network.cidr[_GATEWAY]}'",
        )


def name_server(network: Network) -> str | None:
    """The address at which user-mode networking answers questions for names."""
    return None if network.cidr is None else str(network.cidr[_SERVER])


def card(machine: str, network: Network, address: NicAddress) -> dict[str, Any]:
    """What a network card has instead of a network and a filter.

    Raises:
        UserError: the machine has an address that user-mode networking takes for itself.
    """
    assert network.cidr is not None
    if address.ipv4 and IPv4Address(address.ipv4) == network.cidr[_SERVER]:
        raise UserError(
            f"machine '{machine}' has the address {address.ipv4} on '{address.network}', which user-mode networking "
            "takes for itself",
            f"write another one under its 'nics:', such as 'address: {network.cidr[_LONGEST_PREFIX - 7]}'",
        )
    return {"mac": address.mac, "user": str(network.cidr)}
