"""What a stack refers to, held against what is there: before the first call, so that nothing is made in vain."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from provision.models import Internet, Network, Stack
from provision.spi import NicAddress, Objection
from provision_aws.translate.layout import Layout, Part
from provision_aws.translate.overrides import MachineOverrides, NetworkOverrides, joined, of, referred

_OUT = {Internet.NONE: "", Internet.NAT: "NAT", Internet.ROUTED: "INTERNET"}
_OUT6 = {Internet.NONE: "", Internet.NAT: "EGRESS_ONLY", Internet.ROUTED: "INTERNET"}
_WORDS = {
    "": "none",
    "NAT": "a NAT gateway",
    "INTERNET": "an internet gateway",
    "EGRESS_ONLY": "an egress-only gateway",
}
_SAYS = {"": "none", "NAT": "nat", "INTERNET": "routed"}
_OPEN = {4: "0.0.0.0/0", 6: "::/0"}


def objections(stack: Stack, layout: Layout, facts: Mapping[str, Any]) -> Iterator[Objection]:
    """What is wrong with what a stack refers to.

    Args:
        stack: what the file says.
        layout: where its networks lie.
        facts: what the account and region told; without `existing` nobody looked, and it is taken as the file says.
    """
    looked = "existing" in facts
    if layout.refers:
        yield from _one_vpc(stack, layout)
        for name, network in stack.networks.items():
            said = referred(network)
            if said is None:
                continue
            if said.subnets:
                yield from _subnets(name, network, layout, looked)
            else:
                yield from _made_there(name, network)
        if looked:
            yield from _vpc(stack, layout)
    yield from _groups(stack, layout, facts.get("existing", {}), looked, facts.get("limits", {}))
    if looked:
        yield from _keys(stack, facts["existing"])


def taken(
    stack: Stack, layout: Layout, addresses: Mapping[str, Sequence[NicAddress]], scope: tuple[str, str]
) -> Iterator[Objection]:
    """Addresses and ranges that somebody else has already.

    Args:
        stack: what the file says.
        layout: where its networks lie.
        addresses: per machine instance, its cards in order.
        scope: Pulumi project and stack: what carries their marker is the stack's own.
    """
    own = f"urn:pulumi:{scope[1]}::{scope[0]}::"
    held = layout.existing.get("taken", {})
    for entry, machine in stack.machines.items():
        for name in machine.names(entry):
            for index, given in enumerate(addresses.get(name, ())):
                part = layout.part(given.network, str(given.ipv4)) if given.ipv4 is not None else None
                who = held.get(part.existing, {}).get(str(given.ipv4)) if part is not None and part.existing else None
                if part is not None and who is not None and not who.startswith(own):
                    yield Objection(
                        ("machines", entry, "nics", index),
                        f"the address {given.ipv4} of machine '{name}' is somebody else's in {part.existing}",
                        "write another one ('address:')",
                    )
    for name, network in stack.networks.items():
        if referred(network) is None or network.cidr is None:
            continue
        for part in layout.parts[name]:
            for identity, (cidr, who) in layout.vpc_facts.get("subnets", {}).items():
                if not part.existing and not who.startswith(own) and ip_network(cidr).overlaps(part.cidr):
                    yield Objection(
                        ("networks", name, "cidr"),
                        f"{part.cidr} overlaps with {cidr} of {identity}, which is not this stack's",
                        f"give the network another range, or refer to it ('subnets: [{identity}]')",
                    )


def _one_vpc(stack: Stack, layout: Layout) -> Iterator[Objection]:
    """All networks of a stack are in one VPC: machines may have cards in several of them."""
    subnets = layout.existing.get("subnets", {})
    for name, network in stack.networks.items():
        said = referred(network)
        if said is None:
            yield Objection(
                ("networks", name),
                "other networks of the stack are in a VPC that is there already, and all are in one",
                f"write 'existing: {{aws: {{vpc: {layout.vpc or 'vpc-…'}}}}}': the network is made in that VPC",
            )
            continue
        vpcs = {said.vpc or layout.vpc} | {subnets[one]["vpc"] for one in said.subnets if one in subnets}
        others = sorted(vpcs - {layout.vpc})
        if others:
            yield Objection(
                ("networks", name, "existing"),
                f"it is in {others[0]}, and other networks of the stack in {layout.vpc}",
                "refer to networks of one VPC, or make two stacks",
            )


def _subnets(name: str, network: Network, layout: Layout, looked: bool) -> Iterator[Objection]:
    path = ("networks", name, "existing")
    if of(NetworkOverrides, network.overrides).availability_zones:
        yield Objection(path, "subnets that are there have their zones", "remove 'availability_zones'")
    if network.cidr is None:
        return
    for part in layout.parts[name]:
        told = layout.existing.get("subnets", {}).get(part.existing)
        if told is None:
            if looked:
                yield Objection(path, f"there is no subnet {part.existing} in the region", "mend its id")
            continue
        if told["cidr"] != str(part.cidr):
            yield Objection(
                ("networks", name, "cidr"),
                f"{part.existing} has the range {told['cidr']}, and the file says {part.cidr}",
                f"write 'cidr: {told['cidr']}'" if not part.suffix else "name subnets that divide the range equally",
            )
        yield from _six(name, network, part)
        yield from _way_out(name, network, part, told)
        yield from _remarks(path, part, told)


def _six(name: str, network: Network, part: Part) -> Iterator[Objection]:
    six, path = network.cidr6, ("networks", name, "cidr6")
    if six is None:
        return
    if not part.cidr6:
        yield Objection(path, f"{part.existing} has no IPv6", "remove 'cidr6', or give the subnet a range of IPv6")
    elif not six.is_private and IPv6Network(part.cidr6) != six:
        yield Objection(path, f"{part.existing} has the range {part.cidr6}", f"write 'cidr6: {part.cidr6}'")


def _way_out(name: str, network: Network, part: Part, told: Mapping[str, Any]) -> Iterator[Objection]:
    wanted = {4: _OUT[network.internet], **({6: _OUT6[network.internet]} if network.cidr6 is not None else {})}
    for version, way in wanted.items():
        found = next((target for to, target in told["ways"] if _OPEN[version] in to), "")
        found = "" if found in ("NOWHERE", "ENDPOINT") else found
        if found != way:
            says = _SAYS.get(found, "")
            yield Objection(
                ("networks", name, "internet"),
                f"the way out of {part.existing} over IPv{version} is {_WORDS.get(found, found)}, and 'internet: "
                f"{network.internet.value}' asks for {_WORDS[way]}",
                (f"write 'internet: {says}', or " if says else "") + "refer to a subnet that has it",
            )


def _remarks(path: tuple[str, ...], part: Part, told: Mapping[str, Any]) -> Iterator[Objection]:
    """What is other than it looks, and is nobody's fault."""
    allowed = {(egress, prefix) for _, egress, allow, number, *_, prefix in told["acl"] if allow and number is None}
    drops = any(not allow for _, _, allow, *_ in told["acl"])
    if drops or not {(True, _OPEN[4]), (False, _OPEN[4])} <= allowed:
        yield Objection(
            path,
            f"the network ACL of {part.existing} does not let everything pass, whatever policies allow",
            "`provision verify` shows what",
            warns=True,
        )
    for text in told["unclear"]:
        yield Objection(path, f"{part.existing}: {text}", "`provision verify` shows what comes of it", warns=True)


