"""`network:SecurityGroupRule`: one rule of a security group."""

from typing import Any

from provision.errors import ForeignObject
from provision_openstack.errors import ApiError
from provision_openstack.kinds import SECURITY_GROUP_RULE
from provision_openstack.ownership import Owner
from provision_openstack.reading import Live
from provision_openstack.resources.base import Native
from provision_openstack.resources.group_model import REMOTES, SecurityGroupRuleInputs, SecurityGroupRuleOutputs
from provision_openstack.session import Session

_PLAIN = ("security_group_id", "direction", "ethertype", "protocol", "port_range_min", "port_range_max", *REMOTES)


class SecurityGroupRule(Native[SecurityGroupRuleInputs, SecurityGroupRuleOutputs]):
    """A rule. When it goes Neutron cuts the connections that it let through, where its driver can."""

    token = "network:SecurityGroupRule"
    Inputs = SecurityGroupRuleInputs
    Outputs = SecurityGroupRuleOutputs
    kind = SECURITY_GROUP_RULE
    within = "security_group_id"

    def body(self, session: Session, inputs: SecurityGroupRuleInputs) -> dict[str, Any]:
        """As wanted."""
        return {name: getattr(inputs, name) for name in _PLAIN}

    def make(self, session: Session, inputs: SecurityGroupRuleInputs, owner: Owner) -> Live:
        """Neutron takes no rule twice, whoever made the first.

        Raises:
            ForeignObject: there is the same rule.
        """
        try:
            return super().make(session, inputs, owner)
        except ApiError as error:
            if error.status == 409 and error.code == "SecurityGroupRuleExists":
                raise ForeignObject(
                    f"the security group {inputs.security_group_id} has this rule already, and this resource did not "
                    "make it; it was not touched",
                    "remove that rule by hand, or write it once only",
                ) from None
            raise

    def seen(self, session: Session, live: Live, recorded: SecurityGroupRuleInputs | None) -> dict[str, Any]:
        """As shown; a range that means all is none."""
        values = {name: live.get(name) for name in _PLAIN}
        if values["protocol"] is not None:
            values["protocol"] = str(values["protocol"])
        if recorded is not None and recorded.protocol in ("icmpv6", "ipv6-icmp") and values["protocol"] == "ipv6-icmp":
            values["protocol"] = recorded.protocol
        return values

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Whose it is."""
        return {"project_id": live.get("project_id") or live.get("tenant_id") or ""}
