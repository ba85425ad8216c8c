"""Policies taken away for a moment, while a connection that they allow is open: whether it ends as the file says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from provision.loader import Loaded
from provision.models import Revoke, Stack, TrafficPolicy
from provision.packets import Protocol
from provision.spi import HoldsFlows, Probe, Seen
from provision.verify.evidence import translated
from provision.verify.intent import Intent
from provision.verify.places import Places
from provision.verify.plan import PlannedProbe
from provision.verify.proof.planned import Part
from provision.verify.run import Crew
from provision.verify.selftest.natives import Native, Natives
from provision.verify.state import DeployedStack

_SECONDS = 4.0
_PATIENT = 10.0  # where an answer is expected, a loaded machine may take its time
_TRIES = 3

Changes = Sequence[tuple[Native, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Revocation:
    """What became of an open connection when the policy that allows it was taken away.

    Attributes:
        policy: its name.
        expected: what the file says of such connections.
        ended: whether it ended; None when nothing is shown.
        text: the connection; where nothing is shown, why.
    """

    policy: str
    expected: Revoke
    ended: bool | None
    text: str

    @property
    def right(self) -> bool | None:
        """Whether that is as the file says."""
        return None if self.ended is None else self.ended == (self.expected is Revoke.CUT)

    def __str__(self) -> str:
        """In one sentence."""
        if self.ended is None:
            return f"policy '{self.policy}', revoke: {self.expected}: nothing is shown: {self.text}"
        became = "ended with it" if self.ended else "went on without it"
        return f"policy '{self.policy}', revoke: {self.expected}: {self.text} {became}"


@dataclass(frozen=True)
class Revoking:
    """What is done for one policy.

    Attributes:
        policy: its name.
        expected: what the file says.
        planned: the connection.
        changes: what is written to take the policy away.
    """

    policy: str
    expected: Revoke
    planned: PlannedProbe
    changes: Changes

    def shows(self, ended: bool | None, why: str = "") -> Revocation:
        """The outcome; `why` nothing is shown, where it is not known."""
        end = self.planned.expectation
        flow = f"an open connection {end.source} -> {end.destination} ({end.service})"
        return Revocation(self.policy, self.expected, ended, why or flow)

    @property
    def nodes(self) -> Sequence[str]:
        """Names of the native resources that it changes."""
        return [native.state.name for native, _ in self.changes]


def revocations(
    loaded: Loaded,
    deployed: DeployedStack,
    places: Places,
    parts: Sequence[Part],
    probes: Sequence[PlannedProbe],
    natives: Natives,
    most: int,
) -> tuple[Sequence[Revoking], Sequence[Revocation]]:
    """What can be tried for policies whose `revoke` the file says, and what cannot, with the reason.

    Args:
        loaded: the stack file.
        deployed: the stack as deployed.
        places: plugin and session of every location.
        parts: the stack as it is translated.
        probes: those that agreed.
        natives: what may be changed.
        most: how many to try.
    """
    able: list[Revoking] = []
    unable: list[Revocation] = []
    downgraded = {record.name for record in deployed.downgraded}
    for name, policy in loaded.stack.isolation.policies.items():
        if not isinstance(policy, TrafficPolicy) or policy.revoke is None or name in downgraded:
            continue
        if len(able) == most:
            unable.append(Revocation(name, policy.revoke, None, f"no more than {most} are tried (--breaks)"))
            continue
        less = _without(loaded.stack, name)
        intent = Intent(less, deployed.addresses(less), downgraded)
        planned = next((one for one in probes if _tells(one, name, intent)), None)
        if planned is None:
            why = "no TCP connection that it alone allows can be opened between machines"
            unable.append(Revocation(name, policy.revoke, None, why))
            continue
        changes, why = _changes(loaded, deployed, places, parts, less, natives)
        if changes:
            able.append(Revoking(name, policy.revoke, planned, changes))
        else:
            unable.append(Revocation(name, policy.revoke, None, why))
    return able, unable


def established(one: Revoking, crew: Crew) -> str:
    """Open its connection, and see that it carries; empty when it does, else why not."""
    source = one.planned.expectation.source.name
    if source not in crew.able([source]):
        return f"{source}: {crew.failures[source]}"
    channel = crew.channel(source)
    if not isinstance(channel, HoldsFlows):
        return f"{source}: its channel cannot hold a connection"
    opened = channel.hold(replace(one.planned.probe, timeout=_PATIENT))
    if opened.seen is not Seen.OPEN:
        return f"its connection could not be opened: {opened.detail or opened.seen}"
    beat = channel.beat(_PATIENT)
    return "" if beat is Seen.OPEN else f"nothing comes back through its connection: {beat}"


def revoked(one: Revoking, crew: Crew) -> tuple[bool, str]:
    """Whether the connection has ended, while the policy is away; and why that shows nothing, empty when it does."""
    source = one.planned.expectation.source.name
    channel = crew.channel(source)
    assert isinstance(channel, HoldsFlows)
    if _open(crew, source, one.planned.probe, _SECONDS):
        return False, "new connections pass without it, so something else allows them"
    return channel.beat(_SECONDS) is not Seen.OPEN, ""


def mended(one: Revoking, crew: Crew) -> bool:
    """Whether a new connection passes once more: else it is no policy that ended the other."""
    source = one.planned.expectation.source.name
    return any(_open(crew, source, one.planned.probe, _PATIENT) for _ in range(_TRIES))


def _open(crew: Crew, source: str, probe: Probe, seconds: float) -> bool:
    return crew.run(source, [replace(probe, timeout=seconds)])[0].seen is Seen.OPEN


def _tells(one: PlannedProbe, policy: str, less: Intent) -> bool:
    expectation = one.expectation
    ends = expectation.source, expectation.destination, expectation.service, expectation.family
    return (
        one.probe.protocol is Protocol.TCP
        and expectation.witness
        and expectation.verdict.allowed
        and expectation.verdict.why == policy
        and not less.allowed(*ends).allowed
    )


def _without(stack: Stack, policy: str) -> Stack:
    left = {name: one for name, one in stack.isolation.policies.items() if name != policy}
    return stack.model_copy(update={"isolation": stack.isolation.model_copy(update={"policies": left})})


def _changes(
    loaded: Loaded, deployed: DeployedStack, places: Places, parts: Sequence[Part], less: Stack, natives: Natives
) -> tuple[Changes, str]:
    """What is written so that the stack is as without the policy; nothing when that is not possible, and why."""
    after, why = translated(replace(loaded, stack=less), deployed, places)
    if why:
        return (), why
    found: list[tuple[Native, Mapping[str, Any]]] = []
    for old, new in zip(parts, after, strict=True):
        changes = natives.changes(old.graph, new.graph)
        if changes is None:
            return (), "it cannot be taken away in place alone"
        found += changes
    return found, "no native rule changes without it"
