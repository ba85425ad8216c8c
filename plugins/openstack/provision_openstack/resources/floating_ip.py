"""`network:FloatingIp`: a public address that leads to a port."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from provision.errors import PlatformError
from provision_openstack.errors import taken
from provision_openstack.kinds import FLOATING_IP
from provision_openstack.ownership import Owner
from provision_openstack.reading import Live
from provision_openstack.resources.base import Native
from provision_openstack.resources.port_model import FloatingIpInputs, FloatingIpOutputs
from provision_openstack.session import Session

_TAKEN = re.compile(r"IpAddressAlreadyAllocated|IpAddressInUse|already allocated")


class FloatingIp(Native[FloatingIpInputs, FloatingIpOutputs]):
    """A floating address."""

    token = "network:FloatingIp"
    Inputs = FloatingIpInputs
    Outputs = FloatingIpOutputs
    kind = FLOATING_IP
    changing: ClassVar[Mapping[str, str]] = {"port_id": "port_id", "fixed_ip_address": "fixed_ip_address"}

    def body(self, session: Session, inputs: FloatingIpInputs) -> dict[str, Any]:
        """As wanted."""
        return {
            "floating_network_id": inputs.floating_network_id,
            "subnet_id": inputs.subnet_id,
            "floating_ip_address": inputs.floating_ip_address,
            "port_id": inputs.port_id,
            "fixed_ip_address": inputs.fixed_ip_address,
        }

    def made(self, session: Session, inputs: FloatingIpInputs, owner: Owner) -> Live:
        """Says when somebody else has the address.

        Raises:
            ForeignObject: somebody has.
        """
        try:
            return super().made(session, inputs, owner)
        except PlatformError as error:
            if inputs.floating_ip_address is not None and _TAKEN.search(error.summary):
                raise taken(f"use of the address {inputs.floating_ip_address}", error.summary) from None
            raise

    def differing(self, session: Session, live: Live, inputs: FloatingIpInputs) -> dict[str, Any]:
        """Which of a port's addresses can only be said together with the port."""
        fields = super().differing(session, live, inputs)
        if not fields:
            return {}
        if inputs.port_id is None:
            return {"port_id": None}
        chosen = {"fixed_ip_address": inputs.fixed_ip_address} if inputs.fixed_ip_address else {}
        return {"port_id": inputs.port_id, **chosen}

    def seen(self, session: Session, live: Live, recorded: FloatingIpInputs | None) -> dict[str, Any]:
        """An address that Neutron chose is not wanted as such."""

        def said(name: str) -> bool:
            return recorded is not None and getattr(recorded, name) is not None

        return {
            "floating_network_id": live["floating_network_id"],
            "subnet_id": recorded.subnet_id if recorded is not None else None,  # Neutron does not show it
            "floating_ip_address": live["floating_ip_address"] if said("floating_ip_address") else None,
            "port_id": live.get("port_id"),
            "fixed_ip_address": live.get("fixed_ip_address") if said("fixed_ip_address") else None,
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """As shown."""
        return {"address": live["floating_ip_address"], "router_id": live.get("router_id")}
