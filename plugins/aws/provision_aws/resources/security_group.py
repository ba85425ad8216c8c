"""`ec2:SecurityGroup`: what may reach machines, and what they may reach; empty when it is made."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from provision.errors import PlatformError
from provision.spi import Operation, Pending, Replacement
from provision.spi.cloud import Attempt
from provision_aws.errors import code_of, explained
from provision_aws.kinds import RULES_OF_GROUP, SECURITY_GROUP
from provision_aws.ownership import Owner, stack_of
from provision_aws.reading import Live
from provision_aws.resources.group_model import SecurityGroupInputs, SecurityGroupOutputs
from provision_aws.resources.inside import Inside
from provision_aws.resources.vpc import has_ipv6
from provision_aws.session import Session

_SUFFIX = 10

_NOBODYS = "Nobody's yet"
"""Mark of a group that this process made just now, of which nobody else knows."""

_ANYWHERE: Mapping[int, tuple[str, Mapping[str, str]]] = {
    4: ("IpRanges", {"CidrIp": "0.0.0.0/0"}),
    6: ("Ipv6Ranges", {"CidrIpv6": "::/0"}),
}


class SecurityGroup(Inside[SecurityGroupInputs, SecurityGroupOutputs]):
    """A security group. A group in use cannot be removed, so a new one is made first.

    Each has a random suffix in its name, and is never adopted, since what is found may be the live one. What
    interrupted runs left is removed when the group is changed, or its VPC is removed.
    """

    token = "ec2:SecurityGroup"
    Inputs = SecurityGroupInputs
    Outputs = SecurityGroupOutputs
    kind = SECURITY_GROUP
    replacement = Replacement.CREATE_FIRST

    def left(self, operation: Operation, inputs: SecurityGroupInputs, owner: Owner, attempt: Attempt) -> Live | None:
        """What this very attempt has made; its answer was lost."""
        if not attempt.begun:
            return None
        name = _name(inputs, attempt.token)
        filters = [{"Name": "group-name", "Values": [name]}, {"Name": "vpc-id", "Values": [inputs.vpc_id]}]
        found = [live for live in operation.session.reader.all(self.kind, filters) if owner.made(live)]
        return found[0] if found else None

    def around(self, inputs: SecurityGroupInputs) -> Iterable[str]:
        """Its VPC."""
        return [inputs.vpc_id]

    def make(self, session: Session, inputs: SecurityGroupInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call; what EC2 lets out by itself is taken away by others."""
        name = _name(inputs, token)
        made: Live = session.client().create_security_group(
            GroupName=name,
            Description=inputs.description,
            VpcId=inputs.vpc_id,
            TagSpecifications=tags,
        )
        identity = str(made["GroupId"])
        self.stands(session, identity, inputs)
        return {
            "GroupId": identity,
            "GroupName": name,
            "Description": inputs.description,
            "VpcId": inputs.vpc_id,
            "OwnerId": session.account,
            "Tags": tags[0]["Tags"],
            _NOBODYS: True,
        }

    def change(self, operation: Operation, live: Live, inputs: SecurityGroupInputs, *, fresh: bool) -> bool:
        """Take away what EC2 put in, and what is foreign in an exclusive group; remove what interrupted runs left."""
        session: Session = operation.session
        identity = str(live["GroupId"])
        if fresh:
            _empty(operation, identity, inputs.vpc_id)
            return False
        rules = session.reader.parts(RULES_OF_GROUP, identity)
        self._sweep(operation, identity, inputs)
        doomed = [rule for rule in rules if _is_implicit(rule)]
        if inputs.exclusive:
            doomed += [rule for rule in _foreign(rules, inputs.stack_id) if rule not in doomed]
        for direction in ("ingress", "egress"):
            ids = [rule["SecurityGroupRuleId"] for rule in doomed if rule["IsEgress"] == (direction == "egress")]
            if ids:
                revoke = getattr(session.client(), f"revoke_security_group_{direction}")
                revoke(GroupId=identity, SecurityGroupRuleIds=sorted(ids))
        return bool(doomed)

    def seen(self, session: Session, live: Live, recorded: SecurityGroupInputs | None) -> dict[str, Any]:
        """Its name without the suffix, and foreign rules where they are not wanted."""
        name = str(live["GroupName"])
        base = name.rpartition("-")[0] if stack_of(live) else ""
        exclusive = recorded is not None and recorded.exclusive
        found = self._found(session, live) if exclusive else []
        return {
            "vpc_id": live.get("VpcId", ""),
            "group_name": base or name,
            "description": live["Description"],
            "exclusive": exclusive,
            "foreign_rules": found,
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Its whole name, and what is foreign in it."""
        return {
            "group_name": live["GroupName"],
            "owner_id": live.get("OwnerId") or session.account,
            "found_rules": self._found(session, live),
        }

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call."""
        session.client().delete_security_group(GroupId=identity)

    def _found(self, session: Session, live: Live) -> list[str]:
        if live.get(_NOBODYS):
            return []
        rules = session.reader.parts(RULES_OF_GROUP, str(live["GroupId"]))
        return sorted(str(rule["SecurityGroupRuleId"]) for rule in _foreign(rules, stack_of(live)))

    def _sweep(self, operation: Operation, identity: str, inputs: SecurityGroupInputs) -> None:
        from botocore.exceptions import ClientError

        session: Session = operation.session
        owner = Owner(inputs.stack_id, operation.urn)
        for live in session.reader.left(self.kind, owner.tags()) if inputs.stack_id else ():
            other = str(live["GroupId"])
            if other == identity or not owner.made(live):
                continue
            operation.report(f"removing the security group {other}, which an earlier run left")
            with contextlib.suppress(PlatformError), explained(f"removing the security group {other}"):
                try:
                    session.client().delete_security_group(GroupId=other)
                except ClientError as error:
                    if code_of(error) not in ("DependencyViolation", "InvalidGroup.InUse"):
                        raise


def _name(inputs: SecurityGroupInputs, token: str) -> str:
    return f"{inputs.group_name}-{token[:_SUFFIX]}"


def _empty(operation: Operation, identity: str, vpc_id: str) -> None:
    """Take away what EC2 put into a group when it was made: everything may go out, over IPv6 where its VPC has that.

    EC2 refuses, and takes nothing away, when one of the rules is not there (EC2 API Reference,
    RevokeSecurityGroupEgress). Of a VPC of which this process does not know whether it has IPv6 it is asked first.
    """
    session: Session = operation.session
    six = has_ipv6(session, vpc_id)
    if six is not None:
        everywhere = {name: [dict(prefix)] for version, (name, prefix) in _ANYWHERE.items() if version == 4 or six}
        session.client().revoke_security_group_egress(
            GroupId=identity, IpPermissions=[{"IpProtocol": "-1", **everywhere}]
        )
        return

    def look() -> "list[str] | Pending":
        rules = session.reader.parts(RULES_OF_GROUP, identity)
        found = sorted(str(rule["SecurityGroupRuleId"]) for rule in rules if _is_implicit(rule))
        return found or Pending("EC2 does not show the rules of the security group yet")

    doomed = operation.wait_until(look)
    session.client().revoke_security_group_egress(GroupId=identity, SecurityGroupRuleIds=doomed)


def _is_implicit(rule: Live) -> bool:
    """Whether EC2 made it by itself: everything may go out (VPC User Guide, "Default rules")."""
    return bool(
        rule["IsEgress"]
        and str(rule["IpProtocol"]) == "-1"
        and (rule.get("CidrIpv4") == "0.0.0.0/0" or rule.get("CidrIpv6") == "::/0")
        and not rule.get("Tags")
        and not rule.get("Description")
    )


def _foreign(rules: list[Live], stack_id: str) -> Iterator[Live]:
    return (rule for rule in rules if stack_of(rule) != stack_id)
