"""Services as rules of libvirt's packet filter, in its two layers.

The *stateful* layer (iptables) follows connections but sees only what is forwarded; the *stateless* layer (ebtables)
sees every frame on the NIC, also what the hypervisor itself sends or routes to it, which iptables never shows to the
filter of the NIC that it goes to. A packet must pass both. So answers that are routed to a NIC are told by address and
port alone, while answers that the NIC itself sends always belong to a connection that was allowed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from provision.packets import Protocol, Service

Rule = dict[str, Any]

# Protocol numbers for which libvirt has an element in the stateful layer (libvirt's "nwfilter" format).
NAMED_PROTOCOLS: Mapping[int, str] = {2: "igmp", 50: "esp", 51: "ah", 132: "sctp", 136: "udplite"}

# ICMP requests and their answers (RFC 792, RFC 4443, RFC 4620): libvirt does not pair them for typed rules.
_ANSWERS = {
    Protocol.ICMP: {8: 0, 13: 14, 15: 16, 17: 18},
    Protocol.ICMPV6: {128: 129, 139: 140},
}


def rule(action: str, direction: str, priority: int, element: str, /, **attributes: str) -> Rule:
    """One filter rule as the native type takes it."""
    made: Rule = {"action": action, "direction": direction, "priority": priority, "protocol": element}
    if attributes:
        made["attributes"] = attributes
    return made


def unfollowed(made: Rule) -> Rule:
    """The same rule, but without a look at connections."""
    return made | {"statematch": False}


def prefix_attributes(side: str, prefix: str) -> dict[str, str]:
    """The attributes that match a prefix as source (`src`) or destination (`dst`); a prefix of length 0 needs none.

    A range (`FIRST-LAST`) is matched by the stateful layer alone.
    """
    if "-" in prefix:
        first, _, last = prefix.partition("-")
        return {f"{side}ipfrom": first, f"{side}ipto": last}
    address, _, length = prefix.partition("/")
    if length == "0":
        return {}
    found = {f"{side}ipaddr": address}
    if length and length != ("128" if ":" in address else "32"):
        found[f"{side}ipmask"] = length
    return found


def _ports(side: str, service: Service) -> dict[str, str]:
    if not service.has_ports or service.all_ports:
        return {}
    found = {f"{side}portstart": str(service.first)}
    if service.last != service.first:
        found[f"{side}portend"] = str(service.last)
    return found


def exists_in(service: Service, family: int) -> bool:
    """Whether packets of the service exist in an IP version: `icmp` is IPv4's and `icmpv6` is IPv6's alone."""
    return service.protocol is not (Protocol.ICMPV6 if family == 4 else Protocol.ICMP)


def connectionless(service: Service) -> bool:
    """Whether single packets of the service do something without an answer."""
    return service.protocol in (Protocol.UDP, Protocol.ANY, Protocol.OTHER) and service.number != 132


def stateful(service: Service, family: int, direction: str, peer: str, priority: int) -> Iterator[Rule]:
    """Rules that let connections pass between the NIC and the prefix `peer`, and the answers to them.

    Args:
        service: what passes.
        family: 4 or 6.
        direction: `in` when the peer opens the connection, `out` when the NIC does.
        peer: prefix of the other side.
        priority: of the rules.
    """
    address = prefix_attributes("src" if direction == "in" else "dst", peer)
    suffix = "-ipv6" if family == 6 else ""
    match service.protocol:
        case Protocol.ANY:
            yield rule("accept", direction, priority, f"all{suffix}", **address)
        case Protocol.OTHER:
            element = NAMED_PROTOCOLS[service.number or 0]
            yield rule("accept", direction, priority, f"{element}{suffix}", **address)
        case Protocol.TCP | Protocol.UDP:
            yield rule(
                "accept", direction, priority, f"{service.protocol}{suffix}", **address, **_ports("dst", service)
            )
        case Protocol.ICMP | Protocol.ICMPV6:
            yield from _icmp(service, direction, address, priority)


def _icmp(service: Service, direction: str, address: dict[str, str], priority: int) -> Iterator[Rule]:
    element = service.protocol.value
    if service.kind is None:
        yield rule("accept", direction, priority, element, **address)
        return
    code = {} if service.code is None else {"code": str(service.code)}
    yield rule("accept", direction, priority, element, **address, type=str(service.kind), **code)
    answer = _ANSWERS[service.protocol].get(service.kind)
    if answer is not None:
        back = "out" if direction == "in" else "in"
        place = {key.replace("src", "dst") if direction == "in" else key.replace("dst", "src"): value
                 for key, value in address.items()}  # fmt: skip
        yield rule("accept", back, priority, element, **place, type=str(answer), **code, state="ESTABLISHED")


def stateless(service: Service, family: int, direction: str, peer: str, priority: int) -> Iterator[Rule]:
    """Rules that let frames of the service reach the NIC from `peer`: its requests (`in`) or its answers (`out`)."""
    element = "ip" if family == 4 else "ipv6"
    address = prefix_attributes("src", peer)
    match service.protocol:
        case Protocol.ANY:
            yield rule("accept", "in", priority, element, **address)
        case Protocol.OTHER:
            yield rule("accept", "in", priority, element, **address, protocol=str(service.number))
        case Protocol.TCP | Protocol.UDP:
            ports = _ports("dst" if direction == "in" else "src", service)
            yield rule("accept", "in", priority, element, **address, protocol=service.protocol.value, **ports)
        case Protocol.ICMP:  # ebtables of libvirt knows no ICMP types; the stateful layer has the last word on answers
            yield rule("accept", "in", priority, element, **address, protocol="icmp")
        case Protocol.ICMPV6:
            kind = service.kind
            if kind is not None and direction == "out":
                kind = _ANSWERS[Protocol.ICMPV6].get(kind)
                if kind is None:
                    return
            typed = {} if kind is None else {"type": str(kind)}
            yield rule("accept", "in", priority, element, **address, protocol="icmpv6", **typed)


def denied(service: Service, family: int, direction: str, peer: str, priority: int) -> Iterator[Rule]:
    """Rules that stop connections between the NIC and the prefix `peer`, whatever comes later; see `stateful`.

    Only first packets are stopped, so that answers to connections of the other direction pass. What is routed to the
    NIC is not seen there: of such connections the answers are stopped.
    """
    asked = next(stateful(service, family, direction, peer, priority))
    yield asked | {"action": "drop", "attributes": {**asked.get("attributes", {}), "state": "NEW"}}
    if direction == "out":
        return
    attributes = prefix_attributes("dst", peer) | _ports("src", service)
    if service.kind is not None:
        attributes["type"] = str(_ANSWERS[service.protocol].get(service.kind, service.kind))
        attributes |= {} if service.code is None else {"code": str(service.code)}
    yield rule("drop", "out", priority, asked["protocol"], **attributes, state="ESTABLISHED")


def denied_frames(service: Service, family: int, peer: str, priority: int) -> Iterator[Rule]:
    """Rules that keep frames of the service from beyond the stack's networks away, as far as this layer can tell."""
    if service.kind is not None and (family == 4 or service.code is not None):
        return  # ebtables of libvirt knows no ICMP types of IPv4; the answers are stopped all the same
    for made in stateless(service, family, "in", peer, priority):
        yield made | {"action": "drop"}
