"""The order of traffic policies as steps of priorities.

With `allow` alone the order does not matter. A `deny` does: the first policy that speaks of a packet has the word, by
`order`, deny before allow of the same order, those without order last. Policies that follow each other and do the same
share a step, so that steps are used up by changes between deny and allow alone.

The steps of connections that a NIC opens come before those of connections to it. Only so can the rules tell the packets
of both apart: what is routed to a NIC is seen without connections, and what is denied there is stopped by its answers,
which look like packets of connections that the NIC opened.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

from provision.models import TrafficPolicy
from provision_libvirt.translate import priorities as at

MOST = at.CLOSED_SERVICES - at.FIRST_STEP
"""How many steps there is room for."""


@dataclass(frozen=True)
class Steps:
    """The step of each part of each policy."""

    deny: Mapping[str, int]
    allow: Mapping[str, int]
    count: int

    @classmethod
    def of(cls, policies: Iterable[tuple[str, TrafficPolicy]]) -> "Steps":
        """Number the steps of enforced policies."""
        parts: list[tuple[float, bool, str]] = []
        for name, policy in policies:
            order = inf if policy.order is None else policy.order
            parts += [(order, False, name)] if policy.deny else []
            parts += [(order, True, name)] if policy.allow else []
        found: dict[bool, dict[str, int]] = {False: {}, True: {}}
        parts.sort(key=lambda part: part[:2])
        # Before each step of allowing there is one of denying: also what an allow does not speak of goes there.
        step, before = (0, False) if parts and parts[0][1] else (-1, None)
        for _, allows, name in parts:
            if allows is not before:
                step, before = step + 1, allows
            found[allows][name] = step
        return cls(found[False], found[True], step + 1)

    @property
    def needed(self) -> bool:
        """Whether any policy denies: without, no order matters."""
        return bool(self.deny)

    @staticmethod
    def priority(step: int, direction: str) -> int:
        """The priority of a step for connections from (`out`) or to (`in`) the NIC."""
        return (at.FIRST_STEP if direction == "out" else at.FIRST_STEP_IN) + step
