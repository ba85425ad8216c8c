"""`network:RouterInterface`: a router is on a subnet."""

from collections.abc import Iterable, Iterator
from typing import Any

from provision_openstack.errors import ApiError, taken
from provision_openstack.kinds import PORT, ROUTER
from provision_openstack.reading import Live
from provision_openstack.resources.joint import Joint
from provision_openstack.resources.network_model import RouterInterfaceInputs, RouterInterfaceOutputs
from provision_openstack.session import Session

OWNERS = ("network:router_interface", "network:ha_router_replicated_interface", "network:router_interface_distributed")


class RouterInterface(Joint[RouterInterfaceInputs, RouterInterfaceOutputs]):
    """A router's interface, at the gateway address of the subnet."""

    token = "network:RouterInterface"
    Inputs = RouterInterfaceInputs
    Outputs = RouterInterfaceOutputs
    noun = "interface of a router"
    whole = ROUTER
    ends = ("router_id", "subnet_id")

    def join(self, session: Session, first: str, second: str) -> None:
        """One call.

        Raises:
            ForeignObject: another router has the subnet's gateway address.
        """
        try:
            session.network.put(f"/routers/{first}/add_router_interface", {"subnet_id": second})
        except ApiError as error:
            if error.status in (400, 409):
                for other, subnet in self.pairs(session):
                    if subnet == second and other != first:
                        raise taken(f"interface of the router {other} at the subnet {second}", error.text) from None
            raise

    def part(self, session: Session, first: str, second: str) -> None:
        """One call."""
        session.network.put(f"/routers/{first}/remove_router_interface", {"subnet_id": second})

    def find(self, session: Session, first: str, second: str, *, fresh: bool) -> Live | None:
        """The router's port."""
        ports: Iterable[Live] = session.reader.survey(PORT).values()
        if fresh:
            ports = session.reader.all(PORT, {"device_id": first})
        for port in ports:
            if port.get("device_id") == first and port.get("device_owner") in OWNERS and _address(port, second):
                return {**port, "subnet": second}
        return None

    def told(self, live: Live) -> dict[str, Any]:
        """Its port."""
        return {"port_id": live["id"], "ip_address": _address(live, str(live["subnet"]))}

    def pairs(self, session: Session) -> Iterator[tuple[str, str]]:
        """By ports."""
        for port in session.reader.left(PORT, lambda live: live.get("device_owner") in OWNERS):
            for fixed in port.get("fixed_ips") or ():
                yield str(port["device_id"]), str(fixed["subnet_id"])


def _address(port: Live, subnet: str) -> str:
    return next((str(one["ip_address"]) for one in port.get("fixed_ips") or () if one["subnet_id"] == subnet), "")
