"""`ec2:RouteTableAssociation`: which table a subnet uses."""

from collections.abc import Iterator
from typing import Any

from provision.spi import Operation
from provision_aws.kinds import ROUTE_TABLE
from provision_aws.reading import Live
from provision_aws.resources.belonging import Belonging, Found
from provision_aws.resources.routing_model import RouteTableAssociationInputs, RouteTableAssociationOutputs
from provision_aws.session import Session


class RouteTableAssociation(Belonging[RouteTableAssociationInputs, RouteTableAssociationOutputs]):
    """The association of a subnet with a route table."""

    token = "ec2:RouteTableAssociation"
    Inputs = RouteTableAssociationInputs
    Outputs = RouteTableAssociationOutputs
    noun = "association of a route table"
    whole = ROUTE_TABLE
    taken = ("Resource.AlreadyAssociated",)

    def whole_id(self, inputs: RouteTableAssociationInputs) -> str:
        """The table."""
        return inputs.route_table_id

    def key(self, live: Live, part: Live) -> str:
        """EC2's id."""
        return str(part["RouteTableAssociationId"])

    def parts(self, live: Live) -> Iterator[Live]:
        """Associations with subnets."""
        for part in live.get("Associations") or ():
            if part.get("SubnetId") and not part.get("Main"):
                yield part

    def clashes(self, live: Live, part: Live, inputs: RouteTableAssociationInputs) -> bool:
        """A subnet uses one table."""
        return bool(part["SubnetId"] == inputs.subnet_id)

    def leaving(self, part: Live) -> bool:
        """It is being dissolved."""
        return (part.get("AssociationState") or {}).get("State") in ("disassociating", "disassociated")

    def make(self, session: Session, inputs: RouteTableAssociationInputs) -> None:
        """One call, whose answer may tell all that there is to know."""
        answer = session.client().associate_route_table(RouteTableId=inputs.route_table_id, SubnetId=inputs.subnet_id)
        if (answer.get("AssociationState") or {}).get("State", "associated") == "associated":
            part = {"RouteTableAssociationId": answer["AssociationId"], "SubnetId": inputs.subnet_id}
            session.cache[_key(inputs)] = part

    def settled(self, operation: Operation, inputs: RouteTableAssociationInputs) -> Found:
        """As the call that made it told, else as EC2 shows it."""
        part = operation.session.cache.pop(_key(inputs), None)
        if part is not None:
            return {"RouteTableId": inputs.route_table_id}, part
        return super().settled(operation, inputs)

    def remove(self, operation: Operation, live: Live, part: Live, inputs: RouteTableAssociationInputs | None) -> None:
        """One call."""
        operation.session.client().disassociate_route_table(AssociationId=part["RouteTableAssociationId"])

    def seen(self, live: Live, part: Live, recorded: RouteTableAssociationInputs | None) -> dict[str, Any]:
        """As described."""
        return {"route_table_id": live["RouteTableId"], "subnet_id": part["SubnetId"]}

    def told(self, live: Live, part: Live) -> dict[str, Any]:
        """EC2's id."""
        return {"association_id": part["RouteTableAssociationId"]}


def _key(inputs: RouteTableAssociationInputs) -> tuple[str, str, str]:
    return ("association", inputs.route_table_id, inputs.subnet_id)
