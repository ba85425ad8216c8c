"""Route tables, network ACLs and ranges of live VPCs, as the readers' words for them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_network
from typing import Any

from provision.packets.sets import Prefix
from provision_aws.errors import explained
from provision_aws.kinds import MOST_IN_A_FILTER, NAT_GATEWAY, ROUTE_TABLE, Kind
from provision_aws.readers.model import AclEntry, NotUnderstood, Target, Traffic, Way
from provision_aws.reading import Live
from provision_aws.session import Session

_LAST_ENTRY = 32767
"""Number of the entry at the end of each network ACL, which drops everything."""

_DESTINATIONS = ("DestinationCidrBlock", "DestinationIpv6CidrBlock")


def asked(session: Session, kind: Kind, name: str, values: Iterable[str]) -> Iterator[Live]:
    """Objects that a filter for some of many values finds, page by page."""
    wanted = sorted(set(values))
    for start in range(0, len(wanted), MOST_IN_A_FILTER):
        part = wanted[start : start + MOST_IN_A_FILTER]
        yield from session.reader.all(kind, [{"Name": name, "Values": part}])


@dataclass
class Tables:
    """The route tables of some VPCs.

    Attributes:
        session: to ask with.
        vpcs: their ids.
        odd: is told what is not understood.
    """

    session: Session
    vpcs: Sequence[str]
    odd: Callable[[str], None]

    def listed(self, identity: str) -> tuple[Prefix, ...]:
        """The ranges of a prefix list, asked for once."""
        if identity not in self._lists:
            self._lists[identity] = tuple(_entries(self.session, identity))
        return self._lists[identity]

    @cached_property
    def _lists(self) -> dict[str, tuple[Prefix, ...]]:
        return {}

    @cached_property
    def _tables(self) -> list[Live]:
        return list(asked(self.session, ROUTE_TABLE, "vpc-id", self.vpcs))

    @cached_property
    def _nat_gateways(self) -> Mapping[str, Live]:
        return {
            str(live["NatGatewayId"]): live
            for live in asked(self.session, NAT_GATEWAY, "vpc-id", self.vpcs)
            if not NAT_GATEWAY.is_gone(live)
        }

    def ways(self, subnet: Live) -> Iterator[Way]:
        """The routes of a subnet; that within the VPC is left out."""
        for route in self._table(subnet).get("Routes") or ():
            if route.get("GatewayId") == "local":
                continue
            cidr = next((str(route[name]) for name in _DESTINATIONS if route.get(name)), "")
            listed = str(route.get("DestinationPrefixListId") or "")
            prefixes = (ip_network(cidr, strict=False),) if cidr else self.listed(listed) if listed else ()
            target = self._target(route, cidr or listed)
            if target is not None and prefixes:
                yield Way(prefixes, target)

    def _table(self, subnet: Live) -> Live:
        """The table of a subnet: its own, or the VPC's main one."""
        main: Live = {}
        for table in self._tables:
            for association in table.get("Associations") or ():
                if association.get("SubnetId") == subnet["SubnetId"]:
                    return table
                if association.get("Main") and table["VpcId"] == subnet["VpcId"]:
                    main = table
        return main

    def _target(self, route: Live, destination: str) -> Target | None:
        gateway, nat = str(route.get("GatewayId") or ""), str(route.get("NatGatewayId") or "")
        if route.get("State") == "blackhole":
            return Target.NOWHERE
        if gateway.startswith("igw-"):
            return Target.INTERNET
        if gateway.startswith("vpce-") and route.get("DestinationPrefixListId"):
            return Target.ENDPOINT
        if route.get("EgressOnlyInternetGatewayId"):
            return Target.EGRESS_ONLY
        if nat:
            return self._through(nat)
        self.odd(f"where the route to {destination} leads is not known")
        return None

    def _through(self, identity: str) -> Target | None:
        live = self._nat_gateways.get(identity)
        if live is None or live.get("ConnectivityType", "public") != "public":
            self.odd(f"where the NAT gateway {identity} leads is not known")
            return None
        subnet = {"SubnetId": live.get("SubnetId"), "VpcId": live.get("VpcId")}
        routes = self._table(subnet).get("Routes") or ()
        out = any(
            str(route.get("GatewayId") or "").startswith("igw-") and route.get("State") != "blackhole"
            for route in routes
        )
        return Target.NAT if out else Target.NOWHERE


def acl_entries(acl: Live, odd: Callable[[str], None]) -> Iterator[AclEntry]:
    """The entries of a network ACL, but for the last one, which drops everything."""
    for entry in acl.get("Entries") or ():
        cidr = entry.get("CidrBlock") or entry.get("Ipv6CidrBlock")
        if int(entry["RuleNumber"]) >= _LAST_ENTRY or not cidr:
            continue
        ports, icmp = entry.get("PortRange") or {}, entry.get("IcmpTypeCode") or {}
        first, last = ports.get("From", icmp.get("Type")), ports.get("To", icmp.get("Code"))
        try:
            traffic = Traffic.of(str(entry["Protocol"]), first, last)
        except NotUnderstood as reason:
            odd(f"entry {entry['RuleNumber']} of {acl['NetworkAclId']}: {reason} is not understood")
            continue
        number, egress, allow = int(entry["RuleNumber"]), bool(entry["Egress"]), entry["RuleAction"] == "allow"
        yield AclEntry(number, egress, allow, traffic, ip_network(str(cidr), strict=False))


def ranges(vpc: Live) -> Iterator[Prefix]:
    """The ranges of a VPC."""
    blocks = [(one, "CidrBlock") for one in vpc.get("CidrBlockAssociationSet") or ()]
    blocks += [(one, "Ipv6CidrBlock") for one in vpc.get("Ipv6CidrBlockAssociationSet") or ()]
    if not blocks:
        yield ip_network(str(vpc["CidrBlock"]))
    for block, name in blocks:
        state = (block.get(f"{name}State") or {}).get("State", "associated")
        if state in ("associated", "associating"):
            yield ip_network(str(block[name]))


def _entries(session: Session, identity: str) -> Iterator[Prefix]:
    more: dict[str, Any] = {}
    while True:
        with explained(f"reading the prefix list {identity}"):
            answer = session.client().get_managed_prefix_list_entries(PrefixListId=identity, **more)
        yield from (ip_network(str(entry["Cidr"])) for entry in answer.get("Entries") or ())
        if not answer.get("NextToken"):
            return
        more = {"NextToken": answer["NextToken"]}
