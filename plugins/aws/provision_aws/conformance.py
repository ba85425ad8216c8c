"""The conformance kit on an emulated EC2 of its own: `provision plugin check aws`, and the plugin's tests."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from provision.testing import ConformanceSuite, Effect, Faults, FunctionSample, Made, Platform, Sample
from provision_aws import conformance_hands as hands
from provision_aws import emulator
from provision_aws.conformance_stacks import STACKS
from provision_aws.provider import AwsProvider
from provision_aws.session import Session

_LOOKS_LOCALLY = frozenset({"close", "can_paginate", "generate_presigned_url"})
_ZONE = f"{emulator.REGION}a"
_VPC, _SUBNET, _TABLE, _GATEWAY = "ec2:Vpc", "ec2:Subnet", "ec2:RouteTable", "ec2:InternetGateway"
_GROUP, _NIC, _IP, _VOLUME = "ec2:SecurityGroup", "ec2:NetworkInterface", "ec2:ElasticIp", "ec2:Volume"
_MACHINE = "ec2:Instance"


def _refusal(code: str, status: int = 400, text: str = "injected", **headers: str) -> Callable[[], Exception]:
    def make() -> Exception:
        from botocore.exceptions import ClientError

        response: Any = {
            "Error": {"Code": code, "Message": text},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
        }
        return ClientError(response, "Injected")

    return make


def _timeout() -> Exception:
    from botocore.exceptions import ReadTimeoutError

    return ReadTimeoutError(endpoint_url="http://injected")


def _lost() -> Exception:
    from botocore.exceptions import ConnectionClosedError

    return ConnectionClosedError(endpoint_url="http://injected")


def _of(need: str, field: str, /, **inputs: Any) -> Callable[[Mapping[str, Made]], dict[str, Any]]:
    return lambda made: {field: made[need].id, **inputs}


def _nic(made: Mapping[str, Made]) -> dict[str, Any]:
    return {
        "name": "kit-nic",
        "subnet_id": made[_SUBNET].id,
        "private_ip_address": "10.20.1.20",
        "security_group_ids": [made[_GROUP].id],
    }


def _rule(made: Mapping[str, Made]) -> dict[str, Any]:
    return {
        "name": "web",
        "security_group_id": made[_GROUP].id,
        "direction": "ingress",
        "ip_protocol": "tcp",
        "from_port": 80,
        "to_port": 80,
        "cidr_ipv4": "10.0.0.0/8",
        "description": "web",
    }


def _nat(made: Mapping[str, Made]) -> dict[str, Any]:
    return {"name": "kit-nat", "subnet_id": made[_SUBNET].id, "allocation_id": made[_IP].id}


def _endpoint(made: Mapping[str, Made]) -> dict[str, Any]:
    return {
        "name": "kit-s3",
        "vpc_id": made[_VPC].id,
        "service_name": f"com.amazonaws.{emulator.REGION}.s3",
        "endpoint_type": "Gateway",
        "route_table_ids": [made[_TABLE].id],
    }


def _route(made: Mapping[str, Made]) -> dict[str, Any]:
    return {"route_table_id": made[_TABLE].id, "destination": "0.0.0.0/0", "gateway_id": made[_GATEWAY].id}


def _associated_table(made: Mapping[str, Made]) -> dict[str, Any]:
    return {"route_table_id": made[_TABLE].id, "subnet_id": made[_SUBNET].id}


def _associated_ip(made: Mapping[str, Made]) -> dict[str, Any]:
    return {"allocation_id": made[_IP].id, "network_interface_id": made[_NIC].id}


def _attached(made: Mapping[str, Made]) -> dict[str, Any]:
    return {"volume_id": made[_VOLUME].id, "instance_id": made[_MACHINE].id, "device_name": "/dev/sdf"}


def _machine(made: Mapping[str, Made]) -> dict[str, Any]:
    return {
        "name": "kit-machine",
        "image_id": _image,
        "instance_type": "t3.micro",
        "nics": [
            {
                "subnet_id": made[_SUBNET].id,
                "private_ip_address": "10.20.1.30",
                "security_group_ids": [made[_GROUP].id],
            }
        ],
        "user_data_base64": "IyEvYmluL3NoCmVjaG8gaHVzaC1odXNoLWh1c2gK",
    }


_image = "ami-unknown"

_SAMPLES = (
    Sample(
        _VPC,
        {"name": "kit", "cidr_block": "10.20.0.0/16", "tags": {"team": "kit"}},
        updates=[
            {"tags": {"team": "other"}},
            {"enable_dns_hostnames": True},
            {"secondary_cidr_blocks": ["10.21.0.0/16"]},
            {"amazon_provided_ipv6": True},
        ],
        replaces=[{"cidr_block": "10.30.0.0/16"}, {"instance_tenancy": "dedicated"}],
        wrong=[{"cidr_block": "10.20.0.1/16"}, {"tags": {"Name": "mine"}}],
        foreign=hands.foreign_vpc,
    ),
    Sample(
        _SUBNET,
        _of(_VPC, "vpc_id", name="kit-front", cidr_block="10.20.1.0/24", availability_zone=_ZONE),
        needs=[_VPC],
        updates=[{"map_public_ip_on_launch": True}],
        replaces=[{"cidr_block": "10.20.2.0/24"}],
        wrong=[{"ipv6_index": 3}],
        foreign=hands.foreign_subnet,
    ),
    Sample(
        _TABLE,
        _of(_VPC, "vpc_id", name="kit-front"),
        needs=[_VPC],
        updates=[{"name": "kit-back"}],
        foreign=hands.foreign_table,
    ),
    Sample(
        _GATEWAY,
        _of(_VPC, "vpc_id", name="kit-way-out"),
        needs=[_VPC],
        updates=[{"tags": {"team": "kit"}}],
        foreign=hands.foreign_internet_gateway,
    ),
    Sample(
        "ec2:EgressOnlyGateway",
        _of(_VPC, "vpc_id", name="kit-way-out"),
        needs=[_VPC],
        updates=[{"tags": {"team": "kit"}}],
        foreign=hands.foreign_egress_only,
    ),
    Sample(
        "ec2:Route",
        _route,
        needs=[_TABLE, _GATEWAY],
        replaces=[{"destination": "198.51.100.0/24"}],
        wrong=[{"nat_gateway_id": "nat-1"}],
        foreign=hands.foreign_route,
    ),
    Sample(
        "ec2:RouteTableAssociation",
        _associated_table,
        needs=[_TABLE, _SUBNET],
        foreign=hands.foreign_table_association,
    ),
    Sample(
        _IP,
        {"name": "kit-address"},
        updates=[{"tags": {"team": "kit"}}],
        foreign=hands.foreign_address,
    ),
    Sample(
        "ec2:NatGateway",
        _nat,
        needs=[_SUBNET, _IP],
        updates=[{"tags": {"team": "kit"}}],
        wrong=[{"connectivity_type": "private"}],
        foreign=hands.foreign_nat,
    ),
    Sample(
        _GROUP,
        _of(_VPC, "vpc_id", name="kit-web", group_name="kit-web"),
        needs=[_VPC],
        updates=[{"tags": {"team": "kit"}}, {"exclusive": True}],
        replaces=[{"description": "other words"}],
        wrong=[{"group_name": ""}],
        foreign=hands.foreign_group,
        not_imported={"exclusive": "EC2 knows nothing of it"},
    ),
    Sample(
        "ec2:SecurityGroupRule",
        _rule,
        needs=[_GROUP],
        updates=[{"to_port": 81}, {"description": "web pages"}],
        replaces=[{"direction": "egress"}, {"cidr_ipv4": "10.1.0.0/16"}],
        wrong=[{"from_port": 70000}, {"ip_protocol": "-1"}],
        foreign=hands.foreign_rule,
    ),
    Sample(
        "ec2:PrefixList",
        {
            "name": "kit-list",
            "prefix_list_name": "kit-list",
            "address_family": "IPv4",
            "max_entries": 5,
            "entries": [{"cidr": "10.0.0.0/8", "description": "inside"}],
        },
        updates=[{"entries": [{"cidr": "10.0.0.0/8"}, {"cidr": "192.168.0.0/16"}]}],
        replaces=[{"address_family": "IPv6", "entries": []}],
        wrong=[{"max_entries": 0}, {"entries": [{"cidr": "fd00::/8"}]}],
        foreign=hands.foreign_prefix_list,
    ),
    Sample(
        _NIC,
        _nic,
        needs=[_SUBNET, _GROUP],
        updates=[{"source_dest_check": False}, {"description": "first"}],
        replaces=[{"private_ip_address": "10.20.1.21"}],
        wrong=[{"private_ip_address": "10.20.1"}, {"security_group_ids": []}],
        foreign=hands.foreign_interface,
    ),
    Sample(
        "ec2:VpcEndpoint",
        _endpoint,
        needs=[_VPC, _TABLE],
        updates=[{"tags": {"team": "kit"}}],
        replaces=[{"service_name": f"com.amazonaws.{emulator.REGION}.dynamodb"}],
        wrong=[{"private_dns_enabled": True}, {"policy": "{"}, {"endpoint_type": "Interface"}],
        foreign=hands.foreign_endpoint,
    ),
    Sample(
        "ec2:ElasticIpAssociation",
        _associated_ip,
        needs=[_IP, _NIC],
        wrong=[{"instance_id": "i-1"}],
        foreign=hands.foreign_address_association,
    ),
    Sample(
        "ec2:KeyPair",
        {"name": "kit-key", "key_name": "kit-key", "public_key": hands.KEY},
        updates=[{"tags": {"team": "kit"}}],
        replaces=[{"key_name": "kit-other-key"}],
        same=[{"public_key": hands.KEY.replace("kit@example.org", "somebody else")}],
        wrong=[{"public_key": "secret"}],
        foreign=hands.foreign_key,
    ),
    Sample(
        "ec2:PlacementGroup",
        {"name": "kit-apart", "group_name": "kit-apart", "strategy": "spread"},
        updates=[{"tags": {"team": "kit"}}],
        replaces=[{"strategy": "cluster"}],
        wrong=[{"partition_count": 3}],
        foreign=hands.foreign_placement_group,
    ),
    Sample(
        "ec2:DedicatedHost",
        {"name": "kit-host", "availability_zone": _ZONE, "instance_type": "m5.large"},
        updates=[{"auto_placement": "on"}, {"tags": {"team": "kit"}}],
        replaces=[{"instance_type": "m5.xlarge"}],
        wrong=[{"instance_family": "m5"}],
        foreign=hands.foreign_host,
    ),
    Sample(
        _VOLUME,
        {"name": "kit-data", "availability_zone": _ZONE, "size_gib": 8},
        updates=[{"size_gib": 16}, {"tags": {"team": "kit"}}],
        replaces=[{"encrypted": False}],
        wrong=[{"size_gib": 0}, {"throughput": 1}, {"volume_type": "st1", "iops": 3000}],
        foreign=hands.foreign_volume,
    ),
    Sample(
        _MACHINE,
        _machine,
        needs=[_SUBNET, _GROUP],
        updates=[{"tags": {"team": "kit"}}, {"power": "stopped"}, {"instance_type": "t3.small"}],
        replaces=[{"image_id": "ami-0123456789abcdef0"}],
        wrong=[{"nics": []}, {"user_data_base64": "%"}],
        foreign=hands.foreign_machine,
    ),
    Sample(
        "ec2:VolumeAttachment",
        _attached,
        needs=[_VOLUME, _MACHINE],
        wrong=[{"device_name": "disk"}],
        foreign=hands.foreign_attachment,
    ),
)


class AwsConformance(ConformanceSuite):
    """Every check of the kit against an EC2 of its own, which it starts and takes away again."""

    provider = AwsProvider
    samples = _SAMPLES
    stacks = STACKS
    functions = (FunctionSample("kms:getKey", {"key": "alias/aws/ebs"}),)
    errors: ClassVar[Mapping[Effect, Callable[[], Exception]]] = {
        Effect.ERROR: _refusal("OperationNotPermitted"),
        Effect.THROTTLED: _refusal("RequestLimitExceeded", 503),
        Effect.TIMEOUT: _timeout,
        Effect.LOST_BEFORE: _lost,
        Effect.LOST_AFTER: _lost,
    }
    gaps: ClassVar[Mapping[str, str]] = {}
    platform_scope = "suite"
    calls_tried = 5

    def platform(self, directory: Path) -> Iterator[Platform]:
        """An emulated EC2 with nothing on it but what every account has."""
        global _image
        before = {name: os.environ.get(name) for name in emulator.ENVIRONMENT}
        os.environ.update(emulator.ENVIRONMENT)
        try:
            with emulator.running(directory) as url:
                account = hands.Account(url, emulator.REGION)
                _image = account.image["ImageId"]
                yield Platform(
                    config={"region": emulator.REGION, "endpoint_url": url},
                    leftovers=lambda: emulator.standing(url),
                    handle=account,
                    clean=lambda: _clean(url, account),
                    wrong_configs=[
                        {"region": emulator.REGION, "endpoint_url": "http://127.0.0.1:9"},
                        {"region": emulator.REGION, "endpoint_url": url, "account_ids": ["000000000000"]},
                        {"region": emulator.REGION, "endpoint_url": url, "profile": "no-such-profile"},
                    ],
                )
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def transport(self, session: Session, faults: Faults) -> Session:
        """Between the plugin and boto3's clients."""
        session.stand_between(lambda client: faults.wrap(client, local=_LOOKS_LOCALLY))
        return session


def _clean(url: str, account: hands.Account) -> None:
    emulator.reset(url)
    account.ec2.describe_vpcs()  # what every account has is there again