def _made_there(name: str, network: Network) -> Iterator[Objection]:
    """Of a VPC that is not the stack's nothing is changed, so that not every subnet can be made in it."""
    if network.internet is Internet.NAT:
        yield Objection(
            ("networks", name, "internet"),
            "the range where NAT gateways stand would have to be added to the VPC, which is not the stack's to change",
            "refer to subnets that have a NAT gateway ('subnets: […]')",
        )
    if network.cidr6 is not None:
        yield Objection(
            ("networks", name, "cidr6"),
            "which /64 of the VPC is free nobody here knows",
            "refer to subnets that have IPv6 ('subnets: […]')",
        )


def _vpc(stack: Stack, layout: Layout) -> Iterator[Objection]:
    told, path = layout.vpc_facts, ("networks",)
    if not told:
        if layout.vpc:
            yield Objection(path, f"there is no VPC {layout.vpc} in the region", "mend its id")
        return
    if told["dns"] != stack.isolation.services.dns:
        there, says = ("answers", "true") if told["dns"] else ("does not answer", "false")
        yield Objection(
            ("isolation", "services", "dns"),
            f"the name server of {layout.vpc} {there}, and the VPC is not the stack's to change",
            f"write 'isolation: {{services: {{dns: {says}}}}}', or refer to another VPC",
        )
    by_owner: dict[str, list[str]] = {}
    for group, owner in told["groups"].items():
        by_owner.setdefault(owner, []).append(group)
    for owner, found in by_owner.items():
        if len(found) > 1:
            yield Objection(
                path,
                f"{', '.join(sorted(found))} in {layout.vpc} are all marked as {owner.rpartition('::')[2]}: but for "
                "one, interrupted runs have left them",
                "remove those that no network card is in",
                warns=True,
            )
    blocks = [IPv4Network(one) for one in told["ranges"]]
    for name, network in stack.networks.items():
        said = referred(network)
        if said is None or said.subnets or network.cidr is None:
            continue
        if not any(network.cidr.subnet_of(block) for block in blocks):
            yield Objection(
                ("networks", name, "cidr"),
                f"{network.cidr} is not in {layout.vpc}, which has {', '.join(told['ranges'])}",
                "take a range of the VPC",
            )
        if network.internet is Internet.ROUTED and not told["gateway"]:
            yield Objection(
                ("networks", name, "internet"),
                f"{layout.vpc} has no internet gateway, and is not the stack's to change",
                "attach one to it, or write 'internet: none'",
            )


