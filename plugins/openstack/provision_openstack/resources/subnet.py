"""`network:Subnet`: addresses of a network."""

import ipaddress
from collections.abc import Mapping
from typing import Any, ClassVar

from provision.errors import UserError
from provision_openstack.errors import taken
from provision_openstack.kinds import SUBNET
from provision_openstack.ownership import Owner, made_by
from provision_openstack.reading import Live
from provision_openstack.resources.base import Native
from provision_openstack.resources.network_model import SubnetInputs, SubnetOutputs
from provision_openstack.session import Session


class Subnet(Native[SubnetInputs, SubnetOutputs]):
    """A subnet."""

    token = "network:Subnet"
    Inputs = SubnetInputs
    Outputs = SubnetOutputs
    kind = SUBNET
    within = "network_id"
    changing: ClassVar[Mapping[str, str]] = {
        "name": "name",
        "gateway_ip": "gateway_ip",
        "enable_dhcp": "enable_dhcp",
        "allocation_pools": "allocation_pools",
        "dns_nameservers": "dns_nameservers",
        "host_routes": "host_routes",
    }

    def body(self, session: Session, inputs: SubnetInputs) -> dict[str, Any]:
        """As wanted."""
        return {
            "name": inputs.name,
            "network_id": inputs.network_id,
            "ip_version": ipaddress.ip_network(inputs.cidr).version,
            "cidr": inputs.cidr,
            "gateway_ip": inputs.gateway_ip,
            "enable_dhcp": inputs.enable_dhcp,
            "allocation_pools": [pool.model_dump() for pool in inputs.allocation_pools] or None,
            "dns_nameservers": inputs.dns_nameservers,
            "host_routes": [route.model_dump() for route in inputs.host_routes],
            "ipv6_address_mode": inputs.ipv6_address_mode,
            "ipv6_ra_mode": inputs.ipv6_ra_mode,
        }

    def marked(self, body: dict[str, Any], inputs: SubnetInputs, owner: Any) -> dict[str, Any]:
        """Without a way out that is said: else Neutron makes one."""
        return super().marked({"gateway_ip": None, **body}, inputs, owner)

    def made(self, session: Session, inputs: SubnetInputs, owner: Owner) -> Live:
        """Says when addresses of it are in another subnet of the network.

        Raises:
            ForeignObject: they are, and that one is not the stack's.
        """
        try:
            return super().made(session, inputs, owner)
        except UserError as error:
            if "overlaps" not in error.summary:
                raise
            prefix = ipaddress.ip_network(inputs.cidr)
            for other in session.reader.all(SUBNET, {"network_id": inputs.network_id}):
                if made_by("description", other, inputs.stack_id) or not prefix.overlaps(
                    ipaddress.ip_network(other["cidr"])
                ):
                    continue
                raise taken(f"subnet {other['id']} with addresses of {inputs.cidr}", error.summary) from None
            raise

    def differing(self, session: Session, live: Live, inputs: SubnetInputs) -> dict[str, Any]:
        """No pools means all of the subnet; they follow the gateway, which Neutron does not let be in one."""
        fields = super().differing(session, live, inputs)
        if not inputs.allocation_pools and {"allocation_pools", "gateway_ip"} & set(fields):
            fields["allocation_pools"] = whole(inputs.cidr, inputs.gateway_ip)
        return fields

    def seen(self, session: Session, live: Live, recorded: SubnetInputs | None) -> dict[str, Any]:
        """Pools that Neutron made from the range alone are not wanted as such."""
        values = {
            "name": live.get("name") or "",
            "network_id": live["network_id"],
            "cidr": live["cidr"],
            "gateway_ip": live.get("gateway_ip"),
            "enable_dhcp": bool(live.get("enable_dhcp")),
            "dns_nameservers": list(live.get("dns_nameservers") or ()),
            "host_routes": [
                {"destination": route["destination"], "nexthop": route["nexthop"]}
                for route in live.get("host_routes") or ()
            ],
            "ipv6_address_mode": live.get("ipv6_address_mode"),
            "ipv6_ra_mode": live.get("ipv6_ra_mode"),
        }
        pools = [{"start": pool["start"], "end": pool["end"]} for pool in live.get("allocation_pools") or ()]
        chosen = _is_whole(live, pools) and (recorded is None or not recorded.allocation_pools)
        return values | {"allocation_pools": [] if chosen else pools}

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """As shown."""
        return {"ip_version": live["ip_version"]}


def whole(cidr: str, gateway: str | None) -> list[dict[str, str]]:
    """The pools that Neutron makes by itself: all addresses that machines can have, but the gateway's."""
    network = ipaddress.ip_network(cidr)
    small = network.num_addresses <= 2
    first = network.network_address + (0 if small else 1)
    last = network.broadcast_address - (1 if network.version == 4 and not small else 0)
    ranges = [(first, last)]
    if gateway is not None and first <= (way := ipaddress.ip_address(gateway)) <= last:  # type: ignore[operator]
        ranges = [(first, way - 1), (way + 1, last)]
    return [{"start": str(start), "end": str(end)} for start, end in ranges if start <= end]  # type: ignore[operator]


def _is_whole(live: Live, pools: list[dict[str, str]]) -> bool:
    """Whether the pools leave out nothing but the gateway and what no machine can have."""
    network = ipaddress.ip_network(str(live["cidr"]))
    held = sum(int(ipaddress.ip_address(pool["end"])) - int(ipaddress.ip_address(pool["start"])) + 1 for pool in pools)
    return held >= network.num_addresses - 3
