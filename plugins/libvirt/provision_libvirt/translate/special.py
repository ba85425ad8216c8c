"""Addresses that are not public: IANA's special-purpose registries (RFC 6890) and multicast."""

from collections.abc import Mapping

NOT_PUBLIC: Mapping[int, tuple[str, ...]] = {
    4: (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    ),
    6: ("::/3", "2001::/23", "2001:db8::/32", "3fff::/20", "4000::/2", "8000::/1"),
}
"""By IP version: everything but global unicast, in few prefixes (IPv6: only 2000::/3 is assigned, RFC 4291)."""
