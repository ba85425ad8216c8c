"""Networks in libvirt's XML, both ways."""

import contextlib
from ipaddress import ip_address, ip_network
from typing import Any

from provision.spi import Properties
from provision_libvirt.resources.network_model import DhcpHost, DhcpRange, DnsHost, IpAddress, NetworkInputs
from provision_libvirt.resources.xml_tools import (
    Element,
    add,
    attribute,
    element,
    from_text,
    owner_element,
    owner_of,
    to_text,
)

_MODES = {"nat": "nat", "route": "routed"}


def render(inputs: NetworkInputs, uuid: str, *, stack: str, urn: str, generation: str) -> str:
    """The definition of a network."""
    root = element("network")
    add(root, "name", inputs.name)
    add(root, "uuid", uuid)
    add(root, "metadata").append(owner_element(stack, urn, generation=generation))
    if inputs.mode == "nat":
        forward = add(root, "forward", mode="nat")
        if inputs.ipv6:
            add(forward, "nat", ipv6="yes")
    elif inputs.mode == "routed":
        add(root, "forward", mode="route")
    add(root, "bridge", name=inputs.bridge, stp="off", delay="0")
    if inputs.mtu:
        add(root, "mtu", size=inputs.mtu)
    if inputs.domain:
        add(root, "domain", name=inputs.domain, localOnly="yes")
    if inputs.dns_hosts or not inputs.dns:
        dns = add(root, "dns", enable=None if inputs.dns else "no")
        dns.extend(dns_host(host) for host in inputs.dns_hosts)
    if inputs.ipv4:
        ip = add(root, "ip", address=inputs.ipv4.address, prefix=inputs.ipv4.prefix)
        if inputs.dhcp_range or inputs.dhcp_hosts:
            dhcp = add(ip, "dhcp")
            if inputs.dhcp_range:
                dhcp.append(dhcp_range(inputs.dhcp_range))
            dhcp.extend(dhcp_host(host) for host in inputs.dhcp_hosts)
    if inputs.ipv6:
        add(root, "ip", family="ipv6", address=inputs.ipv6.address, prefix=inputs.ipv6.prefix)
    return to_text(root)


def dhcp_range(value: DhcpRange) -> Element:
    """A range, also as the argument of a network update."""
    return element("range", start=value.start, end=value.end)


def dhcp_host(value: DhcpHost) -> Element:
    """A fixed lease, also as the argument of a network update."""
    return element("host", mac=value.mac, name=value.name, ip=value.ip)


def dns_host(value: DnsHost) -> Element:
    """An entry of the DNS, also as the argument of a network update."""
    made = element("host", ip=value.ip)
    for name in value.names:
        add(made, "hostname", name)
    return made


def parse(text: str) -> dict[str, Any]:
    """Everything of `NetworkInputs` that a network's description holds."""
    root = from_text(text)
    ips = root.findall("ip")
    ipv4 = next((ip for ip in ips if ip.get("family", "ipv4") == "ipv4"), None)
    ipv6 = next((ip for ip in ips if ip.get("family") == "ipv6"), None)
    mtu = attribute(root, "mtu", "size")
    dhcp = ipv4.find("dhcp") if ipv4 is not None else None
    ranges = [] if dhcp is None else dhcp.findall("range")
    return {
        "name": root.findtext("name", ""),
        "mode": _MODES.get(attribute(root, "forward", "mode") or "", "isolated"),
        "bridge": attribute(root, "bridge", "name") or "",
        "ipv4": _address(ipv4),
        "ipv6": _address(ipv6),
        "domain": attribute(root, "domain", "name"),
        "mtu": int(mtu) if mtu else None,
        "dns": attribute(root, "dns", "enable") != "no",
        "dhcp_range": _range(ranges[0]) if ranges else None,
        "dhcp_hosts": [] if dhcp is None else [_host(host) for host in dhcp.findall("host")],
        "dns_hosts": [
            DnsHost.model_construct(ip=host.get("ip", ""), names=[name.text or "" for name in host.findall("hostname")])
            for host in root.findall("dns/host")
        ],
    }


def canonical(value: Any) -> Any:
    """The same value for every spelling and order of an input that means the same."""
    if isinstance(value, Properties):
        return canonical(dict(value))
    if isinstance(value, dict):
        return {name: canonical(item) for name, item in value.items()}
    if isinstance(value, list):
        return sorted((canonical(item) for item in value), key=repr)
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return str(ip_address(value))
        return value.lower()
    return value


def generation(text: str) -> str | None:
    """The generation that `render` wrote into the metadata."""
    owner = owner_of(from_text(text))
    return None if owner is None else owner.get("generation")


def _range(found: Element) -> DhcpRange:
    return DhcpRange.model_construct(start=found.get("start", ""), end=found.get("end", ""))


def _host(found: Element) -> DhcpHost:
    return DhcpHost.model_construct(mac=found.get("mac", ""), ip=found.get("ip", ""), name=found.get("name"))


def _address(ip: Element | None) -> IpAddress | None:
    if ip is None:
        return None
    address, prefix = ip.get("address", ""), ip.get("prefix")
    if prefix is None:
        prefix = str(ip_network(f"0.0.0.0/{ip.get('netmask', '255.255.255.255')}").prefixlen)
    return IpAddress.model_construct(address=address, prefix=int(prefix))
