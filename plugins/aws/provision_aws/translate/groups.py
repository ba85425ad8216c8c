"""Security groups, their rules and prefix lists as nodes of the graph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2s
from typing import Any

from provision.packets.prefixes import Prefix
from provision.spi import GraphBuilder, Node, Output
from provision.spi.flows import End, Key
from provision_aws.resources import PrefixList, SecurityGroup, SecurityGroupRule
from provision_aws.translate.names import Names, plain, slug
from provision_aws.translate.networks import Networks
from provision_aws.translate.rules import CLOSED, PeerList, Planned, Rule, permission


@dataclass
class Groups:
    """Adds the groups of a plan to a graph, and tells which each network card has.

    Attributes:
        planned: which there are.
        names: of native objects.
        builder: where nodes go.
        networks: tell the VPC.
        policies: names of the policies that are components of the graph.
    """

    planned: Planned
    names: Names
    builder: GraphBuilder
    networks: Networks
    policies: Sequence[str]
    _groups: dict[str, list[Node]] = field(default_factory=dict)
    _lists: dict[PeerList, Node] = field(default_factory=dict)
    _rules: dict[str, list[str]] = field(default_factory=dict)

    def add(self) -> None:
        """Add all groups, then all rules: those refer to groups."""
        for name, parts in self.planned.parts.items():
            self._groups[name] = [self._group(name, index) for index in range(len(parts))]
        for name, parts in self.planned.parts.items():
            for node, rules in zip(self._groups[name], parts, strict=True):
                for rule, said in rules.items():
                    self._rule(name, node, rule, said)

    def of(self, end: End) -> list[Output]:
        """The ids of an interface's groups."""
        names = self.planned.memberships.get(end.key, ())
        nodes = [node for name in names for node in self._groups[name]]
        if not nodes:
            if CLOSED not in self._groups:
                self._groups[CLOSED] = [self._group(CLOSED, 0)]
            nodes = self._groups[CLOSED]
        return [node.output("id") for node in nodes]

    def rules_of(self, key: Key) -> list[str]:
        """Names of the nodes of the rules that an interface has."""
        return [rule for name in self.planned.memberships.get(key, ()) for rule in self._rules.get(name, ())]

    def _group(self, name: str, index: int) -> Node:
        part = f"groups/{slug(name)}" + (f"/more-{index}" if index else "")
        native = self.names.native(name) + (f"-{index}" if index else "")
        return self.builder.add(
            SecurityGroup,
            part,
            {
                "vpc_id": self.networks.vpc_id,
                "name": native,
                "group_name": plain(native),
                "description": plain(f"members of {name}" if name != CLOSED else "machines that no policy speaks of"),
                "exclusive": self.networks.exclusive,
            },
        )

    def _rule(self, name: str, group: Node, rule: Rule, said: Sequence[str]) -> None:
        known = [policy for policy in said if policy in self.policies]
        inputs: dict[str, Any] = {
            "security_group_id": group.output("id"),
            "direction": rule.direction,
            **permission(rule.service),
            **self._peer(rule),
            "description": plain(", ".join(known) or "default: allow", 255),
            "name": self.names.native(name, rule.direction, str(rule.service)),
        }
        way = "in" if rule.direction == "ingress" else "out"
        node = f"groups/{slug(name)}/{way}-{slug(str(rule.service).replace('/', '-'))}-{_peer_slug(rule)}"
        self.builder.add(SecurityGroupRule, node, inputs, parent=f"isolation/{known[0]}" if len(known) == 1 else None)
        self._rules.setdefault(name, []).append(node)

    def _peer(self, rule: Rule) -> dict[str, Any]:
        match rule.peer:
            case str():
                return {"referenced_security_group_id": self._groups[rule.peer][0].output("id")}
            case PeerList():
                return {"prefix_list_id": self._list(rule.peer).output("id")}
            case prefix:
                return {f"cidr_ipv{prefix.version}": str(prefix)}

    def _list(self, peers: PeerList) -> Node:
        if peers not in self._lists:
            name = f"{_digest(peers.prefixes)}-{peers.family}" + ("-beyond" if peers.without_own else "")
            inputs: Mapping[str, Any] = {
                "name": self.names.native("prefixes", name),
                "prefix_list_name": self.names.native("prefixes", name),
                "address_family": f"IPv{peers.family}",
                "max_entries": peers.most,
                "entries": [{"cidr": str(one)} for one in peers.prefixes],
            }
            if peers.without_own:
                inputs = {**inputs, "left_out": self.networks.ipv6_blocks}
            self._lists[peers] = self.builder.add(PrefixList, f"prefix-lists/{name}", inputs)
        return self._lists[peers]


def _digest(prefixes: Sequence[Prefix]) -> str:
    return blake2s(" ".join(map(str, prefixes)).encode()).hexdigest()[:8]


def _peer_slug(rule: Rule) -> str:
    match rule.peer:
        case str():
            return slug(rule.peer)
        case PeerList():
            return f"list-{_digest(rule.peer.prefixes)}" + ("-beyond" if rule.peer.without_own else "")
        case prefix:
            return str(prefix).replace("/", "-").replace(":", ".")
