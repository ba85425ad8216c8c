"""Security groups, their rules and address groups as nodes of the graph.

A port is in the groups of all peers that mean it, and in no other: what no rule lets through is dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2s
from typing import Any

from provision.spi import GraphBuilder, Node, Output, TranslationRequest
from provision.spi.flows import Key
from provision_openstack import resources
from provision_openstack.translate.names import Names
from provision_openstack.translate.rules import Planned, Ranges, Rule, hosts_of, plan
from provision_openstack.translate.services import protocol

Remote = tuple[str, dict[str, Any]]
"""A word for a rule's name, and the rule's field that says who its peer is."""

ADDRESS_GROUPS = "security-groups-remote-address-group"
"""The extension of Neutron by which a rule refers to several ranges."""

_MOST_SAID = 150
"""Characters of the policies that a rule's description names; the mark must fit behind."""


@dataclass
class Groups:
    """Adds the groups of all peers of policies."""

    request: TranslationRequest
    names: Names
    builder: GraphBuilder
    _planned: Planned = field(init=False)
    _groups: dict[str, Node] = field(default_factory=dict)
    _sets: dict[Ranges, Node] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Plan them."""
        request = self.request
        hosts = hosts_of(request.capabilities)
        self._planned = plan(request.stack, request.addresses, request.decisions, request.elsewhere, hosts)

    def add(self) -> None:
        """Add all groups, then all rules: those refer to groups."""
        for name in self._planned.groups:
            inputs: dict[str, Any] = {
                "name": self.names.native(name),
                "description": f"members of {name}"[:_MOST_SAID],
                "exclusive": True,
            }
            if name in self._planned.stateless:
                inputs["stateful"] = False
            self._groups[name] = self.builder.add(resources.SecurityGroup, f"groups/{_word(name)}", inputs)
        for name, group in self._planned.groups.items():
            for rule, said in group.rules.items():
                self._rule(self._groups[name], rule, said)

    def ids(self, nic: Key) -> list[Output]:
        """Ids of a NIC's groups."""
        return [self._groups[name].output("id") for name in self._planned.memberships.get(nic, ())]

    def _rule(self, group: Node, rule: Rule, said: list[str]) -> None:
        what = str(rule.service).replace("/", "-")
        for word, remote in self._remotes(rule):
            inputs = {
                "description": (", ".join(said) or "default: allow")[:_MOST_SAID],
                "security_group_id": group.output("id"),
                "direction": rule.direction,
                "ethertype": f"IPv{rule.family}",
                **protocol(rule.service),
                **remote,
            }
            path = f"{group.name}/{rule.direction}-{what}-v{rule.family}-{word}"
            if path in self._made:  # the same range is a part of two peers
                continue
            self._made.add(path)
            parent = f"isolation/{said[0]}" if len(said) == 1 else None
            self.builder.add(resources.SecurityGroupRule, path, inputs, parent=parent)

    def _remotes(self, rule: Rule) -> Iterator[Remote]:
        """An address group where there are several ranges and the cloud has them, else a rule for each range."""
        if isinstance(rule.peer, str):
            yield _word(rule.peer), {"remote_group_id": self._groups[rule.peer].output("id")}
            return
        extensions = self.request.capabilities.facts.get("extensions", ())
        if len(rule.peer.prefixes) == 1 or ADDRESS_GROUPS not in extensions:
            for prefix in rule.peer.prefixes:
                yield _word(str(prefix)), {"remote_ip_prefix": str(prefix)}
            return
        name = _called(rule.peer)
        if rule.peer not in self._sets:
            addresses = [str(one) for one in rule.peer.prefixes]
            inputs = {"name": self.names.native(name), "addresses": addresses}
            self._sets[rule.peer] = self.builder.add(resources.AddressGroup, f"addresses/{name}", inputs)
        yield name, {"remote_address_group_id": self._sets[rule.peer].output("id")}


def _called(ranges: Ranges) -> str:
    """A name of ranges: a word for all that is beyond, else digits that tell them from others."""
    family = ranges.prefixes[0].version
    if ranges.word in ("outside", "internet"):
        return f"{ranges.word}-v{family}"
    return f"{ranges.word or 'some'}-{blake2s(' '.join(map(str, ranges.prefixes)).encode()).hexdigest()[:8]}-v{family}"


def _word(text: str) -> str:
    return text.replace("/", "_").replace(":", ".").replace("*", "all")
