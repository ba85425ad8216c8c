"""`network:Router`: the way between networks, and out."""

from collections.abc import Mapping
from typing import Any, ClassVar

from provision_openstack.kinds import ROUTER
from provision_openstack.reading import Live
from provision_openstack.resources.base import Native
from provision_openstack.resources.network_model import RouterInputs, RouterOutputs
from provision_openstack.session import Session


class Router(Native[RouterInputs, RouterOutputs]):
    """A router. It has no agent to wait for: Neutron says that it is active when it is recorded."""

    token = "network:Router"
    Inputs = RouterInputs
    Outputs = RouterOutputs
    kind = ROUTER
    changing: ClassVar[Mapping[str, str]] = {
        "name": "name",
        "external_network_id": "external_gateway_info",
        "enable_snat": "external_gateway_info",
        "routes": "routes",
    }

    def body(self, session: Session, inputs: RouterInputs) -> dict[str, Any]:
        """Routes are said only when the router is changed: they need its interfaces."""
        gateway: dict[str, Any] | None = None
        if inputs.external_network_id is not None:
            gateway = {"network_id": inputs.external_network_id}
            if inputs.enable_snat is not None:
                gateway["enable_snat"] = inputs.enable_snat
        return {
            "name": inputs.name,
            "external_gateway_info": gateway,
            "routes": [route.model_dump() for route in inputs.routes] or None,
        }

    def differing(self, session: Session, live: Live, inputs: RouterInputs) -> dict[str, Any]:
        """No gateway is an empty one, no routes an empty list."""
        fields = super().differing(session, live, inputs)
        empty: dict[str, Any] = {"external_gateway_info": {}, "routes": []}
        return {name: empty.get(name) if value is None else value for name, value in fields.items()}

    def seen(self, session: Session, live: Live, recorded: RouterInputs | None) -> dict[str, Any]:
        """Whether it hides machines is not wanted as such where the cloud decides."""
        gateway = live.get("external_gateway_info") or {}
        said = gateway and recorded is not None and recorded.enable_snat is not None
        return {
            "name": live.get("name") or "",
            "external_network_id": gateway.get("network_id"),
            "enable_snat": gateway.get("enable_snat") if said else None,
            "routes": [
                {"destination": route["destination"], "nexthop": route["nexthop"]} for route in live.get("routes") or ()
            ],
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """As shown."""
        gateway = live.get("external_gateway_info") or {}
        addresses = [str(one["ip_address"]) for one in gateway.get("external_fixed_ips") or ()]
        return {"external_addresses": sorted(addresses), "status": live.get("status") or ""}
