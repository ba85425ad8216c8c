"""What EC2 does and moto does not: placement groups, refusals of what is taken already, and smaller things.

Imported wherever the emulator is; moto itself only where it serves.
"""

import secrets
from typing import Any

GROUPS: dict[str, dict[str, Any]] = {}
"""Placement groups by name."""

_ROOT_GIB = 8


def amend() -> None:
    """Teach this process's moto."""
    _add_placement_groups()
    _free_with_nat_gateways()
    _refuse_what_is_taken()
    _refuse_second_ways_to_services()
    _size_as_images_do()
    _take_protocols_without_ports()
    _tell_descriptions_of_references()
    _tell_states_of_ranges()
    _let_ipv6_through_default_lists()


def _add_placement_groups() -> None:
    """Three calls as EC2's API reference has them; botocore's model of the service gives the answers their form."""
    from moto.core.responses import ActionResult
    from moto.ec2 import responses
    from moto.ec2.exceptions import EC2ClientError

    kind: Any = responses.EC2Response

    def create(self: Any) -> Any:
        name = self._get_param("GroupName")
        if name in GROUPS:
            raise EC2ClientError("InvalidPlacementGroup.Duplicate", f"The placement group {name!r} already exists")
        tags = self._parse_tag_specification().get("placement-group", {})
        strategy = self._get_param("Strategy")
        group = {
            "GroupName": name,
            "GroupId": f"pg-{secrets.token_hex(8)}",
            "State": "available",
            "Strategy": strategy,
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }
        if strategy == "partition":
            group["PartitionCount"] = self._get_int_param("PartitionCount")
        if strategy == "spread":
            group["SpreadLevel"] = self._get_param("SpreadLevel") or "rack"
        GROUPS[name] = group
        return ActionResult({"PlacementGroup": group})

    def delete(self: Any) -> Any:
        if GROUPS.pop(self._get_param("GroupName"), None) is None:
            raise EC2ClientError("InvalidPlacementGroup.Unknown", "The placement group is unknown")
        return ActionResult({"Return": True})

    def describe(self: Any) -> Any:
        ids, filters = self._get_param("GroupIds", []), self._filters_from_querystring()
        known = {group["GroupId"] for group in GROUPS.values()}
        if unknown := [one for one in ids if one not in known]:
            raise EC2ClientError("InvalidPlacementGroup.Unknown", f"The placement group {unknown[0]!r} is unknown")
        found = [group for group in GROUPS.values() if not ids or group["GroupId"] in ids]
        return ActionResult({"PlacementGroups": [group for group in found if _matches(group, filters)]})

    kind.create_placement_group = create
    kind.delete_placement_group = delete
    kind.describe_placement_groups = describe
    _tag_placement_groups()


def _free_with_nat_gateways() -> None:
    """A NAT gateway that is deleted lets go of its address and interface, which moto forgets."""
    from moto.ec2.models import nat_gateways

    backend: Any = nat_gateways.NatGatewayBackend
    usual = backend.delete_nat_gateway

    def delete(self: Any, nat_gateway_id: str) -> Any:
        gateway = usual(self, nat_gateway_id)
        interface = gateway._eni
        for address in self.addresses:
            if address.eni is interface:
                self.disassociate_address(association_id=address.association_id)
        if interface.id in self.enis:
            self.delete_network_interface(interface.id)
        return gateway

    backend.delete_nat_gateway = delete


def _refuse_what_is_taken() -> None:
    """Addresses, subnets and volumes have one user at a time; moto takes them away from the first, or breaks."""
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.models import elastic_block_store, route_tables, subnets

    volumes: Any = elastic_block_store.EBSBackend
    tables: Any = route_tables.RouteBackend
    ranges: Any = subnets.Subnet
    attach, associate, request = volumes.attach_volume, tables.associate_route_table, ranges.request_ip

    def attach_one(self: Any, volume_id: str, *rest: Any, **more: Any) -> Any:
        volume = self.volumes.get(volume_id)
        if volume is not None and volume.attachment is not None:
            raise EC2ClientError("VolumeInUse", f"{volume_id} is already attached to an instance")
        return attach(self, volume_id, *rest, **more)

    def associate_one(self: Any, route_table_id: str, gateway_id: Any = None, subnet_id: Any = None) -> Any:
        for table in self.route_tables.values():
            if table.id != route_table_id and subnet_id is not None and subnet_id in table._associations.values():
                raise EC2ClientError("Resource.AlreadyAssociated", "the specified association conflicts with another")
        return associate(self, route_table_id, gateway_id, subnet_id)

    def request_one(self: Any, ip: str, instance: Any) -> Any:
        if ip in self._subnet_ips:
            raise EC2ClientError("InvalidIPAddress.InUse", f"Address {ip} is in use.")
        return request(self, ip, instance)

    volumes.attach_volume, tables.associate_route_table, ranges.request_ip = attach_one, associate_one, request_one


