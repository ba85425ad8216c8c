"""Addresses that are not public unicast (IANA's special-purpose registries, RFC 6890, and multicast, RFC 5771)."""

from ipaddress import IPv4Network, IPv6Network

NOT_UNICAST = (IPv4Network("0.0.0.0/8"), IPv4Network("224.0.0.0/3"), IPv6Network("ff00::/8"), IPv6Network("::/128"))
"""No machine's own address: "this network", multicast, reserved and broadcast."""

LINK_LOCAL = (IPv4Network("169.254.0.0/16"), IPv6Network("fe80::/10"))
"""Addresses to and from which no router forwards anything (RFC 3927, RFC 4291)."""

PUBLIC = (IPv4Network("0.0.0.0/0"), IPv6Network("2000::/3"))
"""Where public addresses lie (IPv6: global unicast, RFC 4291), but for `NOT_PUBLIC`."""

NOT_PUBLIC = (
    *NOT_UNICAST,
    IPv4Network("10.0.0.0/8"),  # private use, RFC 1918
    IPv4Network("100.64.0.0/10"),  # shared, RFC 6598
    IPv4Network("127.0.0.0/8"),  # loopback, RFC 1122
    IPv4Network("169.254.0.0/16"),  # link local, RFC 3927
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.0.0.0/24"),  # protocol assignments, RFC 6890: all of them, though two are reachable
    IPv4Network("192.0.2.0/24"),  # documentation, RFC 5737
    IPv4Network("192.168.0.0/16"),
    IPv4Network("198.18.0.0/15"),  # benchmarks, RFC 2544
    IPv4Network("198.51.100.0/24"),
    IPv4Network("203.0.113.0/24"),
    IPv6Network("2001::/23"),  # protocol assignments, RFC 2928
    IPv6Network("2001:db8::/32"),  # documentation, RFC 3849
    IPv6Network("3fff::/20"),  # documentation, RFC 9637
)
