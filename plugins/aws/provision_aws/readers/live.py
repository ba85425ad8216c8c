"""Reading the live account: what its groups, routes and network ACLs let pass now, whoever made them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv6Network, ip_address, ip_network

from provision.errors import PlatformError
from provision.packets.sets import Prefix
from provision.spi import Evidence, LiveRulesRequest, NicAddress, Readout
from provision_aws.kinds import (
    INSTANCE,
    NETWORK_ACL,
    NETWORK_INTERFACE,
    RULES_OF_GROUP,
    SUBNET,
    VPC,
    Kind,
)
from provision_aws.ownership import stack_of
from provision_aws.readers.model import (
    Card,
    Network,
    NotUnderstood,
    Own,
    Rule,
    Surroundings,
    Traffic,
)
from provision_aws.readers.sets import Filter
from provision_aws.readers.tables import Tables, acl_entries, asked, ranges
from provision_aws.reading import Live
from provision_aws.session import Session

_MACHINE = "ec2:Instance"
_LAST_ENTRY = 32767
"""Number of the entry at the end of each network ACL, which drops everything."""

_IPV6_PREFIX = 64
_DESTINATIONS = ("DestinationCidrBlock", "DestinationIpv6CidrBlock")


def read_live_rules(session: Session, request: LiveRulesRequest) -> Readout | str:
    """What EC2 lets pass between the machines now.

    Raises:
        provision.errors.PlatformError: a machine is not there, or EC2 does not answer.
    """
    found = Filter(request.space, Account(session, request).network()).read()
    return replace(found, kind=Evidence.ACCEPTED)  # Amazon's word: nobody sees its hosts


@dataclass
class Account:
    """Reads what surrounds the machines of one stack: a few calls for all of them, page by page."""

    session: Session
    request: LiveRulesRequest
    found: Network = field(default_factory=Network)

    def network(self) -> Network:
        """Everything that decides on packets.

        Raises:
            PlatformError: a machine is not there, or EC2 does not answer.
        """
        for machine in self.request.machines:
            self._machine(machine.name, self._instance(machine.name, self._ids.get(machine.name, "")))
        groups = sorted({group for card in self.found.cards for group in card.groups})
        for rule in asked(self.session, RULES_OF_GROUP, "group-id", groups):
            self._rule(rule)
        named = {rule.group for listed in self.found.rules.values() for rule in listed if rule.group}
        self._strangers(sorted({*groups, *named}), frozenset(groups))
        self.found.ranges = {str(vpc["VpcId"]): tuple(ranges(vpc)) for vpc in self._vpcs}
        self._surroundings()
        return self.found

    # --- asking

    @cached_property
    def _ids(self) -> Mapping[str, str]:
        natives = ((machine.name, machine.native(_MACHINE)) for machine in self.request.machines)
        return {name: native.id for name, native in natives if native is not None}

    @cached_property
    def _instances(self) -> Mapping[str, Live]:
        found = asked(self.session, INSTANCE, "instance-id", self._ids.values())
        return {str(live["InstanceId"]): live for live in found if not INSTANCE.is_gone(live)}

    @cached_property
    def _stacks(self) -> frozenset[str]:
        """Whose the machines are."""
        return frozenset(map(stack_of, self._instances.values())) - {""}

    @cached_property
    def _subnets(self) -> Mapping[str, Live]:
        found = asked(self.session, SUBNET, "subnet-id", (card.subnet for card in self.found.cards))
        return {str(live["SubnetId"]): live for live in found}

    @cached_property
    def _vpcs(self) -> list[Live]:
        return list(asked(self.session, VPC, "vpc-id", (str(live["VpcId"]) for live in self._subnets.values())))

    def _of_vpcs(self, kind: Kind) -> list[Live]:
        return list(asked(self.session, kind, "vpc-id", (str(vpc["VpcId"]) for vpc in self._vpcs)))

    @cached_property
    def _tables(self) -> Tables:
        return Tables(self.session, [str(vpc["VpcId"]) for vpc in self._vpcs], self.found.odd)

    # --- machines

    def _instance(self, name: str, identity: str) -> Live:
        live = self._instances.get(identity)
        if live is None:
            raise PlatformError(f"the machine '{name}' is not there", "run `provision up`")
        return live

    def _machine(self, name: str, live: Live) -> None:
        given = self.request.addresses.get(name, ())
        nics = sorted(live.get("NetworkInterfaces") or (), key=lambda nic: int(nic["Attachment"]["DeviceIndex"]))
        if len(nics) != len(given):
            raise PlatformError(f"the machine '{name}' has {len(nics)} network cards instead of {len(given)}")
        options = live.get("MetadataOptions") or {}
        versions = set[int]()
        if options.get("HttpEndpoint", "enabled") != "disabled":
            versions = {4, 6} if options.get("HttpProtocolIpv6") == "enabled" else {4}
        for nic, address in zip(nics, given, strict=True):
            own = tuple(self._addresses(nic, address))
            self.found.cards.append(
                Card(
                    name,
                    f"{nic['NetworkInterfaceId']} of {name}",
                    str(nic["SubnetId"]),
                    own,
                    frozenset(str(group["GroupId"]) for group in nic.get("Groups") or ()),
                    nic.get("SourceDestCheck") is not False,
                    bool((nic.get("Association") or {}).get("PublicIp")),
                    frozenset(versions),
                )
            )

    def _addresses(self, nic: Live, given: NicAddress) -> Iterator[Own]:
        """The addresses of an interface; the first of each IP version is the one that the file speaks of."""
        name = nic["NetworkInterfaceId"]
        first = str(nic.get("PrivateIpAddress") or "")
        four = [str(one["PrivateIpAddress"]) for one in nic.get("PrivateIpAddresses") or ()]
        six = [str(one["Ipv6Address"]) for one in nic.get("Ipv6Addresses") or ()]
        four = [first, *(one for one in four if one != first)] if first else four
        if nic.get("Ipv4Prefixes") or nic.get("Ipv6Prefixes"):
            self.found.odd(f"{name} has whole ranges of addresses")
        for known, real in ((given.ipv4, four), (given.ipv6, six)):
            if known is not None and real:
                yield Own(ip_address(known), ip_address(real[0]))
                if known.count(":"):
                    self.found.reserve(IPv6Network((known, _IPV6_PREFIX), strict=False))
            elif known is not None:
                self.found.absent.append(ip_network(known))
            for more in real[1 if known is not None else 0 :]:
                yield Own(ip_address(more), ip_address(more))

    # --- groups

    def _rule(self, live: Live) -> None:
        name = f"{'egress' if live['IsEgress'] else 'ingress'} rule {live['SecurityGroupRuleId']} of {live['GroupId']}"
        protocol = str(live["IpProtocol"])
        try:
            traffic = Traffic.of(protocol, live.get("FromPort"), live.get("ToPort"))
            prefixes, group = self._peer(live)
        except NotUnderstood as reason:
            self.found.odd(f"{name}: {reason} is not understood")
            return
        foreign = stack_of(live) not in self._stacks
        made = Rule(name, bool(live["IsEgress"]), traffic, prefixes, group=group, foreign=foreign)
        self.found.rules.setdefault(str(live["GroupId"]), []).append(made)

    def _peer(self, live: Live) -> tuple[tuple[Prefix, ...], str]:
        reference = live.get("ReferencedGroupInfo") or {}
        if reference.get("GroupId"):
            if reference.get("VpcPeeringConnectionId"):
                raise NotUnderstood("a group of another VPC")
            return (), str(reference["GroupId"])
        if live.get("PrefixListId"):
            return self._tables.listed(str(live["PrefixListId"])), ""
        cidr = live.get("CidrIpv4") or live.get("CidrIpv6")
        if not cidr:
            raise NotUnderstood("a rule without a peer")
        return (ip_network(str(cidr), strict=False),), ""

    def _strangers(self, groups: list[str], ours: frozenset[str]) -> None:
        """Interfaces that are in the groups, and are no machine's of the stack."""
        mine = {card.name.partition(" ")[0] for card in self.found.cards}
        for nic in asked(self.session, NETWORK_INTERFACE, "group-id", groups):
            identity = str(nic["NetworkInterfaceId"])
            if identity in mine:
                continue
            own = [str(one["PrivateIpAddress"]) for one in nic.get("PrivateIpAddresses") or ()]
            own += [str(one["Ipv6Address"]) for one in nic.get("Ipv6Addresses") or ()]
            for group in nic.get("Groups") or ():
                group_id = str(group["GroupId"])
                self.found.members.setdefault(group_id, []).extend(ip_network(one) for one in own)
                if group_id in ours:
                    self.found.odd(
                        f"the interface {identity} ({', '.join(own)}) is in the group {group_id}, and no machine's of "
                        "the stack: it may do what they may"
                    )

    # --- subnets

    def _surroundings(self) -> None:
        acls = {
            str(association["SubnetId"]): tuple(acl_entries(acl, self.found.odd))
            for acl in self._of_vpcs(NETWORK_ACL)
            for association in acl.get("Associations") or ()
        }
        for identity, subnet in self._subnets.items():
            self.found.reserve(ip_network(str(subnet["CidrBlock"])))
            acl = acls.get(identity)
            if acl is None:
                self.found.odd(f"the network ACL of the subnet {identity} is not told")
            self.found.subnets[identity] = Surroundings(str(subnet["VpcId"]), tuple(self._tables.ways(subnet)), acl)
