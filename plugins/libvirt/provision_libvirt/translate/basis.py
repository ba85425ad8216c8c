"""Rules that no policy speaks of: what every NIC needs, and what it may be and do as itself."""

from collections.abc import Iterator, Mapping

from provision_libvirt.translate import priorities as at
from provision_libvirt.translate.services import Rule, rule, unfollowed


def base_rules(open_: bool) -> Iterator[Rule]:
    """What every NIC needs, and what is dropped in the end."""
    yield rule("accept", "in", at.NEEDED, "arp")
    yield rule("accept", "inout", at.NEEDED, "icmp", state="RELATED")
    yield rule("accept", "inout", at.NEEDED, "icmpv6", state="RELATED")
    yield rule("drop", "inout", at.LAST, "mac")
    if not open_:
        yield rule("drop", "inout", at.LAST, "all")
        yield rule("drop", "inout", at.LAST, "all-ipv6")


def base6_rules() -> Iterator[Rule]:
    """Neighbour solicitations and advertisements (RFC 4861); routers are written in the seed, not advertised."""
    yield rule("accept", "in", at.NEEDED, "ipv6", protocol="icmpv6", type="135", typeend="136")
    yield rule(
        "accept", "out", at.NEEDED, "ipv6",
        srcmacaddr="$MAC", srcipaddr="fe80::", srcipmask="10", protocol="icmpv6", type="135", typeend="136",
    )  # fmt: skip
    for kind in ("135", "136"):  # libvirt leaves typed rules out when their direction is `inout`
        for direction in ("in", "out"):
            yield unfollowed(rule("accept", direction, at.NEEDED, "icmpv6", type=kind))


def own_rules(addresses: Mapping[int, str | None]) -> list[Rule]:
    """What the NIC may send as itself, and that it gets nothing that is for another."""
    found = []
    if (ipv4 := addresses.get(4)) is not None:
        own = {"srcmacaddr": "$MAC", "arpsrcmacaddr": "$MAC", "arpsrcipaddr": ipv4}
        found.append(rule("accept", "out", at.NEEDED, "arp", **own))
        found.append(rule("accept", "out", at.INSIDE, "ip", srcmacaddr="$MAC", srcipaddr=ipv4))
        found.append(rule("drop", "in", at.OTHERS_ADDRESS, "ip", match="no", dstipaddr=ipv4))
    if (ipv6 := addresses.get(6)) is not None:
        found.append(rule("accept", "out", at.INSIDE, "ipv6", srcmacaddr="$MAC", srcipaddr=ipv6))
        found.append(rule("drop", "in", at.OTHERS_ADDRESS, "ipv6", match="no", dstipaddr=ipv6))
    return found


def leases(host: str) -> Iterator[Rule]:
    """DHCP (RFC 2131) with the network's own server."""
    ask = {"srcportstart": "68", "dstportstart": "67"}
    yield rule(
        "accept", "out", at.LEASES, "ip",
        srcmacaddr="$MAC", srcipaddr="0.0.0.0", dstipaddr="255.255.255.255", protocol="udp", **ask,
    )  # fmt: skip
    yield rule("accept", "in", at.LEASES, "ip", srcipaddr=host, protocol="udp", srcportstart="67", dstportstart="68")
    for server in ("255.255.255.255", host):
        yield unfollowed(rule("accept", "out", at.LEASES, "udp", dstipaddr=server, **ask))
