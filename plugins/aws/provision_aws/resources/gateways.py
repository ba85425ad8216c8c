"""`ec2:InternetGateway`, `ec2:EgressOnlyGateway` and `ec2:NatGateway`: the ways out of a VPC."""

from collections.abc import Iterable
from typing import Any

from provision.spi import Operation
from provision_aws.errors import is_absent
from provision_aws.kinds import EGRESS_ONLY_GATEWAY, INTERNET_GATEWAY, NAT_GATEWAY
from provision_aws.reading import Live
from provision_aws.resources.base import Native
from provision_aws.resources.inside import Inside
from provision_aws.resources.native_model import TaggedQuery
from provision_aws.resources.routing_model import (
    EgressOnlyGatewayInputs,
    EgressOnlyGatewayOutputs,
    InternetGatewayInputs,
    InternetGatewayOutputs,
    NatGatewayInputs,
    NatGatewayOutputs,
)
from provision_aws.session import Session


class InternetGateway(Native[InternetGatewayInputs, InternetGatewayOutputs]):
    """The way between a VPC and the internet."""

    token = "ec2:InternetGateway"
    Inputs = InternetGatewayInputs
    Outputs = InternetGatewayOutputs
    Query = TaggedQuery
    kind = INTERNET_GATEWAY

    def make(self, session: Session, inputs: InternetGatewayInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call; it is attached by another."""
        made: Live = session.client().create_internet_gateway(TagSpecifications=tags)["InternetGateway"]
        return made

    def change(self, operation: Operation, live: Live, inputs: InternetGatewayInputs, *, fresh: bool) -> bool:
        """Attach it, when it is not."""
        if _attached(live):
            return False
        operation.session.client().attach_internet_gateway(
            InternetGatewayId=live["InternetGatewayId"], VpcId=inputs.vpc_id
        )
        return True

    def unfit(self, live: Any, wanted: Any) -> list[str]:
        """One that was not attached yet will do."""
        return super().unfit(live, wanted) if live.vpc_id else []

    def seen(self, session: Session, live: Live, recorded: InternetGatewayInputs | None) -> dict[str, Any]:
        """Where it is attached."""
        return {"vpc_id": _attached(live)}

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Whose it is."""
        return {"owner_id": live.get("OwnerId") or session.account}

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """Detach it first."""
        from botocore.exceptions import ClientError

        vpc_id = _attached(live)
        if vpc_id:
            try:
                session.client().detach_internet_gateway(InternetGatewayId=identity, VpcId=vpc_id)
            except ClientError as error:
                if not is_absent(error):
                    raise
        session.client().delete_internet_gateway(InternetGatewayId=identity)


class EgressOnlyGateway(Inside[EgressOnlyGatewayInputs, EgressOnlyGatewayOutputs]):
    """The way out for IPv6."""

    token = "ec2:EgressOnlyGateway"
    Inputs = EgressOnlyGatewayInputs
    Outputs = EgressOnlyGatewayOutputs
    Query = TaggedQuery
    kind = EGRESS_ONLY_GATEWAY

    def around(self, inputs: EgressOnlyGatewayInputs) -> Iterable[str]:
        """Its VPC."""
        return [inputs.vpc_id]

    def make(self, session: Session, inputs: EgressOnlyGatewayInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call."""
        made: Live = session.client().create_egress_only_internet_gateway(
            VpcId=inputs.vpc_id, TagSpecifications=tags, ClientToken=token
        )["EgressOnlyInternetGateway"]
        return made

    def ready(self, live: Live) -> bool | str:
        """It must be attached."""
        return bool(_attached(live))

    def seen(self, session: Session, live: Live, recorded: EgressOnlyGatewayInputs | None) -> dict[str, Any]:
        """Where it is attached."""
        return {"vpc_id": _attached(live)}

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Its state."""
        return {"state": "attached" if _attached(live) else "detached"}

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call."""
        session.client().delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=identity)


class NatGateway(Inside[NatGatewayInputs, NatGatewayOutputs]):
    """Connections from private addresses to elsewhere, under one address."""

    token = "ec2:NatGateway"
    Inputs = NatGatewayInputs
    Outputs = NatGatewayOutputs
    kind = NAT_GATEWAY
    waits_until_gone = True

    def around(self, inputs: NatGatewayInputs) -> Iterable[str]:
        """Its subnet."""
        return [inputs.subnet_id]

    def make(self, session: Session, inputs: NatGatewayInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call."""
        wanted = {
            "SubnetId": inputs.subnet_id,
            "ConnectivityType": inputs.connectivity_type,
            "AllocationId": inputs.allocation_id,
            "PrivateIpAddress": inputs.private_ip_address,
        }
        given = {key: value for key, value in wanted.items() if value is not None}
        with session.explained("making a NAT gateway"):
            made: Live = session.client().create_nat_gateway(**given, TagSpecifications=tags, ClientToken=token)[
                "NatGateway"
            ]
        return made

    def ready(self, live: Live) -> bool | str:
        """It may fail in the making."""
        if live.get("State") == "failed":
            return f"it failed: {live.get('FailureMessage') or live.get('FailureCode') or 'EC2 does not say why'}"
        return live.get("State") == "available"

    def seen(self, session: Session, live: Live, recorded: NatGatewayInputs | None) -> dict[str, Any]:
        """As described; an address that EC2 chose is not wanted as such."""
        address = _address(live)
        private = address.get("PrivateIp")
        public = str(live.get("ConnectivityType", "public")) == "public"
        return {
            "subnet_id": live["SubnetId"],
            "connectivity_type": live.get("ConnectivityType", "public"),
            "allocation_id": address.get("AllocationId") if public else None,
            "private_ip_address": private if recorded is not None and recorded.private_ip_address else None,
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Its addresses."""
        address = _address(live)
        return {
            "vpc_id": live["VpcId"],
            "public_ip": address.get("PublicIp") or None,
            "private_ip_address": address.get("PrivateIp", ""),
            "network_interface_id": address.get("NetworkInterfaceId") or None,
        }

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call."""
        session.client().delete_nat_gateway(NatGatewayId=identity)


def _attached(live: Live) -> str:
    """The VPC that a gateway is attached to; empty for none."""
    for item in live.get("Attachments") or ():
        if item.get("State") in ("available", "attached", "attaching"):
            return str(item["VpcId"])
    return ""


def _address(live: Live) -> dict[str, Any]:
    addresses = live.get("NatGatewayAddresses") or [{}]
    return dict(next((item for item in addresses if item.get("IsPrimary")), addresses[0]))
