"""`ec2:Route`: where packets to one destination go."""

from collections.abc import Iterator
from typing import Any

from provision.errors import NotFound
from provision.spi import Operation, Updated, UpdateRequest
from provision.spi.cloud import is_adopted
from provision_aws.kinds import ROUTE_TABLE
from provision_aws.reading import Live
from provision_aws.resources.belonging import Belonging
from provision_aws.resources.routing_model import TARGETS, RouteInputs, RouteOutputs
from provision_aws.resources.spelling import canonical
from provision_aws.session import Session

_FIELDS = {
    "gateway_id": "GatewayId",
    "nat_gateway_id": "NatGatewayId",
    "egress_only_internet_gateway_id": "EgressOnlyInternetGatewayId",
    "network_interface_id": "NetworkInterfaceId",
    "vpc_peering_connection_id": "VpcPeeringConnectionId",
    "transit_gateway_id": "TransitGatewayId",
    "vpc_endpoint_id": "VpcEndpointId",
}
_DESTINATIONS = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")


class Route(Belonging[RouteInputs, RouteOutputs]):
    """A route."""

    token = "ec2:Route"
    Inputs = RouteInputs
    Outputs = RouteOutputs
    noun = "route"
    whole = ROUTE_TABLE
    taken = ("RouteAlreadyExists",)

    def whole_id(self, inputs: RouteInputs) -> str:
        """The table."""
        return inputs.route_table_id

    def key(self, live: Live, part: Live) -> str:
        """The destination."""
        return _destination(part)

    def parts(self, live: Live) -> Iterator[Live]:
        """Routes that are in no way made by EC2 itself."""
        for route in live.get("Routes") or ():
            if route.get("GatewayId") != "local" and route.get("Origin") != "EnableVgwRoutePropagation":
                yield route

    def clashes(self, live: Live, part: Live, inputs: RouteInputs) -> bool:
        """A table has one route for a destination."""
        return _destination(part) == canonical(inputs.destination)

    def make(self, session: Session, inputs: RouteInputs) -> None:
        """One call."""
        session.client().create_route(RouteTableId=inputs.route_table_id, **_to(inputs.destination), **_target(inputs))

    def update(self, request: UpdateRequest[RouteInputs, RouteOutputs]) -> Updated[RouteOutputs]:
        """Another target."""
        operation, inputs = request.operation, request.inputs
        session: Session = operation.session
        session.touched(inputs.route_table_id)
        found = self.found(session, request.id, "", fresh=True)
        if found is None:
            raise NotFound(f"the route {request.id} is gone", "`provision refresh`, then run again: it is made anew")
        if not self.is_wanted(found, inputs):
            self.refuse_foreign(session, found, request.old_inputs, request.outputs)
            with session.explained(f"changing the route {request.id}"):
                session.client().replace_route(
                    RouteTableId=inputs.route_table_id, **_to(inputs.destination), **_target(inputs)
                )
        return Updated(self.outputs(self.settled(operation, inputs), adopted=is_adopted(request.outputs)))

    def remove(self, operation: Operation, live: Live, part: Live, inputs: RouteInputs | None) -> None:
        """One call."""
        operation.session.client().delete_route(RouteTableId=live["RouteTableId"], **_to(_destination(part)))

    def seen(self, live: Live, part: Live, recorded: RouteInputs | None) -> dict[str, Any]:
        """Its one target; the destination as it is recorded."""
        destination = _destination(part)
        if recorded is not None and canonical(recorded.destination) == destination:
            destination = recorded.destination
        targets = {name: part.get(field) or None for name, field in _FIELDS.items()}
        gateway = targets["gateway_id"]
        if gateway is not None and gateway.startswith("vpce-"):  # told there, whatever it was asked as
            targets |= {"gateway_id": None, "vpc_endpoint_id": gateway}
        return {"route_table_id": live["RouteTableId"], "destination": destination, **targets}

    def told(self, live: Live, part: Live) -> dict[str, Any]:
        """Whether its target is there."""
        return {"state": part.get("State") or "active"}


def _target(inputs: RouteInputs) -> dict[str, Any]:
    return {_FIELDS[name]: getattr(inputs, name) for name in TARGETS if getattr(inputs, name) is not None}


def _to(destination: str) -> dict[str, str]:
    if destination.startswith("pl-"):
        return {"DestinationPrefixListId": destination}
    return {"DestinationIpv6CidrBlock" if ":" in destination else "DestinationCidrBlock": destination}


def _destination(part: Live) -> str:
    return canonical(str(next(part[field] for field in _DESTINATIONS if part.get(field))))
