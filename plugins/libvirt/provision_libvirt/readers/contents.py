"""The NICs and filters of a graph: which filters are on which NICs, and what stands in them.

What is made of a filter is kept with the space of the sets, by what stands in it: of a second reading, or of a graph in
which one thing is different, only the different part is read.
"""

import marshal
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_network
from typing import Any

from provision.packets.sets import PacketSpace, Prefix
from provision.spi import Node, Output, RulesRequest
from provision_libvirt.readers.rules import Shape, not_understood

_MOST_KEPT = 2_000_000


@dataclass(frozen=True)
class Nic:
    """A NIC of a machine.

    Attributes:
        machine: whose it is.
        network: that it is on.
        native: as its domain has it.
        own: its own addresses.
        number: the same for NICs with the same addresses.
        reached: filters that are on it, its own first.
        shared: of a reading, the same for NICs that have all but their own filter in common.
    """

    machine: str
    network: str
    native: Mapping[str, Any]
    own: tuple[Prefix, ...]
    number: int
    reached: tuple[str, ...] = ()
    shared: int = 0


@dataclass(frozen=True)
class Content:
    """What stands in a filter.

    Attributes:
        number: the same for filters with the same rules.
        rules: those that are understood, in the order of priority.
        alike: the same as shapes, by priority, and with a number for what they match; those that differ in one address
            only are taken together.
        odd: what is not understood.
    """

    number: int
    rules: tuple[Mapping[str, Any], ...]
    alike: tuple[tuple[int, int, Shape, tuple[Prefix, ...]], ...]
    odd: tuple[str, ...]

    @cached_property
    def first_only(self) -> bool:
        """Whether a rule passes the first packet of a connection and may stop the next."""
        return any(
            rule["action"] == "drop" or "ESTABLISHED" not in rule["attributes"]["state"].split(",")
            for rule in self.rules
            if "state" in rule.get("attributes", {})
        )


class Kept(dict[Hashable, Any]):
    """What is kept with a space, by content; things get numbers, by which they are compared quickly."""

    @classmethod
    def of(cls, space: PacketSpace) -> "Kept":
        """What is kept with `space`; forgotten when it becomes too much."""
        found = space.kept.get(cls)
        if not isinstance(found, Kept) or len(found) > _MOST_KEPT:
            found = space.kept[cls] = cls()  # whoever still uses the old one keeps it, and its numbers
        return found

    def number(self, what: Hashable) -> int:
        """A number for `what`: equal things have the same one."""
        found: int = self.setdefault(("number", what), len(self))
        return found

    def prefix(self, text: str) -> Prefix:
        """A prefix as an object."""
        key = ("prefix", text)
        if key not in self:
            self[key] = ip_network(text)
        found: Prefix = self[key]
        return found