def _refuse_second_ways_to_services() -> None:
    """A table has one route to a service; moto overwrites it, and then can remove neither endpoint in order."""
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.models import vpcs

    backend: Any = vpcs.VPCBackend
    create = backend.create_vpc_endpoint

    def create_one(self: Any, vpc_id: str, service_name: str, *rest: Any, **more: Any) -> Any:
        wanted = more.get("route_table_ids") or (rest[2] if len(rest) > 2 else ())
        for other in self.vpc_end_points.values():
            shared = sorted(set(wanted or ()) & set(other.route_table_ids or ()))
            if shared and other.service_name == service_name and other.state != "deleted":
                raise EC2ClientError(
                    "RouteAlreadyExists",
                    f"route table {shared[0]} already has a route with destination-prefix-list-id "
                    f"{other.destination_prefix_list_id}",
                )
        return create(self, vpc_id, service_name, *rest, **more)

    backend.create_vpc_endpoint = create_one


def _size_as_images_do() -> None:
    """A root disk of no size is as large as the image says; moto refuses it."""
    from moto.ec2.responses import instances

    kind: Any = instances.InstanceResponse
    check = kind._validate_block_device_mapping

    def check_sized(mapping: dict[str, Any]) -> None:
        disk = mapping.get("Ebs")
        if isinstance(disk, dict) and not disk.get("SnapshotId"):
            disk.setdefault("VolumeSize", _ROOT_GIB)
        check(mapping)

    kind._validate_block_device_mapping = staticmethod(check_sized)


def _take_protocols_without_ports() -> None:
    """Rules for protocols by number, such as SCTP, have no ports; moto breaks without."""
    from moto.ec2.models import security_groups

    kind: Any = security_groups.SecurityGroupRule
    usual = kind.__init__

    def made(
        self: Any, backend: Any, protocol: Any, group: Any, first: Any, last: Any, *rest: Any, **more: Any
    ) -> None:
        usual(
            self, backend, protocol, group, -1 if first is None else first, -1 if last is None else last, *rest, **more
        )

    kind.__init__ = made


def _tell_descriptions_of_references() -> None:
    """A rule that refers to a group has a description too; moto tells that of ranges alone."""
    from moto.ec2.models import security_groups

    kind: Any = security_groups.SecurityGroupRule
    kind.description = property(
        lambda self: self.ip_range.get("Description") or (self.source_group or {}).get("Description")
    )


def _tell_states_of_ranges() -> None:
    """The state of a subnet's IPv6 range is a word; moto tells a structure as text."""
    from moto.ec2.models import subnets

    kind: Any = subnets.Subnet
    usual = kind.ipv6_cidr_block_association_set.fget
    kind.ipv6_cidr_block_association_set = property(
        lambda self: [one | {"ipv6CidrBlockState": {"state": "associated"}} for one in usual(self)]
    )


def _let_ipv6_through_default_lists() -> None:
    """A VPC that is given IPv6 gets entries for it in its default network ACL, as Amazon documents; moto adds none."""
    from moto.ec2.models import network_acls

    lists: Any = network_acls.NetworkAclBackend
    describe = lists.describe_network_acls

    def describe_with_ipv6(self: Any, *given: Any, **more: Any) -> Any:
        for one in list(self.network_acls.values()):
            known = any(entry.ipv6_cidr_block for entry in one.network_acl_entries)
            if one.default and not known and self.get_vpc(one.vpc_id).get_cidr_block_association_set(ipv6=True):
                for egress in (True, False):
                    for number, action in ((101, "allow"), (32768, "deny")):
                        self.create_network_acl_entry(
                            one.id, number, "-1", action, egress, None, None, None, None, None, "::/0"
                        )
        return describe(self, *given, **more)

    lists.describe_network_acls = describe_with_ipv6


def _matches(group: dict[str, Any], filters: dict[str, Any]) -> bool:
    tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
    return all(tags.get(key.removeprefix("tag:")) in values for key, values in filters.items())


def _tag_placement_groups() -> None:
    from moto.ec2 import responses

    kind: Any = responses.EC2Response
    usual = {name: getattr(kind, name) for name in ("create_tags", "delete_tags")}

    def change(self: Any, name: str) -> Any:
        ids = self._get_param("ResourceId", []) or self._get_param("Resources", [])
        group = next((group for group in GROUPS.values() if group["GroupId"] in ids), None)
        if group is None:
            return usual[name](self)
        from moto.core.responses import EmptyResult

        given = {tag["Key"]: tag.get("Value", "") for tag in self._get_param("Tags", [])}
        tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
        tags = tags | given if name == "create_tags" else {key: tags[key] for key in tags if key not in given}
        group["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
        return EmptyResult()

    kind.create_tags = lambda self: change(self, "create_tags")
    kind.delete_tags = lambda self: change(self, "delete_tags")
