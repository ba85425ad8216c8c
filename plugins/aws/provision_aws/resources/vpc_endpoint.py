"""`ec2:VpcEndpoint`: a way to one of Amazon's services, without the internet."""

import json
from collections.abc import Iterable
from typing import Any

from provision.errors import ForeignObject
from provision.spi import Operation
from provision_aws.errors import code_of, explained, refuse_unsuccessful
from provision_aws.kinds import PREFIX_LIST, VPC_ENDPOINT
from provision_aws.ownership import stack_of
from provision_aws.reading import Live
from provision_aws.resources.endpoint_model import VpcEndpointInputs, VpcEndpointOutputs, compact
from provision_aws.resources.inside import Inside
from provision_aws.session import Session

_SETS = {"route_table_ids": "RouteTableIds", "subnet_ids": "SubnetIds", "security_group_ids": "SecurityGroupIds"}
_EVERYTHING = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
"""The statement that EC2 puts into an endpoint without a policy."""


class VpcEndpoint(Inside[VpcEndpointInputs, VpcEndpointOutputs]):
    """An endpoint."""

    token = "ec2:VpcEndpoint"
    Inputs = VpcEndpointInputs
    Outputs = VpcEndpointOutputs
    kind = VPC_ENDPOINT
    waits_until_gone = True

    def around(self, inputs: VpcEndpointInputs) -> Iterable[str]:
        """Its VPC."""
        return [inputs.vpc_id]

    def make(self, session: Session, inputs: VpcEndpointInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call."""
        wanted: dict[str, Any] = {
            "VpcId": inputs.vpc_id,
            "ServiceName": inputs.service_name,
            "VpcEndpointType": inputs.endpoint_type,
            "PolicyDocument": inputs.policy,
            "PrivateDnsEnabled": inputs.private_dns_enabled if inputs.endpoint_type == "Interface" else None,
            **{field: getattr(inputs, name) or None for name, field in _SETS.items()},
        }
        given = {key: value for key, value in wanted.items() if value is not None}
        try:
            answer = session.client().create_vpc_endpoint(**given, TagSpecifications=tags, ClientToken=token)
        except Exception as error:
            if code_of(error) == "RouteAlreadyExists":
                raise _taken(session, inputs) from error
            raise
        made: Live = answer["VpcEndpoint"]
        return made

    def ready(self, live: Live) -> bool | str:
        """It is open; whoever offers the service may have to agree, or may refuse."""
        state = self.kind.state(live).lower()
        if state in ("rejected", "failed", "expired"):
            reason = (live.get("LastError") or {}).get("Message") or live.get("FailureReason")
            return f"it is {state}: {reason or 'EC2 does not say why'}"
        return state == "available"

    def change(self, operation: Operation, live: Live, inputs: VpcEndpointInputs, *, fresh: bool) -> bool:
        """One call."""
        if fresh:
            return False
        now = self.seen(operation.session, live, inputs)
        change: dict[str, Any] = {}
        for name, field in _SETS.items():
            have, want = set(now[name]), set(getattr(inputs, name))
            if want - have:
                change[f"Add{field}"] = sorted(want - have)
            if have - want:
                change[f"Remove{field}"] = sorted(have - want)
        if compact(now["policy"]) != compact(inputs.policy):
            change |= {"ResetPolicy": True} if inputs.policy is None else {"PolicyDocument": inputs.policy}
        if now["private_dns_enabled"] != inputs.private_dns_enabled:
            change["PrivateDnsEnabled"] = inputs.private_dns_enabled
        if change:
            operation.session.client().modify_vpc_endpoint(VpcEndpointId=live["VpcEndpointId"], **change)
        return bool(change)

    def seen(self, session: Session, live: Live, recorded: VpcEndpointInputs | None) -> dict[str, Any]:
        """As described; a policy that allows everything is not wanted as such."""
        interface = str(live.get("VpcEndpointType")) == "Interface"
        policy = live.get("PolicyDocument") or None
        if recorded is not None and compact(policy) == compact(recorded.policy):
            policy = recorded.policy
        elif _allows_everything(policy):
            policy = None
        values: dict[str, Any] = {
            "vpc_id": live["VpcId"],
            "service_name": live["ServiceName"],
            "endpoint_type": "Interface" if interface else "Gateway",
            "route_table_ids": [] if interface else list(live.get("RouteTableIds") or ()),
            "subnet_ids": list(live.get("SubnetIds") or ()) if interface else [],
            "security_group_ids": [str(group["GroupId"]) for group in live.get("Groups") or ()] if interface else [],
            "private_dns_enabled": interface and bool(live.get("PrivateDnsEnabled")),
            "policy": policy,
        }
        for name in _SETS:
            if recorded is not None and set(values[name]) == set(getattr(recorded, name)):
                values[name] = list(getattr(recorded, name))
        return values

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Its names, interfaces, and the addresses that its routes lead to."""
        return {
            "state": self.kind.state(live).lower(),
            "prefix_list_id": None
            if live.get("VpcEndpointType") == "Interface"
            else _prefix_list(session, str(live["ServiceName"])),
            "dns_names": [str(entry["DnsName"]) for entry in live.get("DnsEntries") or () if entry.get("DnsName")],
            "network_interface_ids": list(live.get("NetworkInterfaceIds") or ()),
        }

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call, which succeeds as a whole also when it failed for an endpoint."""
        answer = session.client().delete_vpc_endpoints(VpcEndpointIds=[identity])
        refuse_unsuccessful(answer, "removing the VPC endpoint", "run again once nothing uses it")


def _allows_everything(policy: str | None) -> bool:
    try:
        (statement,) = json.loads(policy or "{}").get("Statement", ())
    except (ValueError, AttributeError):
        return False
    return isinstance(statement, dict) and {key: statement.get(key) for key in _EVERYTHING} == _EVERYTHING


def _taken(session: Session, inputs: VpcEndpointInputs) -> ForeignObject:
    """A table has one route to a service: what the message says is who has it."""
    filters = [{"Name": "vpc-id", "Values": [inputs.vpc_id]}]
    holders = (
        f"the VPC endpoint {live['VpcEndpointId']} ({'of another stack' if stack_of(live) else 'which no stack made'})"
        for live in session.reader.all(VPC_ENDPOINT, filters)
        if live["ServiceName"] == inputs.service_name
        and not VPC_ENDPOINT.is_gone(live)
        and set(inputs.route_table_ids) & set(live.get("RouteTableIds") or ())
    )
    holder = next(holders, "a route that is in the table already")
    return ForeignObject(
        f"{', '.join(inputs.route_table_ids)}: {inputs.service_name} is reached by {holder}; it was not touched",
        "remove it by hand, or leave the service out of `endpoints`",
    )


def _prefix_list(session: Session, service: str) -> str | None:
    """Id of Amazon's own list of a service's addresses; it never changes."""

    def ask() -> str | None:
        with explained(f"looking for the addresses of {service}"):
            filters = [{"Name": "prefix-list-name", "Values": [service]}]
            found = list(session.reader.all(PREFIX_LIST, filters))
        return next((str(one["PrefixListId"]) for one in found if one.get("PrefixListName") == service), None)

    identity: str | None = session.once(("prefix list of", service), ask)
    return identity
