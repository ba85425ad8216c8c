"""What a picture of a stack shows: its machines and networks, and who may open connections to whom."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from provision.models import PeerIsolationPolicy, Posture, Stack
from provision.packets import ANY_SERVICE
from provision.translate.instances import selected
from provision.verify.rules import Side, rules

HOST, OUTSIDE, INTERNET = "host", "outside", "internet"


@dataclass(frozen=True, slots=True)
class Place:
    """A box of the picture.

    Attributes:
        key: unique in the picture: `machine.web`, `network.front`, `host`, `outside`, `internet`, or an address range.
        lines: what is written in it.
    """

    key: str
    lines: tuple[str, ...]

    @property
    def kind(self) -> str:
        """`machine`, `network`, or `peer` for everything beyond the stack."""
        kind, dot, _ = self.key.partition(".")
        return kind if dot and kind in ("machine", "network") else "peer"


@dataclass(frozen=True, slots=True)
class Arrow:
    """Connections from one box to another, or `both` ways, and the policy that allows or denies them."""

    source: str
    destination: str
    allow: bool
    label: str
    both: bool = False


@dataclass(frozen=True)
class Diagram:
    """The whole picture.

    Attributes:
        title: what it shows, in one line.
        places: every box.
        members: which machine is on which network, by key.
        arrows: who may reach whom, and who may not whatever else is allowed.
    """

    title: str
    places: tuple[Place, ...]
    members: tuple[tuple[str, str], ...]
    arrows: tuple[Arrow, ...]


def draw(stack: Stack, name: str) -> Diagram:
    """The picture of a stack, from the file alone.

    Args:
        stack: what the file says.
        name: of the project.
    """
    arrows = tuple(_joined((*_traffic(stack), *_apart(stack))))
    default = "allowed" if stack.isolation.default is Posture.ALLOW else "denied"
    own = (*_networks(stack), *_machines(stack))
    known = {place.key for place in own}
    named = dict.fromkeys(end for arrow in arrows for end in (arrow.source, arrow.destination) if end not in known)
    members = tuple(
        (f"machine.{entry}", f"network.{network}")
        for entry, machine in stack.machines.items()
        for network in dict.fromkeys(nic.network for nic in machine.nics)
    )
    title = f"{name}: what no arrow shows is {default}"
    return Diagram(title, (*own, *(Place(key, (key,)) for key in named)), members, arrows)


def _networks(stack: Stack) -> Iterator[Place]:
    for name, network in stack.networks.items():
        ranges = [str(one) for one in (network.cidr, network.cidr6) if one is not None]
        yield Place(f"network.{name}", (name, *ranges, f"internet: {network.internet}"))


def _machines(stack: Stack) -> Iterator[Place]:
    for entry, machine in stack.machines.items():
        count = f"{entry} x {machine.count}" if machine.count is not None else entry
        labels = [f"{key}={value}" for key, value in machine.labels.items()]
        yield Place(f"machine.{entry}", (count, machine.image, *labels))


def _traffic(stack: Stack) -> Iterator[Arrow]:
    """One arrow for each pair of ends of each rule, that of the platform's own services left out."""
    for rule in rules(stack):
        if rule.why.startswith("services."):
            continue
        services = "everything" if ANY_SERVICE in rule.services else ", ".join(map(str, rule.services))
        label = f"{services} ({rule.why})" if rule.allow else f"denied: {services} ({rule.why})"
        for source in _ends(rule.sources):
            for destination in _ends(rule.destinations):
                yield Arrow(source, destination, rule.allow, label)


def _apart(stack: Stack) -> Iterator[Arrow]:
    for name, policy in stack.isolation.policies.items():
        if isinstance(policy, PeerIsolationPolicy):
            entries = sorted(selected(stack, policy.machines))
            for index, entry in enumerate(entries):
                for other in entries[index:]:
                    if entry != other or stack.machines[entry].instances > 1:
                        label = f"denied: everything on one network ({name})"
                        yield Arrow(f"machine.{entry}", f"machine.{other}", False, label, both=True)


def _joined(arrows: Iterable[Arrow]) -> Iterator[Arrow]:
    """Each arrow once; two that only differ in their direction are one."""
    left = dict.fromkeys(arrows)
    while left:
        arrow = next(iter(left))
        del left[arrow]
        back = replace(arrow, source=arrow.destination, destination=arrow.source)
        yield replace(arrow, both=True) if left.pop(back, arrow) is None else arrow


def _ends(side: Side) -> Iterator[str]:
    yield from (f"machine.{name}" for name in sorted(side.entries))
    yield from (f"network.{name}" for name in sorted(side.networks))
    yield from map(str, side.prefixes)
    if side.host:
        yield HOST
    if side.outside:
        yield OUTSIDE
    elif side.internet:
        yield INTERNET
