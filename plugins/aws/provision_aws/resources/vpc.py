"""`ec2:Vpc`: the network that everything else of a stack lies in."""

from collections.abc import Iterator
from typing import Any

from provision.spi import Operation
from provision_aws import ground
from provision_aws.errors import code_of, explained
from provision_aws.kinds import SECURITY_GROUP, VPC
from provision_aws.ownership import STACK_TAG, stack_of
from provision_aws.reading import Live
from provision_aws.resources.base import Native
from provision_aws.resources.native_model import TaggedQuery
from provision_aws.resources.spelling import canonical
from provision_aws.resources.vpc_model import VpcInputs, VpcOutputs
from provision_aws.session import Session

_ATTRIBUTES = {
    "enable_dns_support": ("enableDnsSupport", "EnableDnsSupport", True),
    "enable_dns_hostnames": ("enableDnsHostnames", "EnableDnsHostnames", False),
}
"""By input: what EC2 calls it in a question, in an answer, and what a new VPC has."""


class Vpc(Native[VpcInputs, VpcOutputs]):
    """A VPC."""

    token = "ec2:Vpc"
    Inputs = VpcInputs
    Outputs = VpcOutputs
    Query = TaggedQuery
    kind = VPC

    def left(self, operation: Operation, inputs: VpcInputs, owner: Any, attempt: Any) -> Live | None:
        """What an earlier run left; where it left nothing at all, the VPC will be new ground."""
        found = super().left(operation, inputs, owner, attempt)
        if found is None and not attempt.begun and ground.is_bare(operation.session, inputs.stack_id):
            ground.add(operation.session, operation.urn)
        return found

    def make(self, session: Session, inputs: VpcInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call."""
        made: Live = session.client().create_vpc(
            CidrBlock=inputs.cidr_block,
            AmazonProvidedIpv6CidrBlock=inputs.amazon_provided_ipv6,
            InstanceTenancy=inputs.instance_tenancy,
            TagSpecifications=tags,
        )["Vpc"]
        return made

    def ready(self, live: Live) -> bool | str:
        """Also its ranges must be there."""
        under_way = [item for item in (*_blocks(live), *_ipv6(live)) if item[2] != "associated"]
        return super().ready(live) and not under_way

    def change(self, operation: Operation, live: Live, inputs: VpcInputs, *, fresh: bool) -> bool:
        """Ranges and name service."""
        session: Session = operation.session
        ec2, identity = session.client(), str(live["VpcId"])
        changed = False
        if fresh and ground.is_new(session, [operation.urn]):
            ground.add(session, identity)
        have = {canonical(block): association for block, association, _ in _blocks(live)}
        want = {canonical(block): block for block in (inputs.cidr_block, *inputs.secondary_cidr_blocks)}
        for block in sorted(want.keys() - have.keys()):
            ec2.associate_vpc_cidr_block(VpcId=identity, CidrBlock=want[block])
            changed = True
        for block in sorted(have.keys() - want.keys()):
            ec2.disassociate_vpc_cidr_block(AssociationId=have[block])
            changed = True
        ipv6 = list(_ipv6(live))
        if inputs.amazon_provided_ipv6 and not ipv6:
            ec2.associate_vpc_cidr_block(VpcId=identity, AmazonProvidedIpv6CidrBlock=True)
            changed = True
        for _, association, _ in [] if inputs.amazon_provided_ipv6 else ipv6:
            ec2.disassociate_vpc_cidr_block(AssociationId=association)
            changed = True
        for name, (question, answer, usual) in _ATTRIBUTES.items():
            now = usual if fresh else _attribute(session, identity, question, answer)
            if getattr(inputs, name) != now:
                ec2.modify_vpc_attribute(VpcId=identity, **{answer: {"Value": getattr(inputs, name)}})
                changed = changed or not fresh  # it is so at once, and nothing that is told of it has changed
        return changed

    def seen(self, session: Session, live: Live, recorded: VpcInputs | None) -> dict[str, Any]:
        """Its ranges, and what only further questions tell."""
        identity, first = str(live["VpcId"]), str(live["CidrBlock"])
        with explained(f"reading the VPC {identity}"):
            attributes = {
                name: _attribute(session, identity, question, answer)
                for name, (question, answer, _) in _ATTRIBUTES.items()
            }
        return {
            "cidr_block": first,
            "secondary_cidr_blocks": sorted(block for block, _, _ in _blocks(live) if block != first),
            "amazon_provided_ipv6": any(_ipv6(live)),
            "instance_tenancy": live.get("InstanceTenancy", "default"),
            **attributes,
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Its IPv6 range."""
        block = next((block for block, _, _ in _ipv6(live)), None)
        session.cache["IPv6 of", str(live["VpcId"])] = block is not None
        return {"ipv6_cidr_block": block, "owner_id": live.get("OwnerId") or session.account}

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call; security groups that interrupted runs left in it go first."""
        from botocore.exceptions import ClientError

        try:
            session.client().delete_vpc(VpcId=identity)
        except ClientError as error:
            if code_of(error) != "DependencyViolation" or not _swept(session, identity, stack_of(live)):
                raise
            session.client().delete_vpc(VpcId=identity)


def has_ipv6(session: Session, vpc_id: str) -> bool | None:
    """Whether a VPC has IPv6; None when this process has not seen it."""
    known: bool | None = session.cache.get(("IPv6 of", vpc_id))
    return known


def _swept(session: Session, vpc_id: str, stack_id: str) -> bool:
    """Remove the stack's groups in a VPC of which nothing is recorded any more; whether there were any."""
    if not stack_id:
        return False
    groups = [
        str(group["GroupId"])
        for group in session.reader.left(SECURITY_GROUP, {STACK_TAG: stack_id})
        if group.get("VpcId") == vpc_id
    ]
    for group in groups:
        session.client().delete_security_group(GroupId=group)
    return bool(groups)


def _attribute(session: Session, identity: str, question: str, answer: str) -> bool:
    return bool(session.client().describe_vpc_attribute(VpcId=identity, Attribute=question)[answer]["Value"])


def _blocks(live: Live) -> Iterator[tuple[str, str, str]]:
    """IPv4 ranges that it has or gets: range, association, state."""
    for item in live.get("CidrBlockAssociationSet") or ():
        state = str(item.get("CidrBlockState", {}).get("State", "associated"))
        if state in ("associated", "associating"):
            yield str(item["CidrBlock"]), str(item["AssociationId"]), state


def _ipv6(live: Live) -> Iterator[tuple[str, str, str]]:
    for item in live.get("Ipv6CidrBlockAssociationSet") or ():
        state = str(item.get("Ipv6CidrBlockState", {}).get("State", "associated"))
        if state in ("associated", "associating"):
            yield str(item.get("Ipv6CidrBlock", "")), str(item["AssociationId"]), state
