"""`ec2:NetworkInterface`: an interface that outlives machines."""

from collections.abc import Iterable
from typing import Any

from provision.errors import ForeignObject
from provision.spi import Operation
from provision_aws.errors import code_of
from provision_aws.kinds import NETWORK_INTERFACE
from provision_aws.ownership import stack_of
from provision_aws.reading import Live
from provision_aws.resources.inside import Inside
from provision_aws.resources.interface_model import NetworkInterfaceInputs, NetworkInterfaceOutputs
from provision_aws.resources.spelling import within
from provision_aws.session import Session


class NetworkInterface(Inside[NetworkInterfaceInputs, NetworkInterfaceOutputs]):
    """A network interface."""

    token = "ec2:NetworkInterface"
    Inputs = NetworkInterfaceInputs
    Outputs = NetworkInterfaceOutputs
    kind = NETWORK_INTERFACE

    def around(self, inputs: NetworkInterfaceInputs) -> Iterable[str]:
        """Its subnet."""
        return [inputs.subnet_id]

    def make(self, session: Session, inputs: NetworkInterfaceInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call."""
        from botocore.exceptions import ClientError

        wanted = {
            "SubnetId": inputs.subnet_id,
            "PrivateIpAddress": inputs.private_ip_address,
            "Ipv6Addresses": [{"Ipv6Address": one} for one in ipv6_addresses(inputs)] or None,
            "Groups": inputs.security_group_ids,
            "Description": inputs.description or None,
        }
        given = {key: value for key, value in wanted.items() if value is not None}
        try:
            made: Live = session.client().create_network_interface(**given, TagSpecifications=tags, ClientToken=token)[
                "NetworkInterface"
            ]
        except ClientError as error:
            if code_of(error) == "InvalidIPAddress.InUse":
                refuse_taken_address(session, inputs.subnet_id, str(inputs.private_ip_address), inputs.stack_id)
            raise
        self.stands(session, str(made["NetworkInterfaceId"]), inputs)
        return made

    def ready(self, live: Live) -> bool | str:
        """Also while a machine has it."""
        return self.kind.state(live) in ("available", "in-use", "associated")

    def change(self, operation: Operation, live: Live, inputs: NetworkInterfaceInputs, *, fresh: bool) -> bool:
        """One call for each: EC2 takes no two together."""
        identity = str(live["NetworkInterfaceId"])
        changes: list[dict[str, Any]] = []
        if not fresh and set(_groups(live)) != set(inputs.security_group_ids):
            changes.append({"Groups": inputs.security_group_ids})
        if not fresh and (live.get("Description") or "") != inputs.description:
            changes.append({"Description": {"Value": inputs.description}})
        if bool(live.get("SourceDestCheck", True)) != inputs.source_dest_check:
            changes.append({"SourceDestCheck": {"Value": inputs.source_dest_check}})
        for change in changes:
            operation.session.client().modify_network_interface_attribute(NetworkInterfaceId=identity, **change)
        return bool(changes)

    def seen(self, session: Session, live: Live, recorded: NetworkInterfaceInputs | None) -> dict[str, Any]:
        """As described; an address that EC2 chose is not wanted as such."""
        addresses, prefix = ipv6_of(live), None
        if recorded is not None and sorted(ipv6_addresses(recorded)) == sorted(addresses):
            addresses, prefix = list(recorded.ipv6_addresses), recorded.subnet_ipv6_cidr_block
        groups = _groups(live)
        if recorded is not None and set(groups) == set(recorded.security_group_ids):
            groups = list(recorded.security_group_ids)
        chosen = recorded is None or recorded.private_ip_address is not None
        return {
            "subnet_id": live["SubnetId"],
            "private_ip_address": live["PrivateIpAddress"] if chosen else None,
            "ipv6_addresses": addresses,
            "subnet_ipv6_cidr_block": prefix,
            "security_group_ids": groups,
            "source_dest_check": bool(live.get("SourceDestCheck", True)),
            "description": live.get("Description") or "",
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Its addresses."""
        return {
            "private_ip_address": live["PrivateIpAddress"],
            "ipv6_addresses": sorted(ipv6_of(live)),
            "mac_address": live.get("MacAddress", ""),
            "availability_zone": live.get("AvailabilityZone", ""),
            "vpc_id": live["VpcId"],
        }

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call."""
        session.client().delete_network_interface(NetworkInterfaceId=identity)


def ipv6_addresses(inputs: Any) -> list[str]:
    """The IPv6 addresses that an interface is to have, in full."""
    prefix = inputs.subnet_ipv6_cidr_block
    return [within(prefix, one) if prefix else one for one in inputs.ipv6_addresses]


def ipv6_of(live: Live) -> list[str]:
    """The IPv6 addresses of a live interface."""
    return [str(item["Ipv6Address"]) for item in live.get("Ipv6Addresses") or ()]


def refuse_taken_address(session: Session, subnet_id: str, address: str, stack_id: str) -> None:
    """Say who has an address, unless it is the stack itself, which may be about to let go of it.

    Raises:
        ForeignObject: somebody else has it.
    """
    filters = [
        {"Name": "subnet-id", "Values": [subnet_id]},
        {"Name": "addresses.private-ip-address", "Values": [address]},
    ]
    for other in session.reader.all(NETWORK_INTERFACE, filters):
        if stack_of(other) != stack_id:
            raise ForeignObject(
                f"the address {address} is taken by the network interface {other['NetworkInterfaceId']}, which does "
                "not belong to this stack; it was not touched",
                "give the machine another address, or remove that interface by hand",
            )


def _groups(live: Live) -> list[str]:
    return [str(group["GroupId"]) for group in live.get("Groups") or ()]
