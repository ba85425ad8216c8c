"""`ec2:PlacementGroup`: how machines lie to each other."""

from typing import Any

from provision.errors import ForeignObject
from provision_aws.errors import code_of
from provision_aws.kinds import PLACEMENT_GROUP
from provision_aws.reading import Live
from provision_aws.resources.base import Native
from provision_aws.resources.native_model import TaggedQuery
from provision_aws.resources.placing_model import PlacementGroupInputs, PlacementGroupOutputs
from provision_aws.session import Session


class PlacementGroup(Native[PlacementGroupInputs, PlacementGroupOutputs]):
    """A placement group."""

    token = "ec2:PlacementGroup"
    Inputs = PlacementGroupInputs
    Outputs = PlacementGroupOutputs
    Query = TaggedQuery
    kind = PLACEMENT_GROUP
    waits_until_gone = True

    def make(self, session: Session, inputs: PlacementGroupInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call."""
        from botocore.exceptions import ClientError

        wanted = {
            "GroupName": inputs.group_name,
            "Strategy": inputs.strategy,
            "PartitionCount": inputs.partition_count,
            "SpreadLevel": inputs.spread_level,
        }
        given = {key: value for key, value in wanted.items() if value is not None}
        try:
            made: Live = session.client().create_placement_group(**given, TagSpecifications=tags)["PlacementGroup"]
        except ClientError as error:
            if code_of(error) == "InvalidPlacementGroup.Duplicate":
                raise ForeignObject(
                    f"there is a placement group '{inputs.group_name}', which this resource did not make; it was not "
                    "touched",
                    "give the policy another name, or remove that group by hand",
                ) from None
            raise
        return made

    def seen(self, session: Session, live: Live, recorded: PlacementGroupInputs | None) -> dict[str, Any]:
        """As described; EC2 tells `rack` also when nothing was said."""
        strategy = str(live["Strategy"])
        level = live.get("SpreadLevel") if strategy == "spread" else None
        if level == "rack" and (recorded is None or recorded.spread_level is None):
            level = None
        return {
            "group_name": live["GroupName"],
            "strategy": strategy,
            "partition_count": live.get("PartitionCount") if strategy == "partition" else None,
            "spread_level": level,
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Name and state."""
        return {"group_name": live["GroupName"], "state": live.get("State", "")}

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call, by name: EC2 takes no id there."""
        session.client().delete_placement_group(GroupName=live["GroupName"])
