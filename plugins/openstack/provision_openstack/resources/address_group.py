"""`network:AddressGroup`: ranges that rules refer to."""

from collections.abc import Mapping
from typing import Any, ClassVar

from provision.spi import Operation, Replacement
from provision_openstack.kinds import ADDRESS_GROUP
from provision_openstack.reading import Live
from provision_openstack.resources.base import Native
from provision_openstack.resources.group_model import AddressGroupInputs, AddressGroupOutputs
from provision_openstack.resources.security_group import sweep
from provision_openstack.session import Session


class AddressGroup(Native[AddressGroupInputs, AddressGroupOutputs]):
    """An address group. One in use cannot be removed, so a new one is made first."""

    token = "network:AddressGroup"
    Inputs = AddressGroupInputs
    Outputs = AddressGroupOutputs
    kind = ADDRESS_GROUP
    replacement = Replacement.CREATE_FIRST
    changing: ClassVar[Mapping[str, str]] = {"name": "name"}

    def body(self, session: Session, inputs: AddressGroupInputs) -> dict[str, Any]:
        """As wanted."""
        return {"name": inputs.name, "addresses": inputs.addresses}

    def change(self, operation: Operation, live: Live, inputs: AddressGroupInputs, *, fresh: bool) -> bool:
        """What is new comes before what is not wanted goes."""
        if fresh:
            return False
        sweep(self, operation, str(live["id"]), inputs.stack_id)
        now, wanted = set(live.get("addresses") or ()), set(inputs.addresses)
        network, path = operation.session.network, f"/address-groups/{live['id']}"
        for verb, some in (("add_addresses", wanted - now), ("remove_addresses", now - wanted)):
            if some:
                network.put(f"{path}/{verb}", {"addresses": sorted(some)})
        return now != wanted

    def seen(self, session: Session, live: Live, recorded: AddressGroupInputs | None) -> dict[str, Any]:
        """As shown."""
        return {"name": live.get("name") or "", "addresses": sorted(live.get("addresses") or ())}

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Whose it is."""
        return {"project_id": live.get("project_id") or ""}
