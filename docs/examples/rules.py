"""Rules of an organisation in Python."""

from collections.abc import Iterator

from provision.models import Peer
from provision.verify.guardrails import Finding, RuleLevel, StackView


def owners(view: StackView) -> Iterator[Finding]:
    """Every machine has the label `owner`."""
    for name, machine in view.stack.machines.items():
        if "owner" not in machine.labels:
            fix = "add it under 'labels': {owner: TEAM}"
            yield Finding(f"'{name}' has no label 'owner'", ("machines", name), fix)


def nothing_but_web(view: StackView) -> Iterator[Finding]:
    """The world reaches nothing but web servers; for the time being that is a warning."""
    for packet in view.passing([Peer.parse("outside")], [Peer.parse("machine.*")]):
        if packet.routed and packet.service.first not in (80, 443):
            yield Finding(f"{packet} passes by {packet.by}", packet.path, level=RuleLevel.WARN)
