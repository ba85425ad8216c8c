"""`network:Port`: where a server is on a network; it outlives the server."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from provision.errors import ForeignObject, PlatformError, RetriableError
from provision_openstack.kinds import PORT
from provision_openstack.ownership import Owner, made_by
from provision_openstack.reading import Live
from provision_openstack.resources.base import Native
from provision_openstack.resources.port_model import PortInputs, PortOutputs
from provision_openstack.session import Session

_TAKEN = re.compile(r"IpAddressAlreadyAllocated|MacAddressInUse|IpAddressInUse")


class Port(Native[PortInputs, PortOutputs]):
    """A port. Its groups are exactly those that are wanted: one that is added by hand is seen, and taken away."""

    token = "network:Port"
    Inputs = PortInputs
    Outputs = PortOutputs
    kind = PORT
    within = "network_id"
    changing: ClassVar[Mapping[str, str]] = {
        "name": "name",
        "fixed_ips": "fixed_ips",
        "security_group_ids": "security_groups",
        "port_security_enabled": "port_security_enabled",
        "allowed_address_pairs": "allowed_address_pairs",
        "admin_state_up": "admin_state_up",
        "qos_policy_id": "qos_policy_id",
    }

    def body(self, session: Session, inputs: PortInputs) -> dict[str, Any]:
        """Groups are always said: else Neutron gives it the project's default one."""
        fixed = [{key: value for key, value in one.model_dump().items() if value} for one in inputs.fixed_ips]
        pairs = [
            {key: value for key, value in one.model_dump().items() if value} for one in inputs.allowed_address_pairs
        ]
        return {
            "name": inputs.name,
            "network_id": inputs.network_id,
            "fixed_ips": fixed or None,
            "mac_address": inputs.mac_address,
            "security_groups": inputs.security_group_ids,
            "port_security_enabled": inputs.port_security_enabled,
            "allowed_address_pairs": pairs,
            "admin_state_up": inputs.admin_state_up,
            "qos_policy_id": inputs.qos_policy_id,
            "binding:vnic_type": inputs.vnic_type if inputs.vnic_type != "normal" else None,
        }

    def made(self, session: Session, inputs: PortInputs, owner: Owner) -> Live:
        """Says who has its address.

        Raises:
            ForeignObject: somebody else has it.
        """
        try:
            return super().made(session, inputs, owner)
        except PlatformError as error:
            if _TAKEN.search(str(error)):
                raise _holder(session, inputs) or RetriableError(error.summary, error.fix) from None
            raise

    def differing(self, session: Session, live: Live, inputs: PortInputs) -> dict[str, Any]:
        """No addresses said means: leave them."""
        fields = super().differing(session, live, inputs)
        if fields.get("fixed_ips", ()) is None:
            del fields["fixed_ips"]
        if fields.get("port_security_enabled") is False:  # Neutron refuses it while there are any
            fields |= {"security_groups": [], "allowed_address_pairs": []}
        return fields

    def seen(self, session: Session, live: Live, recorded: PortInputs | None) -> dict[str, Any]:
        """Addresses that Neutron chose are not wanted as such."""
        return {
            "name": live.get("name") or "",
            "network_id": live["network_id"],
            "fixed_ips": _fixed_ips(live, recorded),
            "mac_address": live["mac_address"] if recorded is not None and recorded.mac_address is not None else None,
            "security_group_ids": list(live.get("security_groups") or ()),
            "port_security_enabled": bool(live.get("port_security_enabled", True)),
            "allowed_address_pairs": _pairs(live, recorded),
            "admin_state_up": bool(live.get("admin_state_up", True)),
            "qos_policy_id": live.get("qos_policy_id"),
            "vnic_type": live.get("binding:vnic_type") or "normal",
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """As shown."""
        return {
            "mac_address": live["mac_address"],
            "ip_addresses": addresses_of(live),
            "status": live.get("status") or "",
            "device_id": live.get("device_id") or "",
        }


def addresses_of(live: Live) -> list[str]:
    """The addresses of a port, IPv4 before IPv6."""
    found = [ipaddress.ip_address(one["ip_address"]) for one in live.get("fixed_ips") or ()]
    return [str(one) for one in sorted(found, key=lambda one: (one.version, int(one)))]


def _fixed_ips(live: Live, recorded: PortInputs | None) -> list[dict[str, Any]]:
    there = [{"subnet_id": one["subnet_id"], "ip_address": one["ip_address"]} for one in live.get("fixed_ips") or ()]
    if recorded is None:
        return there
    if not recorded.fixed_ips:
        return []
    spelt = []
    for one in there:
        address = ipaddress.ip_address(one["ip_address"])
        wanted = next(
            (
                fixed
                for fixed in recorded.fixed_ips
                if (fixed.ip_address is None or ipaddress.ip_address(fixed.ip_address) == address)
                and fixed.subnet_id in (None, one["subnet_id"])
            ),
            None,
        )
        spelt.append(wanted.model_dump() if wanted is not None else one)
    return spelt


def _pairs(live: Live, recorded: PortInputs | None) -> list[dict[str, Any]]:
    """A pair with the port's own MAC address says none, unless that is written."""
    own = str(live["mac_address"]).lower()
    written = (
        {pair.mac_address.lower() for pair in recorded.allowed_address_pairs if pair.mac_address} if recorded else set()
    )
    found = []
    for pair in live.get("allowed_address_pairs") or ():
        mac = str(pair.get("mac_address") or own).lower()
        found.append({"ip_address": pair["ip_address"], "mac_address": mac if mac != own or mac in written else None})
    return found


def _holder(session: Session, inputs: PortInputs) -> ForeignObject | None:
    """Who has an address; None when it is the stack itself, which may be about to let go of it."""
    wanted = {str(ipaddress.ip_address(one.ip_address)) for one in inputs.fixed_ips if one.ip_address}
    for other in session.reader.all(PORT, {"network_id": inputs.network_id}):
        mine = wanted & set(addresses_of(other))
        same_mac = inputs.mac_address is not None and str(other["mac_address"]).lower() == inputs.mac_address.lower()
        if (mine or same_mac) and not made_by("description", other, inputs.stack_id):
            what = f"address {min(mine)}" if mine else f"MAC address {inputs.mac_address}"
            return ForeignObject(
                f"the {what} is taken by the port {other['id']}, which does not belong to this stack; it was not "
                "touched",
                "give the machine another address, or remove that port by hand",
            )
    return None
