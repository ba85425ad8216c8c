"""Packets that come alone: what may reach a machine, from an end without rules, though no connection comes of it.

Where a packet comes from such an end (the host, or beyond), not every platform can tell an answer from a first packet,
or one ICMP type from another. What is held against the file here is as strict as that allows.
"""

from dataclasses import dataclass, replace
from functools import cached_property

from provision.models import Internet, NoHostAccessPolicy, Posture, TrafficPolicy
from provision.packets import Protocol
from provision.packets.sets import Field, PacketSet
from provision.translate.instances import selected
from provision.verify.proof.intent import IntentSet
from provision.verify.rules import Rule, Side, rules


@dataclass(frozen=True)
class Lone:
    """What a file says of lone packets.

    Attributes:
        intent: what it says of connections.
    """

    intent: IntentSet

    @cached_property
    def told(self) -> PacketSet:
        """Packets on which the file decides even when they come alone: from an end without rules, to a machine.

        Where everything may pass unless it is denied, a denial is of connections, and nothing is said of lone packets.
        """
        intent, space = self.intent, self.intent.space
        if intent.ends.stack.isolation.default is Posture.ALLOW:
            return space.none
        # Router advertisements and redirects (RFC 4861) open no connection, and lead a machine astray.
        routers = space.protocol(58) & space.family(6) & (space.icmp(134) | space.icmp(137))
        near = intent.near[Field.DESTINATION]
        return ((intent.judged | (intent.held & routers)) & near) - intent.machines[Field.SOURCE]

    @cached_property
    def allowed(self) -> PacketSet:
        """Those that may come: of allowed connections, answers to such, and what peers and routers tell in ICMP.

        A `deny` is of connections: where a policy has one, whatever some policy allows from beyond the machines may
        come alone, from any of the addresses there that some policy means.
        """
        space, stack = self.intent.space, self.intent.ends.stack
        found = space.none if self._denies else self.intent.allowed
        closed = space.none
        for rule in rules(stack, self.intent.without):
            if rule.allow:
                found |= self._around(rule)
            elif not isinstance(stack.isolation.policies.get(rule.why), TrafficPolicy):
                closed |= self._pairs(rule.sources, rule.destinations)
        found = (found - closed) | self._errors
        return found if stack.isolation.services.nd else found & space.family(4)

    @cached_property
    def _denies(self) -> bool:
        policies = self.intent.ends.stack.isolation.policies.items()
        return any(
            isinstance(one, TrafficPolicy) and one.deny for name, one in policies if name not in self.intent.without
        )

    @cached_property
    def _meant(self) -> Side:
        """All that is no machine and that some policy which allows something names."""
        policies = self.intent.ends.stack.isolation.policies
        named = [
            side
            for rule in rules(self.intent.ends.stack, self.intent.without)
            if rule.allow and isinstance(policies.get(rule.why), TrafficPolicy)
            for side in (rule.sources, rule.destinations)
        ]
        written = tuple(dict.fromkeys(one for side in named for one in side.prefixes))
        hosts = self.intent.ends.hosts
        spoken = any(one.host for one in named) or any(host.overlaps(one) for host in hosts for one in written)
        return Side(prefixes=written, host=spoken, outside=any(one.outside for one in named), internet=True)

    def _around(self, rule: Rule) -> PacketSet:
        """What comes of connections of a rule beside their first packets."""
        space = self.intent.space
        if not (rule.sources.beyond or rule.destinations.beyond):
            return space.none
        sources, destinations = self._whole(rule.sources), self._whole(rule.destinations)
        there, back = self._pairs(sources, destinations), self._pairs(destinations, sources)
        if rule.same_network:
            there, back = there & self.intent.same_network, back & self.intent.same_network
        found = back & space.union(space.answers(service) for service in rule.services)
        if self._denies:
            found |= there & space.union(space.service(service) for service in rule.services)
        for protocol, icmp in ((Protocol.ICMP, self._icmp(4)), (Protocol.ICMPV6, self._icmp(6))):
            if any(service.protocol in (protocol, Protocol.ANY) for service in rule.services):
                found |= (there | back) & icmp
        return found

    def _whole(self, side: Side) -> Side:
        """All that is no machine and is meant by some policy, where one denies and another allows what is beyond."""
        if self._denies and (side.outside or side.internet):
            meant = self._meant
            return replace(
                side,
                host=side.host or meant.host,
                outside=side.outside or meant.outside,
                internet=True,
                prefixes=(*side.prefixes, *meant.prefixes),
            )
        return side

    def _pairs(self, sources: Side, destinations: Side) -> PacketSet:
        return self.intent.side(sources, Field.SOURCE) & self.intent.side(destinations, Field.DESTINATION)

    def _icmp(self, family: int) -> PacketSet:
        space = self.intent.space
        return space.protocol(1 if family == 4 else 58) & space.family(family)

    @property
    def _errors(self) -> PacketSet:
        """ICMP of routers: by its type alone an error can be told from anything else."""
        space, ends = self.intent.space, self.intent.ends
        stack = ends.stack
        routers = [
            (ends.gateways[name], space.prefixes(Field.DESTINATION, ends.of_machines([name])))
            for name, network in stack.networks.items()
            if network.internet is not Internet.NONE
        ]
        led = [name for name, network in stack.networks.items()
               if network.internet is not Internet.NONE or ends.gateways[name]]  # fmt: skip
        near = space.prefixes(Field.DESTINATION, ends.of_machines(led))
        for name, policy in stack.isolation.policies.items():
            if isinstance(policy, NoHostAccessPolicy) and name not in self.intent.without:  # needed all the same
                chosen = Side(selected(stack, policy.machines))
                routers.append((ends.hosts, self.intent.side(chosen, Field.DESTINATION) & near))
        return self._icmp(4) & space.union(
            space.prefixes(Field.SOURCE, addresses) & machines for addresses, machines in routers
        )
