"""`ec2:SecurityGroupRule`: one rule of a security group."""

from collections.abc import Iterable
from typing import Any

from provision.errors import ForeignObject
from provision.spi import Operation
from provision_aws.errors import code_of
from provision_aws.kinds import SECURITY_GROUP_RULE
from provision_aws.reading import Live
from provision_aws.resources.group_model import SecurityGroupRuleInputs, SecurityGroupRuleOutputs
from provision_aws.resources.inside import Inside
from provision_aws.resources.native_model import TaggedQuery
from provision_aws.session import Session

_WITH_PORTS = ("tcp", "udp", "icmp", "icmpv6")
_CHANGING = ("ip_protocol", "from_port", "to_port", "description")


class SecurityGroupRule(Inside[SecurityGroupRuleInputs, SecurityGroupRuleOutputs]):
    """A rule. What it let in before it was removed stays connected: EC2 tracks connections."""

    token = "ec2:SecurityGroupRule"
    Inputs = SecurityGroupRuleInputs
    Outputs = SecurityGroupRuleOutputs
    Query = TaggedQuery
    kind = SECURITY_GROUP_RULE

    def around(self, inputs: SecurityGroupRuleInputs) -> Iterable[str]:
        """Its group."""
        return [inputs.security_group_id]

    def make(self, session: Session, inputs: SecurityGroupRuleInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call."""
        from botocore.exceptions import ClientError

        authorize = getattr(session.client(), f"authorize_security_group_{inputs.direction}")
        try:
            answer = authorize(
                GroupId=inputs.security_group_id, IpPermissions=[_permission(inputs)], TagSpecifications=tags
            )
        except ClientError as error:
            if code_of(error) == "InvalidPermission.Duplicate":
                raise ForeignObject(
                    f"the security group {inputs.security_group_id} has this rule already, and this resource did not "
                    "make it; it was not touched",
                    "remove that rule by hand, or write it once only",
                ) from None
            raise
        made: Live = answer["SecurityGroupRules"][0]
        return made

    def change(self, operation: Operation, live: Live, inputs: SecurityGroupRuleInputs, *, fresh: bool) -> bool:
        """One call."""
        if fresh:
            return False
        now = self.seen(operation.session, live, inputs)
        if all(now[name] == getattr(inputs, name) for name in _CHANGING):
            return False
        operation.session.client().modify_security_group_rules(
            GroupId=live["GroupId"],
            SecurityGroupRules=[
                {"SecurityGroupRuleId": live["SecurityGroupRuleId"], "SecurityGroupRule": _request(inputs)}
            ],
        )
        return True

    def seen(self, session: Session, live: Live, recorded: SecurityGroupRuleInputs | None) -> dict[str, Any]:
        """As described."""
        protocol = str(live["IpProtocol"])
        ports = protocol in _WITH_PORTS
        return {
            "security_group_id": live["GroupId"],
            "direction": "egress" if live["IsEgress"] else "ingress",
            "ip_protocol": protocol,
            "from_port": live.get("FromPort") if ports else None,
            "to_port": live.get("ToPort") if ports else None,
            "cidr_ipv4": live.get("CidrIpv4"),
            "cidr_ipv6": live.get("CidrIpv6"),
            "prefix_list_id": live.get("PrefixListId"),
            "referenced_security_group_id": (live.get("ReferencedGroupInfo") or {}).get("GroupId"),
            "description": live.get("Description") or "",
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Whose it is."""
        return {"owner_id": live.get("GroupOwnerId") or session.account}

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call."""
        direction = "egress" if live["IsEgress"] else "ingress"
        revoke = getattr(session.client(), f"revoke_security_group_{direction}")
        revoke(GroupId=live["GroupId"], SecurityGroupRuleIds=[identity])


def _permission(inputs: SecurityGroupRuleInputs) -> dict[str, Any]:
    text = {"Description": inputs.description} if inputs.description else {}
    peers: dict[str, dict[str, Any]] = {
        "IpRanges": {"CidrIp": inputs.cidr_ipv4},
        "Ipv6Ranges": {"CidrIpv6": inputs.cidr_ipv6},
        "PrefixListIds": {"PrefixListId": inputs.prefix_list_id},
        "UserIdGroupPairs": {"GroupId": inputs.referenced_security_group_id},
    }
    permission: dict[str, Any] = {"IpProtocol": inputs.ip_protocol}
    permission |= {name: [peer | text] for name, peer in peers.items() if None not in peer.values()}
    if inputs.from_port is not None:
        permission |= {"FromPort": inputs.from_port, "ToPort": inputs.to_port}
    return permission


def _request(inputs: SecurityGroupRuleInputs) -> dict[str, Any]:
    wanted = {
        "CidrIpv4": inputs.cidr_ipv4,
        "CidrIpv6": inputs.cidr_ipv6,
        "PrefixListId": inputs.prefix_list_id,
        "ReferencedGroupId": inputs.referenced_security_group_id,
        "Description": inputs.description,
        "IpProtocol": inputs.ip_protocol,
        "FromPort": -1 if inputs.from_port is None else inputs.from_port,
        "ToPort": -1 if inputs.to_port is None else inputs.to_port,
    }
    return {key: value for key, value in wanted.items() if value is not None}
