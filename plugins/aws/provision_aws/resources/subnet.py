"""`ec2:Subnet`: a range of a VPC in one zone."""

from collections.abc import Iterable
from typing import Any

from provision.errors import ForeignObject
from provision.spi import Operation
from provision_aws.errors import code_of
from provision_aws.kinds import SUBNET
from provision_aws.reading import Live
from provision_aws.resources.inside import Inside
from provision_aws.resources.spelling import nth_64
from provision_aws.resources.vpc_model import SubnetInputs, SubnetOutputs
from provision_aws.session import Session

_ATTRIBUTES = {
    "map_public_ip_on_launch": "MapPublicIpOnLaunch",
    "assign_ipv6_address_on_creation": "AssignIpv6AddressOnCreation",
}


class Subnet(Inside[SubnetInputs, SubnetOutputs]):
    """A subnet."""

    token = "ec2:Subnet"
    Inputs = SubnetInputs
    Outputs = SubnetOutputs
    kind = SUBNET

    def around(self, inputs: SubnetInputs) -> Iterable[str]:
        """Its VPC."""
        return [inputs.vpc_id]

    def make(self, session: Session, inputs: SubnetInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call."""
        from botocore.exceptions import ClientError

        more = {}
        if inputs.ipv6_index is not None and inputs.vpc_ipv6_cidr_block is not None:
            more["Ipv6CidrBlock"] = nth_64(inputs.vpc_ipv6_cidr_block, inputs.ipv6_index)
        try:
            made: Live = session.client().create_subnet(
                VpcId=inputs.vpc_id,
                CidrBlock=inputs.cidr_block,
                AvailabilityZone=inputs.availability_zone,
                TagSpecifications=tags,
                **more,
            )["Subnet"]
        except ClientError as error:
            if code_of(error) == "InvalidSubnet.Conflict":
                raise ForeignObject(
                    f"the range {inputs.cidr_block} overlaps with that of a subnet which this stack did not make; "
                    "it was not touched",
                    "give the network another range, or refer to the subnet that is there",
                ) from None
            raise
        self.stands(session, str(made["SubnetId"]), inputs)
        return made

    def change(self, operation: Operation, live: Live, inputs: SubnetInputs, *, fresh: bool) -> bool:
        """One call for each: EC2 takes no two together."""
        changed = False
        for name, field in _ATTRIBUTES.items():
            if bool(live.get(field, False)) != getattr(inputs, name):
                operation.session.client().modify_subnet_attribute(
                    SubnetId=live["SubnetId"], **{field: {"Value": getattr(inputs, name)}}
                )
                changed = True
        return changed

    def seen(self, session: Session, live: Live, recorded: SubnetInputs | None) -> dict[str, Any]:
        """As described; the VPC's own range is not told."""
        block = _ipv6(live)
        vpc_block, index = (recorded.vpc_ipv6_cidr_block, recorded.ipv6_index) if recorded else (None, None)
        if index is not None and vpc_block is not None and block != nth_64(vpc_block, index):
            vpc_block, index = block, 0 if block else None
        if recorded is None and block is not None:
            vpc_block, index = block, 0
        return {
            "vpc_id": live["VpcId"],
            "cidr_block": live["CidrBlock"],
            "availability_zone": live["AvailabilityZone"],
            "vpc_ipv6_cidr_block": vpc_block,
            "ipv6_index": index,
            **{name: bool(live.get(field, False)) for name, field in _ATTRIBUTES.items()},
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Its zone and IPv6 range."""
        return {"availability_zone": live["AvailabilityZone"], "ipv6_cidr_block": _ipv6(live)}

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call."""
        session.client().delete_subnet(SubnetId=identity)


def _ipv6(live: Live) -> str | None:
    for item in live.get("Ipv6CidrBlockAssociationSet") or ():
        if item.get("Ipv6CidrBlockState", {}).get("State", "associated") in ("associated", "associating"):
            return str(item["Ipv6CidrBlock"])
    return None
