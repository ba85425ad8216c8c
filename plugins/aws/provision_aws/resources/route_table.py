"""`ec2:RouteTable`: where packets of its subnets go."""

from collections.abc import Iterable
from typing import Any

from provision_aws.kinds import ROUTE_TABLE
from provision_aws.reading import Live
from provision_aws.resources.inside import Inside
from provision_aws.resources.routing_model import RouteTableInputs, RouteTableOutputs
from provision_aws.session import Session


class RouteTable(Inside[RouteTableInputs, RouteTableOutputs]):
    """A route table; its routes and associations are resources of their own."""

    token = "ec2:RouteTable"
    Inputs = RouteTableInputs
    Outputs = RouteTableOutputs
    kind = ROUTE_TABLE

    def around(self, inputs: RouteTableInputs) -> Iterable[str]:
        """Its VPC."""
        return [inputs.vpc_id]

    def make(self, session: Session, inputs: RouteTableInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call."""
        made: Live = session.client().create_route_table(
            VpcId=inputs.vpc_id, TagSpecifications=tags, ClientToken=token
        )["RouteTable"]
        return made

    def seen(self, session: Session, live: Live, recorded: RouteTableInputs | None) -> dict[str, Any]:
        """Its VPC."""
        return {"vpc_id": live["VpcId"]}

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Whose it is."""
        return {"owner_id": live.get("OwnerId") or session.account}

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call."""
        session.client().delete_route_table(RouteTableId=identity)
