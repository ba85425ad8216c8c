"""Traffic policies as security groups.

Each side of a policy is a group: its members are the ports of that side, and its rules name the other side's group, so
that rules do not grow with machines. A NIC that a policy means by its address alone, of one IP version, is in a group
of that version. A port is in the groups of all policies that speak of it, and in no other: what no rule lets through is
dropped.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provision.models import TrafficPolicy
from provision.packets import Service
from provision.spi import GraphBuilder, Node, Output, TranslationRequest, Verdict
from provision_openstack import resources
from provision_openstack.translate.names import Names
from provision_openstack.translate.peers import Nic, Prefix, Side, side
from provision_openstack.translate.prefixes import inside, less_link_local, outside, public
from provision_openstack.translate.services import fields

BOTH = (4, 6)
Remote = tuple[str, dict[str, Any]]
"""A word for a rule's name, and the rule's field that says who its peer is."""


@dataclass
class Groups:
    """Adds the groups of all policies.

    Attributes:
        of_nic: groups of each NIC, by machine and index.
    """

    request: TranslationRequest
    names: Names
    builder: GraphBuilder
    nics: Sequence[Nic]
    of_nic: dict[tuple[str, int], list[Node]] = field(default_factory=dict)
    _sets: dict[str, Node] = field(default_factory=dict)

    def add(self) -> None:
        """Add them; policies that were downgraded are left out."""
        for name, policy in enforced(self.request):
            self._policy(name, policy)

    def ids(self, nic: Nic) -> list[Output]:
        """Ids of a NIC's groups."""
        return [group.output("id") for group in self.of_nic.get(nic.key, ())]

    def _policy(self, name: str, policy: TrafficPolicy) -> None:
        stack = self.request.stack
        self.builder.component("Policy", f"isolation/{name}")
        sides = {"from": side(stack, policy.sources), "to": side(stack, policy.destinations)}
        groups = {word: self._groups(name, word, one) for word, one in sides.items()}
        for word, direction in (("from", "egress"), ("to", "ingress")):
            other = "to" if word == "from" else "from"
            for families, group in groups[word].items():
                named = groups[other].get(BOTH)
                self._rules(name, group, direction, families, policy.allow, named, sides[other])

    def _groups(self, name: str, word: str, one: Side) -> dict[tuple[int, ...], Node]:
        """Groups of a side's own members, by the IP versions of their rules."""
        members: dict[tuple[int, ...], list[Nic]] = {}
        for nic in self.nics:
            families = BOTH if one.names(nic) else tuple(family for family in BOTH if one.holds(nic, family))
            for chosen in [BOTH] if families == BOTH and one.names(nic) else [(family,) for family in families]:
                members.setdefault(chosen, []).append(nic)
        if (one.entries or one.networks) and BOTH not in members:
            members[BOTH] = []  # the other side's rules name it, though nobody is there yet
        found = {}
        for families in sorted(members, key=len, reverse=True):
            suffix = "" if families == BOTH else f"-v{families[0]}"
            inputs = {"name": self.names.native(name, word + suffix), "exclusive": True}
            path = f"isolation/{name}/{word}{suffix}"
            group = self.builder.add(resources.SecurityGroup, path, inputs, parent=f"isolation/{name}")
            for nic in members[families]:
                self.of_nic.setdefault(nic.key, []).append(group)
            found[families] = group
        return found

    def _rules(
        self,
        name: str,
        group: Node,
        direction: str,
        families: tuple[int, ...],
        services: Sequence[Service],
        named: Node | None,
        other: Side,
    ) -> None:
        for service in services:
            for family, said in fields(service):
                if family not in families:
                    continue
                for word, remote in self._remotes(family, named, other):
                    path = f"{group.name}/{direction}-{str(service).replace('/', '-')}-v{family}-{word}"
                    inputs = {"security_group_id": group.output("id"), "direction": direction, **said, **remote}
                    self.builder.add(resources.SecurityGroupRule, path, inputs, parent=f"isolation/{name}")

    def _remotes(self, family: int, named: Node | None, other: Side) -> Iterator[Remote]:
        if named is not None:
            yield "group", {"remote_group_id": named.output("id")}
        for prefix in other.prefixes:
            if prefix.version == family:
                yield from _written(prefix)
        if other.outside:
            yield from self._set("outside", family, outside(family, self._inside))
        elif other.internet:
            yield from self._set("internet", family, public(family, self._inside))

    @property
    def _inside(self) -> tuple[Prefix, ...]:
        return inside(self.request.stack, self.request.elsewhere)

    def _set(self, word: str, family: int, prefixes: list[str]) -> Iterator[Remote]:
        """An address group where the cloud has them, else a rule for each range."""
        if "security-groups-remote-address-group" not in self.request.capabilities.facts.get("extensions", ()):
            for prefix in prefixes:
                yield _word(prefix), {"remote_ip_prefix": prefix}
            return
        name = f"{word}-v{family}"
        if name not in self._sets:
            inputs = {"name": self.names.native(name), "addresses": prefixes}
            self._sets[name] = self.builder.add(resources.AddressGroup, f"addresses/{name}", inputs)
        yield word, {"remote_address_group_id": self._sets[name].output("id")}


def enforced(request: TranslationRequest) -> Iterator[tuple[str, TrafficPolicy]]:
    """Traffic policies that are made."""
    decisions: Mapping[str, Any] = request.decisions
    for name, policy in request.stack.isolation.policies.items():
        decision = decisions.get(name)
        if isinstance(policy, TrafficPolicy) and not (decision and decision.verdict is Verdict.DOWNGRADE):
            yield name, policy


def _written(prefix: Prefix) -> Iterator[Remote]:
    """A range that the file names; the metadata service is never in it."""
    for one in less_link_local(prefix):
        yield _word(one), {"remote_ip_prefix": one}


def _word(prefix: str) -> str:
    return prefix.replace("/", "_").replace(":", ".")
