"""What of a stack one host cannot do together, though it could do each field of it."""

from collections.abc import Iterator, Mapping
from itertools import combinations

from provision.models import (
    Internet,
    NoHostAccessPolicy,
    PeerIsolationPolicy,
    Revoke,
    SpreadPolicy,
    Stack,
    Topology,
    TrafficPolicy,
)
from provision.spi import Capabilities, Decision, Objection
from provision.spi.peers import instances
from provision_libvirt import usermode
from provision_libvirt.translate.hostpart import HostParts, OfHost
from provision_libvirt.translate.objections_room import RoomObjections
from provision_libvirt.translate.objections_start import StartObjections
from provision_libvirt.translate.reach import Reaching
from provision_libvirt.translate.steps import MOST, Steps


def objections(
    stack: Stack, capabilities: Capabilities, decisions: Mapping[str, Decision] | None = None
) -> Iterator[Objection]:
    """Everything of the stack that cannot be had together on this host."""
    if usermode.is_user(capabilities):
        yield from usermode.objections(stack)
    yield from _Objections(HostParts(stack, capabilities, decisions or {})).found()


class _Objections(OfHost):
    def found(self) -> Iterator[Objection]:
        for policy, reason in self.parts.placing.refused.items():
            yield Objection(
                ("isolation", "policies", policy), reason, "use fewer or smaller machines, or a larger host"
            )
        yield from Reaching(self.stack, self.parts.enforced(TrafficPolicy)).objections()
        yield from self._said_twice()
        yield from RoomObjections(self.parts).found()
        yield from StartObjections(self.parts).found()
        yield from self._apart_objections()
        yield from self._traffic_objections()
        yield from self._host_objections()
        yield from self._peer_objections()

    def _peer_objections(self) -> Iterator[Objection]:
        """Isolated ports of a bridge are isolated from all others that are: there are no groups of them."""
        groups = [(name, self.parts.selected[name]) for name, _ in self.parts.enforced(PeerIsolationPolicy)]
        if len(groups) < 2:
            return
        for network in self.stack.networks:
            here = {
                entry
                for entry, machine in self.stack.machines.items()
                if any(nic.network == network for nic in machine.nics) and any(entry in them for _, them in groups)
            }
            if any(here <= them for _, them in groups):
                continue
            apart = next(
                ((one, other) for one, other in combinations(sorted(here), 2)
                 if not any({one, other} <= them for _, them in groups)),
                None,
            )  # fmt: skip
            if apart is not None:
                name = next(name for name, them in reversed(groups) if here & them)
                yield Objection(
                    ("isolation", "policies", name),
                    f"on network '{network}' machines '{apart[0]}' and '{apart[1]}' would be kept apart too, though no "
                    "policy says so: the isolated ports of a bridge are isolated from each other, all of them",
                    "use one such policy for all of them, or a network for each group",
                )

    def _traffic_objections(self) -> Iterator[Objection]:
        """What is too much where order matters."""
        steps = Steps.of(self.parts.enforced(TrafficPolicy))
        if not steps.needed:
            return
        if steps.count > MOST:
            last = max(steps.deny, key=lambda name: steps.deny[name])
            yield Objection(
                ("isolation", "policies", last, "order"),
                f"by 'order', the policies change {steps.count - 1} times between deny and allow, and libvirt's packet "
                f"filter has room for {MOST - 1} times",
                "give policies that deny an order of their own, before those that allow",
            )
        for name, policy in self.parts.enforced(TrafficPolicy):
            if policy.revoke is Revoke.CUT:
                yield Objection(
                    ("isolation", "policies", name, "revoke"),
                    f"policy '{next(iter(steps.deny))}' denies, and libvirt's packet filter lets a 'deny' that is new "
                    "stop new connections only",
                    "leave 'revoke' out, or take services out of 'allow' instead of a 'deny'",
                )

    def _host_objections(self) -> Iterator[Objection]:
        """The hypervisor's addresses must be known to be closed, and those that it gets later closed without that."""
        known = self.capabilities.facts.get("host_addresses")
        if known and self.capabilities.facts.get("closes_host"):
            return
        why, fix = (
            ("addresses that the hypervisor gets later, such as on networks of other stacks, can be closed in its "
             "kernel's table 'mangle' alone, which only root on it can change (with iptables and ip6tables)",
             "use networks with 'internet: none', or run provision as root on the hypervisor itself")
            if known else
            ("the addresses of a remote hypervisor beyond the stack's networks are not known here",
             "use networks with 'internet: none', or run provision on the hypervisor itself")
        )  # fmt: skip
        for name, _ in self.parts.enforced(NoHostAccessPolicy):
            for entry in sorted(self.parts.selected[name] & self.stack.machines.keys()):
                nics = self.stack.machines[entry].nics
                out = [nic.network for nic in nics if self.stack.networks[nic.network].internet is not Internet.NONE]
                if out:
                    yield Objection(
                        ("isolation", "policies", name),
                        f"machine '{entry}' has a way out by network '{out[0]}', and {why}",
                        fix,
                    )
                    break

    def _apart_objections(self) -> Iterator[Objection]:
        """One hypervisor is one host."""
        for name, policy in self.parts.enforced(SpreadPolicy):
            members = sum(1 for _, entry, _ in instances(self.stack) if entry in self.parts.selected[name])
            if policy.over is Topology.HOST and members > policy.max_per:
                yield Objection(
                    ("isolation", "policies", name),
                    f"one hypervisor is one host, and the policy wants at most {policy.max_per} of its {members} "
                    "machines on one",
                    "write 'over: numa' or 'over: core' to keep them apart on the host, or use several hypervisors",
                )

    def _said_twice(self) -> Iterator[Objection]:
        """Limits of one machine by several shares: which of them was meant nobody knows."""
        for entry in self.stack.machines:
            said: dict[tuple[str, str], str] = {}
            for name, share in self.parts.shares_of(entry):
                for part in ("cpu", "memory", "disk", "nic"):
                    model = getattr(share, part)
                    for key in sorted(model.model_fields_set) if model is not None else ():
                        if getattr(model, key) is None:
                            continue
                        other = said.setdefault((part, key), name)
                        if other != name:
                            yield Objection(
                                ("sharing", "shares", name, part, key),
                                f"machine '{entry}' has its '{part}.{key}' from share '{other}' already",
                                f"take '{key}' out of one of them, or select other machines",
                            )
