"""Judging: what was seen against what is expected, and whether what was seen proves anything."""

import enum
from collections.abc import Mapping

from provision.spi import Seen
from provision.verify.controls import Health
from provision.verify.run import Result


class Outcome(enum.StrEnum):
    """What one probe shows."""

    AGREES = "agrees"
    DIFFERS = "differs"
    UNPROVEN = "unproven"


def judge(result: Result, health: Mapping[str, Health]) -> tuple[Outcome, bool | None, str]:
    """The outcome, whether packets passed (None when that is not known), and a note on what stands in the way of proof.

    Where a listener of ours is proven, only `open` shows that packets arrived: `refused` then comes from something on
    the way that rejects them. Elsewhere `refused` is the answer of the destination itself.
    """
    expectation, seen = result.expectation, result.seen
    source = health.get(expectation.source.name, Health(failure="it was not opened"))
    distrust = source.distrust(expectation.service.protocol)
    if distrust:
        return Outcome.UNPROVEN, None, f"{expectation.source}: {distrust}"
    if seen is Seen.FAILED:
        return Outcome.UNPROVEN, None, f"the probe could not run: {result.detail or 'no reason given'}"
    if seen is Seen.OPEN:
        return (Outcome.AGREES if expectation.verdict.allowed else Outcome.DIFFERS), True, ""
    if not expectation.witness:
        passed = seen.passed
        return (Outcome.AGREES if passed == expectation.verdict.allowed else Outcome.DIFFERS), passed, ""
    destination = health.get(expectation.destination.name, Health(failure="it was not opened"))
    if not destination.answers_to(expectation):
        reason = destination.failure or f"it does not answer itself at {expectation.address}"
        return Outcome.UNPROVEN, None, f"{expectation.destination}: {reason}"
    if expectation.verdict.allowed:
        return Outcome.DIFFERS, False, "rejected on the way" if seen is Seen.REFUSED else ""
    return Outcome.AGREES, False, "rejected on the way" if seen is Seen.REFUSED else ""