@dataclass
class Filters:
    """The NICs and filters of one graph.

    Attributes:
        request: what is read.
        unmodelled: told of what is not understood.
    """

    request: RulesRequest
    unmodelled: dict[str, None] = field(default_factory=dict)
    _shared: dict[tuple[Hashable, ...], tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    _beside: dict[int, int] = field(default_factory=dict)

    @cached_property
    def kept(self) -> Kept:
        """What earlier readings found."""
        return Kept.of(self.request.space)

    @cached_property
    def nodes(self) -> Mapping[str, Node]:
        """Native resources by name."""
        return self.request.graph.named

    @cached_property
    def nics(self) -> Sequence[Nic]:
        """Every NIC of the stack."""
        found = []
        for node in self.nodes.values():
            if not node.name.endswith("/domain"):
                continue
            machine = node.name.split("/")[1]
            for native, address in zip(node.inputs["nics"], self.request.addresses[machine], strict=True):
                texts = tuple(text for text in (address.ipv4, address.ipv6) if text)
                own = tuple(self.kept.prefix(text) for text in texts)
                on = self._on(machine, native)
                found.append(Nic(machine, address.network, native, own, self.kept.number(texts), *on))
        return found

    def _on(self, machine: str, native: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
        if native.get("user"):  # nothing filters it, and QEMU speaks for it: nobody sees another's address
            return (), 0
        reference = native.get("filter")
        if reference is None:
            self.unmodelled[f"a NIC of {machine} has no filter"] = None
            return (), 0
        if not isinstance(reference, Output) or reference.node not in self.nodes:
            return tuple(self._reachable(reference)), 0
        further = [one["filter"] for one in self.nodes[reference.node].inputs.get("references", ())]
        key = tuple(one.node if isinstance(one, Output) else one for one in further)
        if key not in self._shared:
            names = tuple(dict.fromkeys(name for one in further for name in self._reachable(one)))
            self._shared[key] = (len(self._shared), names)
        number, names = self._shared[key]
        return (reference.node, *names), number

    def standing(self, nic: Nic) -> tuple[int, int]:
        """What is on a NIC that has filters: the number of its own one's content, and one for those of all others."""
        return self.contents[nic.reached[0]].number, self.beside(nic)

    def beside(self, nic: Nic) -> int:
        """A number for the contents of all filters of a NIC but its own."""
        if nic.shared not in self._beside:
            numbers = tuple(self.contents[name].number for name in nic.reached[1:])
            self._beside[nic.shared] = self.kept.number(("beside", numbers))
        return self._beside[nic.shared]

    def _reachable(self, reference: Any) -> Iterator[str]:
        if not isinstance(reference, Output) or reference.node not in self.nodes:
            self.unmodelled[f"the filter {reference!r} is not part of the stack"] = None
            return
        yield reference.node
        for further in self.nodes[reference.node].inputs.get("references", ()):
            yield from self._reachable(further["filter"])

    @cached_property
    def users(self) -> Mapping[str, tuple[int, tuple[Prefix, ...]]]:
        """By filter, the addresses of the NICs that it is on, with a number for them."""
        found: dict[str, list[Nic]] = defaultdict(list)
        for nic in self.nics:
            for name in nic.reached:
                found[name].append(nic)
        return {
            name: (
                self.kept.number(tuple(nic.number for nic in nics)),
                tuple(prefix for nic in nics for prefix in nic.own),
            )
            for name, nics in found.items()
        }

    @cached_property
    def contents(self) -> Mapping[str, Content]:
        """What stands in every filter that is on some NIC."""
        return {name: self._content(name) for name in self.users}

    def _content(self, name: str) -> Content:
        inputs = self.nodes[name].inputs
        chain = inputs.get("chain", "root")
        content = self._read(inputs.get("rules", ()), chain)
        for why in content.odd:
            self.unmodelled[f"{name}: {why} is not understood"] = None
        return content

    def _read(self, rules: Sequence[Mapping[str, Any]], chain: str) -> Content:
        key = ("content", chain, _written(rules))
        found: Content | None = self.kept.get(key)
        if found is None:
            known = [self._understood(_frozen(rule), rule) for rule in rules]
            if chain != "root":
                known = [(f"the chain '{chain}'", None) for _ in known]
            found = self.kept[key] = self._content_of(key, rules, known)
        return found

    def _understood(
        self, frozen: Hashable, rule: Mapping[str, Any]
    ) -> tuple[str | None, tuple[Shape, tuple[Prefix, ...]] | None]:
        """Why a rule is not understood; else its shape and addresses."""
        key = ("rule", frozen)
        if key not in self.kept:
            why = not_understood(rule)
            self.kept[key] = (why, Shape.of(rule) if why is None else None)
        found: tuple[str | None, tuple[Shape, tuple[Prefix, ...]] | None] = self.kept[key]
        return found

    def _content_of(
        self,
        key: Hashable,
        rules: Sequence[Mapping[str, Any]],
        known: Sequence[tuple[str | None, tuple[Shape, tuple[Prefix, ...]] | None]],
    ) -> Content:
        understood = [(rule, it) for rule, (_, it) in zip(rules, known, strict=True) if it is not None]
        understood.sort(key=lambda item: item[0].get("priority", 500))
        found: dict[tuple[int, Shape], list[Prefix]] = defaultdict(list)
        for rule, (shape, prefixes) in understood:
            found[rule.get("priority", 500), shape] += prefixes
        alike = tuple(
            (priority, self.kept.number((shape, tuple(group))), shape, tuple(group))
            for (priority, shape), prefixes in found.items()
            for group in ([[one] for one in prefixes] if shape.negated and prefixes else [prefixes])
        )
        odd = dict.fromkeys(why for why, _ in known if why is not None)
        return Content(self.kept.number(key), tuple(rule for rule, _ in understood), alike, tuple(odd))


def _written(rules: Sequence[Mapping[str, Any]]) -> Hashable:
    """The same for equal rules; all are asked for it in each reading, so it is what can be had most quickly."""
    try:
        return marshal.dumps(list(rules), 2)  # later versions say which texts are one object, which is no difference
    except ValueError:  # something else than plain texts and numbers
        return tuple(map(_frozen, rules))


def _frozen(rule: Mapping[str, Any]) -> tuple[Any, ...]:
    attributes = rule.get("attributes", {})
    return (
        rule.get("action"),
        rule.get("direction"),
        rule.get("priority", 500),
        rule.get("protocol", "all"),
        rule.get("statematch", True),
        tuple(sorted(attributes.items())),
    )