def _groups(
    stack: Stack, layout: Layout, existing: Mapping[str, Any], looked: bool, limits: Mapping[str, int]
) -> Iterator[Objection]:
    known = existing.get("groups", {})
    for entry, machine in stack.machines.items():
        for index, nic in enumerate(machine.nics):
            path = ("machines", entry, "nics", index, "existing")
            groups = joined(nic)
            if groups and not layout.refers:
                yield Objection(
                    path,
                    "a security group is of one VPC, and the stack makes one of its own",
                    "refer to the group's VPC: 'existing: {aws: {vpc: vpc-…}}' of the networks",
                )
            for group in groups if looked and layout.refers else ():
                yield from _group(path, group, known.get(group), layout)


def _group(path: tuple[Any, ...], group: str, told: Mapping[str, Any] | None, layout: Layout) -> Iterator[Objection]:
    if told is None:
        yield Objection(path, f"there is no security group {group} in the region", "mend its id")
        return
    if told["vpc"] != layout.vpc:
        yield Objection(path, f"{group} is of {told['vpc']}, and the stack in {layout.vpc}", "name a group of that VPC")
    if told["rules"]:
        yield Objection(
            path,
            f"{group} has {told['rules']} rules, by which more would pass than the file allows",
            "take its rules out (that which EC2 puts into a new group too): rules of others may still refer to it",
        )


def _keys(stack: Stack, existing: Mapping[str, Any]) -> Iterator[Objection]:
    for entry, machine in stack.machines.items():
        key = of(MachineOverrides, machine.overrides).key_name
        if key is not None and key not in existing.get("keys", ()):
            yield Objection(
                ("machines", entry, "overrides"), f"there is no key pair '{key}' in the region", "mend 'key_name'"
            )
