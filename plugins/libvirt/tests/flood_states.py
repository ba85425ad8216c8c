"""Stacks of a flood: what each lets the senders reach, in circles of edits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provision_libvirt.lab.peer import OUTSIDE, OUTSIDE6
from test_nwfilter_live import traffic

FIRST, LAST = 7000, 7049
SERVER = """#!/bin/sh
while true; do nc -l -p 9000 -e /bin/cat; done &
"""
PORTS = frozenset(range(FIRST, LAST + 1))
SEGMENT, SEGMENT6 = "10.60.1.200", "fd00:60:1::200"
# By address: denials of all that is "outside" are hundreds of rules, and take most of a minute to apply here.
SENDERS = [f"{OUTSIDE}/32", f"{OUTSIDE6}/128", f"{SEGMENT}/32", f"{SEGMENT6}/128"]


def ports(first: int, last: int) -> frozenset[int]:
    return frozenset(range(first, last + 1))


@dataclass(frozen=True)
class State:
    """A stack file, and which ports it lets the sender from outside and the one on the bridge reach."""

    name: str
    document: Mapping[str, Any]
    allowed: tuple[frozenset[int], frozenset[int]]


def state(name: str, allowed: frozenset[int], *, outside: frozenset[int] | None = None, role: str = "y",
          default: str = "deny", **policies: Any) -> State:  # fmt: skip
    machine = {"image": "micro", "memory": "96MiB", "nics": [{"network": "near"}]}
    isolation = {"default": default, "policies": policies}
    document = {
        "networks": {"near": {"cidr": "10.60.1.0/24", "cidr6": "fd00:60:1::/64", "internet": "routed"}},
        "machines": {
            "a": machine | {"labels": {"role": role}, "user_data": SERVER},
            "b": machine | {"labels": {"role": "x"}},
        },
        "isolation": isolation,
    }
    return State(name, document, (allowed if outside is None else outside, allowed))


def to_a(*allow: str, deny: Sequence[str] = (), order: int | None = None, to: str = "machine.a",
         senders: Sequence[str] = SENDERS) -> dict[str, Any]:  # fmt: skip
    made = traffic(list(senders), to, *allow)
    if not allow:
        del made["allow"]
    return made | ({"deny": list(deny)} if deny else {}) | ({} if order is None else {"order": order})


NARROW = state("only one port", ports(7000, 7000), open=to_a("udp/7000"))
STATES = (
    NARROW,
    state("an allow is widened", ports(7000, 7009), open=to_a("udp/7000-7009")),
    state("and narrowed", ports(7000, 7000), open=to_a("udp/7000")),
    state("an allow is widened and a deny added at once", ports(7000, 7009), open=to_a("udp/7000-7039"),
          shut=to_a(deny=["udp/7010-7039"], order=1)),
    state("another policy denies instead", ports(7000, 7009), open=to_a("udp/7000-7049", order=5),
          never=to_a(deny=["udp/7010-7049"], order=4)),
    state("the order changes, and what it means does not", ports(7000, 7009), open=to_a("udp/7000-7049", order=9),
          one=to_a(deny=["udp/7010-7029"], order=3), two=to_a(deny=["udp/7030-7049"], order=2)),
    state("an earlier allow, then a deny", ports(7000, 7019), first=to_a("udp/7000-7019", order=1),
          one=to_a(deny=["udp/7000-7049"], order=3), open=to_a("udp/7000-7049", order=9)),
    state("the default is switched to allow", ports(7000, 7000), outside=PORTS, default="allow",
          shut=to_a(deny=["udp/7001-7049"], order=1, senders=SENDERS[2:])),
    state("and back, with an allow", ports(7000, 7009), open=to_a("udp/7000-7009")),
    state("the machine joins a group", ports(7000, 7009) | {7040}, role="x", open=to_a("udp/7000-7009"),
          group=to_a("udp/7040", to="label.role=x")),
    state("and leaves it while the group gains, for one that is closed", ports(7000, 7009),
          open=to_a("udp/7000-7049", order=2), group=to_a("udp/7040-7049", to="label.role=x"),
          away=to_a(deny=["udp/7010-7049"], order=1, to="label.role=y")),
)  # fmt: skip
"""A circle of edits: each state is reached from the one before it, the first from the last."""


def from_a(*allow: str, deny: Sequence[str] = (), order: int | None = None) -> dict[str, Any]:
    made = traffic("machine.a", f"{SEGMENT}/32", *allow)
    return made | ({"allow": []} if deny else {}) | ({"deny": list(deny)} if deny else {}) | (
        {} if order is None else {"order": order}
    )  # fmt: skip


OUTWARD = (
    state("only one port, outward", ports(7000, 7000), out=from_a("udp/7000")),
    state("an allow outward is widened", ports(7000, 7009), out=from_a("udp/7000-7009")),
    state("and a deny added at once", ports(7000, 7009), out=from_a("udp/7000-7039", order=5),
          shut=from_a(deny=["udp/7010-7039"], order=1)),
)  # fmt: skip
