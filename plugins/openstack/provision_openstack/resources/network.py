"""`network:Network`: a segment."""

from collections.abc import Mapping
from typing import Any, ClassVar

from provision_openstack.kinds import NETWORK
from provision_openstack.reading import Live
from provision_openstack.resources.base import Native
from provision_openstack.resources.network_model import NetworkInputs, NetworkOutputs
from provision_openstack.session import Session

_PROVIDER = {
    "provider_network_type": "provider:network_type",
    "provider_physical_network": "provider:physical_network",
    "provider_segmentation_id": "provider:segmentation_id",
}


class Network(Native[NetworkInputs, NetworkOutputs]):
    """A network."""

    token = "network:Network"
    Inputs = NetworkInputs
    Outputs = NetworkOutputs
    kind = NETWORK
    changing: ClassVar[Mapping[str, str]] = {
        "name": "name",
        "mtu": "mtu",
        "port_security_enabled": "port_security_enabled",
        "qos_policy_id": "qos_policy_id",
        "shared": "shared",
    }

    def body(self, session: Session, inputs: NetworkInputs) -> dict[str, Any]:
        """What only administrators may say is left out unless it is wanted."""
        return {
            "name": inputs.name,
            "mtu": inputs.mtu,
            "port_security_enabled": inputs.port_security_enabled,
            "qos_policy_id": inputs.qos_policy_id,
            "router:external": inputs.external or None,
            "shared": inputs.shared or None,
            **{field: getattr(inputs, name) for name, field in _PROVIDER.items()},
        }

    def differing(self, session: Session, live: Live, inputs: NetworkInputs) -> dict[str, Any]:
        """What is not shared any more is said."""
        fields = super().differing(session, live, inputs)
        return fields | {"shared": inputs.shared} if "shared" in fields else fields

    def seen(self, session: Session, live: Live, recorded: NetworkInputs | None) -> dict[str, Any]:
        """What the cloud chose is not wanted as such."""
        return {
            "name": live.get("name") or "",
            "mtu": live.get("mtu") if recorded is not None and recorded.mtu is not None else None,
            "port_security_enabled": bool(live.get("port_security_enabled", True)),
            "qos_policy_id": live.get("qos_policy_id"),
            "external": bool(live.get("router:external")),
            "shared": bool(live.get("shared")),
            **{
                name: live.get(field) if recorded is not None and getattr(recorded, name) is not None else None
                for name, field in _PROVIDER.items()
            },
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """As shown."""
        return {"status": live.get("status") or "", "mtu": live.get("mtu") or 0}
