"""Services as fields of Neutron's rules."""

from typing import Any

from provision.packets import Protocol, Service


def protocol(service: Service) -> dict[str, Any]:
    """What a rule says of a service, in whichever IP version."""
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
