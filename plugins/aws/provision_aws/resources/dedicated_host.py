"""`ec2:DedicatedHost`: a server for this account alone."""

from typing import Any

from provision.spi import Operation
from provision_aws.errors import refuse_unsuccessful
from provision_aws.kinds import DEDICATED_HOST
from provision_aws.reading import Live
from provision_aws.resources.base import Native
from provision_aws.resources.native_model import TaggedQuery
from provision_aws.resources.placing_model import DedicatedHostInputs, DedicatedHostOutputs
from provision_aws.session import Session


class DedicatedHost(Native[DedicatedHostInputs, DedicatedHostOutputs]):
    """A dedicated host. It costs money by the hour, also while it is empty."""

    token = "ec2:DedicatedHost"
    Inputs = DedicatedHostInputs
    Outputs = DedicatedHostOutputs
    Query = TaggedQuery
    kind = DEDICATED_HOST

    def make(self, session: Session, inputs: DedicatedHostInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call, which gives the id alone."""
        wanted = {
            "AvailabilityZone": inputs.availability_zone,
            "InstanceType": inputs.instance_type,
            "InstanceFamily": inputs.instance_family,
            "AutoPlacement": inputs.auto_placement,
            "HostRecovery": inputs.host_recovery,
        }
        given = {key: value for key, value in wanted.items() if value is not None}
        made = session.client().allocate_hosts(Quantity=1, **given, TagSpecifications=tags, ClientToken=token)
        return {"HostId": made["HostIds"][0]}

    def ready(self, live: Live) -> bool | str:
        """It may fail, and be replaced by EC2."""
        state = self.kind.state(live)
        return f"it is {state}" if state.endswith("failure") else state == "available"

    def change(self, operation: Operation, live: Live, inputs: DedicatedHostInputs, *, fresh: bool) -> bool:
        """One call."""
        names = {"AutoPlacement": inputs.auto_placement, "HostRecovery": inputs.host_recovery}
        given = {key: value for key, value in names.items() if live.get(key, "off") != value}
        if fresh or not given:
            return False
        answer = operation.session.client().modify_hosts(HostIds=[live["HostId"]], **given)
        refuse_unsuccessful(answer, "changing the dedicated host", "run again once no machine is on it")
        return True

    def seen(self, session: Session, live: Live, recorded: DedicatedHostInputs | None) -> dict[str, Any]:
        """As described: a type, or a family."""
        properties = live.get("HostProperties") or {}
        kind = properties.get("InstanceType") or None
        return {
            "availability_zone": live["AvailabilityZone"],
            "instance_type": kind,
            "instance_family": None if kind else properties.get("InstanceFamily") or None,
            "auto_placement": live.get("AutoPlacement") or "off",
            "host_recovery": live.get("HostRecovery") or "off",
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Its state."""
        return {"state": live.get("State", ""), "owner_id": live.get("OwnerId") or session.account}

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call."""
        answer = session.client().release_hosts(HostIds=[identity])
        refuse_unsuccessful(answer, "releasing the dedicated host", "run again once no machine is on it")
