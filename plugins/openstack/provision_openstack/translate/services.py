"""Services as fields of Neutron's rules."""

from collections.abc import Iterator
from typing import Any

from provision.packets import Protocol, Service

_FAMILIES = {Protocol.ICMP: (4,), Protocol.ICMPV6: (6,)}


def fields(service: Service) -> Iterator[tuple[int, dict[str, Any]]]:
    """For each IP version that a service is of, what a rule says of it."""
    for family in _FAMILIES.get(service.protocol, (4, 6)):
        yield family, {"ethertype": f"IPv{family}", **_protocol(service)}


def _protocol(service: Service) -> dict[str, Any]:
    if service.protocol is Protocol.ANY:
        return {}
    if service.protocol is Protocol.OTHER:
        return {"protocol": str(service.number)}
    if service.has_ports:
        ports = {} if service.all_ports else {"port_range_min": service.first, "port_range_max": service.last}
        return {"protocol": str(service.protocol), **ports}
    name = "ipv6-icmp" if service.protocol is Protocol.ICMPV6 else "icmp"
    kind = {} if service.kind is None else {"port_range_min": service.kind}
    code = {} if service.code is None else {"port_range_max": service.code}
    return {"protocol": name, **kind, **code}
