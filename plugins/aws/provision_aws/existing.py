"""What a stack file refers to instead of having it made, as it is in the account; looked at before anything is made."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from provision.models import Stack
from provision.spi.own_words import problem
from provision_aws.errors import explained
from provision_aws.images import root_snapshot
from provision_aws.instance_types import offered_in, types
from provision_aws.kinds import (
    IMAGE,
    INTERNET_GATEWAY,
    KEY_PAIR,
    NETWORK_ACL,
    NETWORK_INTERFACE,
    RULES_OF_GROUP,
    SECURITY_GROUP,
    SNAPSHOT,
    SUBNET,
    VPC,
)
from provision_aws.ownership import URN_TAG, tags_of
from provision_aws.readers.tables import Tables, acl_entries, asked, ranges
from provision_aws.reading import Live
from provision_aws.session import Session
from provision_aws.translate.named import images_of, types_of
from provision_aws.translate.overrides import MODELS, MachineOverrides, joined, of, referred

Facts = dict[str, Any]

_LIKE = 3

_OF_A_TYPE = (
    "BurstablePerformanceSupported", "DedicatedHostsSupported", "MemoryInfo", "NetworkInfo", "NitroTpmSupport",
    "ProcessorInfo", "VCpuInfo",
)  # fmt: skip
"""What matters of a type that is named (EC2 API Reference, InstanceTypeInfo)."""


def look(session: Session, stack: Stack) -> Mapping[str, Any]:
    """By kind, everything that the file refers to and that is there, as plain data.

    Raises:
        provision.errors.PlatformError: EC2 does not answer.
    """
    try:
        networks = [said for network in stack.networks.values() if (said := referred(network)) is not None]
        groups = sorted({group for machine in stack.machines.values() for nic in machine.nics for group in joined(nic)})
    except ValueError:
        return {}  # what is wrong with it is told of the fields themselves
    found: Facts = {}
    if networks:
        vpcs = {one.vpc for one in networks if one.vpc is not None}
        subnets = {identity for one in networks for identity in one.subnets}
        found |= _Networks(session, sorted(subnets), vpcs).facts()
    if groups:
        found["groups"] = dict(_groups(session, groups))
    keys = sorted({key for machine in stack.machines.values() if (key := _key(machine))})
    if keys:
        found["keys"] = _keys(session, keys)
    return found | _named(session, stack)


def _named(session: Session, stack: Stack) -> Facts:
    """Images and types that the file names, as far as there is any doubt about them."""
    found: Facts = {}
    if images := images_of(stack):
        found["images"] = dict(_images(session, images))
    named = any("aws" in machine.size for machine in stack.machines.values())
    if not named or any(problem(MODELS[type(one)], one.overrides.get("aws", {})) for one in stack.machines.values()):
        return found
    known = frozenset(session.client().meta.service_model.shape_for("InstanceType").enum)
    if asked_for := types_of(stack, known):
        names = tuple(sorted(asked_for))
        told = {str(one["InstanceType"]): one for one in types(session, {"instance-type": names})}
        zones = offered_in(session, tuple(told)) if told else {}
        found["types"] = {name: _type(name, told.get(name), known) | {"zones": zones.get(name, [])} for name in names}
    return found


def _images(session: Session, ids: Iterable[str]) -> Iterator[tuple[str, Facts]]:
    """By id, what those are of the images and snapshots that are there."""
    images = [one for one in ids if one.startswith("ami-")]
    for live in asked(session, IMAGE, "image-id", images):
        begins = root_snapshot(live)
        yield (
            str(live["ImageId"]),
            {
                "architecture": str(live.get("Architecture", "")),
                "boot": str(live.get("BootMode") or "legacy-bios"),
                "state": str(live.get("State", "")),
                "snapshot": "" if begins is None else begins[0],
                "size": 0 if begins is None else begins[1],
            },
        )
    for live in asked(session, SNAPSHOT, "snapshot-id", set(ids) - set(images)):
        identity = str(live["SnapshotId"])
        yield identity, {"snapshot": identity, "size": int(live["VolumeSize"])}


def _type(name: str, told: Live | None, known: Iterable[str]) -> Facts:
    """What a type of machine has; of one that is not there, names of others that are like it."""
    if told is None:
        return {"near": get_close_matches(name, sorted(known), _LIKE)}
    return {field: told[field] for field in _OF_A_TYPE if field in told}


def _key(machine: Any) -> str | None:
    if problem(MODELS[type(machine)], machine.overrides.get("aws", {})):
        return None
    return of(MachineOverrides, machine.overrides).key_name


def _groups(session: Session, ids: list[str]) -> Iterable[tuple[str, Facts]]:
    rules: dict[str, int] = {}
    for rule in asked(session, RULES_OF_GROUP, "group-id", ids):
        rules[str(rule["GroupId"])] = rules.get(str(rule["GroupId"]), 0) + 1
    for live in asked(session, SECURITY_GROUP, "group-id", ids):
        identity = str(live["GroupId"])
        yield identity, {"vpc": str(live.get("VpcId", "")), "rules": rules.get(identity, 0)}


def _keys(session: Session, names: list[str]) -> list[str]:
    return sorted({str(live["KeyName"]) for live in asked(session, KEY_PAIR, "key-name", names)})


@dataclass
class _Networks:
    """Reads subnets, and the VPCs that they are in."""

    session: Session
    ids: list[str]
    said: set[str]
    unclear: list[str] = field(default_factory=list)

    def facts(self) -> Facts:
        return {
            "vpcs": {str(live["VpcId"]): self._vpc(live) for live in self._vpcs},
            "subnets": {str(live["SubnetId"]): self._subnet(live) for live in self._subnets},
            "taken": self._taken(),
        }

    @cached_property
    def _subnets(self) -> list[Live]:
        return list(asked(self.session, SUBNET, "subnet-id", self.ids))

    @cached_property
    def _vpcs(self) -> list[Live]:
        ids = self.said | {str(live["VpcId"]) for live in self._subnets}
        return list(asked(self.session, VPC, "vpc-id", ids))

    @cached_property
    def _all(self) -> list[str]:
        return [str(live["VpcId"]) for live in self._vpcs]

    @cached_property
    def _acls(self) -> Mapping[str, Live]:
        found = asked(self.session, NETWORK_ACL, "vpc-id", self._all)
        return {str(one["SubnetId"]): acl for acl in found for one in acl.get("Associations") or ()}

    @cached_property
    def _tables(self) -> Tables:
        return Tables(self.session, self._all, self.unclear.append)

    @cached_property
    def _gateways(self) -> Mapping[str, str]:
        found = asked(self.session, INTERNET_GATEWAY, "attachment.vpc-id", self._all)
        return {
            str(one["VpcId"]): str(live["InternetGatewayId"]) for live in found for one in live.get("Attachments") or ()
        }

    @cached_property
    def _of_vpcs(self) -> list[Live]:
        return list(asked(self.session, SUBNET, "vpc-id", self._all))

    @cached_property
    def _groups(self) -> list[Live]:
        return list(asked(self.session, SECURITY_GROUP, "vpc-id", self._all))

    def _vpc(self, live: Live) -> Facts:
        identity = str(live["VpcId"])
        with explained(f"reading the VPC {identity}"):
            told = self.session.client().describe_vpc_attribute(VpcId=identity, Attribute="enableDnsSupport")
        blocks = list(ranges(live))
        return {
            "ranges": sorted(str(one) for one in blocks if one.version == 4),
            "ranges6": sorted(str(one) for one in blocks if one.version == 6),
            "dns": bool(told["EnableDnsSupport"]["Value"]),
            "gateway": self._gateways.get(identity, ""),
            "groups": {
                str(one["GroupId"]): owner
                for one in self._groups
                if one.get("VpcId") == identity and (owner := tags_of(one).get(URN_TAG, ""))
            },
            "subnets": {
                str(one["SubnetId"]): [str(one["CidrBlock"]), tags_of(one).get(URN_TAG, "")]
                for one in self._of_vpcs
                if one["VpcId"] == identity
            },
        }

    def _subnet(self, live: Live) -> Facts:
        identity = str(live["SubnetId"])
        self.unclear.clear()
        acl = self._acls.get(identity)
        if acl is None:
            self.unclear.append(f"the network ACL of the subnet {identity} is not told")
        return {
            "vpc": str(live["VpcId"]),
            "zone": str(live["AvailabilityZone"]),
            "cidr": str(live["CidrBlock"]),
            "cidr6": _six(live),
            "public": bool(live.get("MapPublicIpOnLaunch")),
            "ways": [[sorted(map(str, way.prefixes)), way.target.name] for way in self._tables.ways(live)],
            "acl": [
                [one.number, one.egress, one.allow, one.traffic.protocol, one.traffic.first, one.traffic.last,
                 str(one.prefix)]
                for one in (acl_entries(acl, self.unclear.append) if acl is not None else ())
            ],
            "unclear": list(self.unclear),
        }  # fmt: skip

    def _taken(self) -> Facts:
        """By subnet, addresses that interfaces have, and the marker of each: whose it is."""
        found: dict[str, dict[str, str]] = {one: {} for one in self.ids}
        for nic in asked(self.session, NETWORK_INTERFACE, "subnet-id", self.ids):
            own = [str(one["PrivateIpAddress"]) for one in nic.get("PrivateIpAddresses") or ()]
            found[str(nic["SubnetId"])].update(dict.fromkeys(own, tags_of(nic).get(URN_TAG, "")))
        return {subnet: dict(sorted(taken.items())) for subnet, taken in found.items()}


def _six(live: Live) -> str:
    for item in live.get("Ipv6CidrBlockAssociationSet") or ():
        if item.get("Ipv6CidrBlockState", {}).get("State", "associated") in ("associated", "associating"):
            return str(item["Ipv6CidrBlock"])
    return ""
