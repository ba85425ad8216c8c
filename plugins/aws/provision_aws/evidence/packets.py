"""Packet rules of a machine: its interfaces have the groups made for them, and these hold the rules of the state."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provision.models import AntiSpoofingPolicy, Policy
from provision.spi import Shown
from provision.spi.cloud.looking import in_groups, in_rules
from provision.spi.evidence import accepted, number
from provision_aws.evidence.look import Look
from provision_aws.reading import Live

_RULE = "ec2:SecurityGroupRule"
_FIELDS = {
    "ip_protocol": "IpProtocol",
    "from_port": "FromPort",
    "to_port": "ToPort",
    "cidr_ipv4": "CidrIpv4",
    "cidr_ipv6": "CidrIpv6",
    "prefix_list_id": "PrefixListId",
}


def filtered(look: Look, policy: Policy) -> Iterator[Shown]:
    """Whether EC2 holds the groups and rules that the state records, on every interface; all policies share them.

    What comes of all of it together is read for all machines at once (`provision_aws.readers`).
    """
    wrong, seen = list[str](), set[str]()
    recorded = _groups_of(look)
    if len(look.cards) != len(recorded):
        wrong.append(f"{number(len(look.cards), 'network card')} instead of {len(recorded)}")
    for position, (card, wanted) in enumerate(zip(look.cards, recorded, strict=False)):
        groups = {str(group["GroupId"]) for group in card.get("Groups") or ()}
        wrong += in_groups(f"network card {position}", groups, wanted)
        seen |= groups & wanted
    rules = look.rules(sorted(seen))
    for group in sorted(seen):
        wrong += _differences(look, group, rules.get(group, []))
    cards = number(len(look.cards), "network card")
    text = f"{cards} in {number(len(seen), 'security group')} with {number(_count(rules, seen), 'rule')} as written"
    yield accepted(not wrong, "; ".join(dict.fromkeys(wrong)) or text)
    yield look.unseen()


def unspoofed(look: Look, policy: AntiSpoofingPolicy) -> Iterator[Shown]:
    """Whether EC2 drops what is not from or to its own addresses; a VPC has no frames that could be forged."""
    off = [str(position) for position, card in enumerate(look.cards) if card.get("SourceDestCheck") is False]
    text = f"network card {', '.join(off)} may send with other addresses: the source/destination check is off"
    yield accepted(not off, text if off else "source/destination check on every network card")
    yield look.unseen()


def _groups_of(look: Look) -> list[set[str]]:
    """The groups of each interface, as the state has them."""
    found = []
    for nic in look.native.inputs.get("nics") or ():
        own = look.natives.get(str(nic.get("network_interface_id")))
        inputs = nic if own is None else own.inputs
        found.append({str(group) for group in inputs.get("security_group_ids") or ()})
    return found


def _differences(look: Look, group: str, rules: Sequence[Live]) -> Iterator[str]:
    recorded = [
        one for one in look.natives.values() if one.token == _RULE and one.inputs.get("security_group_id") == group
    ]
    return in_rules(group, recorded, {str(rule["SecurityGroupRuleId"]): rule for rule in rules}, _changed)


def _changed(wanted: Mapping[str, Any], live: Live) -> Iterator[str]:
    for name, field in _FIELDS.items():
        found = live.get(field)
        if name in ("from_port", "to_port") and wanted.get(name) is None:
            continue
        if wanted.get(name) != found and (wanted.get(name) or found):
            yield name
    group = (live.get("ReferencedGroupInfo") or {}).get("GroupId")
    if wanted.get("referenced_security_group_id") != group:
        yield "referenced_security_group_id"
    if wanted.get("direction") != ("egress" if live["IsEgress"] else "ingress"):
        yield "direction"


def _count(rules: Mapping[str, list[Live]], groups: set[str]) -> int:
    return sum(len(rules.get(group, ())) for group in groups)
