"""Networks in libvirt's XML, both ways."""

from ipaddress import ip_network
from typing import Any

from provision_libvirt.resources.network_model import DhcpHost, DhcpRange, DnsHost, IpAddress, NetworkInputs
from provision_libvirt.resources.spelling import canonical
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


_IDENTITY = ("uuid", "metadata", "mac")
_DEFAULTS = ("bridge@stp", "bridge@delay", "ip@localPtr", "forward/nat", "forward/nat/port")
_PORTS = (("forward/nat/port@start", "1024"), ("forward/nat/port@end", "65535"))


def undescribed(text: str) -> list[str]:
    """Settings of a network that `NetworkInputs` cannot say: `element/element@attribute`, sorted."""
    inputs = NetworkInputs.model_construct(stack_id="", pool="", **parse(text))
    described = _settings(from_text(render(inputs, "", stack="", urn="", generation="")))
    return sorted({path for path, value in _settings(from_text(text)) ^ described if not _is_noise(path, value)})


def _settings(root: Element, path: str = "") -> set[tuple[str, object]]:
    """Every element with its place, text and attributes; addresses and names in one spelling."""
    found: set[tuple[str, object]] = set()
    for child in root:
        place = f"{path}/{child.tag}" if path else child.tag
        attributes = dict(child.attrib)
        if "netmask" in attributes:
            prefix = ip_network(f"0.0.0.0/{attributes.pop('netmask')}").prefixlen
            attributes["prefix"] = str(prefix)
        if place == "ip" and attributes.get("family") == "ipv4":
            del attributes["family"]
        found.add((place, canonical((child.text or "").strip())))
        found |= {(f"{place}@{name}", canonical(value)) for name, value in attributes.items()}
        found |= _settings(child, place)
    return found


def _is_noise(path: str, value: object) -> bool:
    """What libvirt fills in by itself, and what says who and whose a network is."""
    return path.split("/")[0].split("@")[0] in _IDENTITY or path in _DEFAULTS or (path, value) in _PORTS


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
