"""What a run of the conformance kit found."""

import enum
from dataclasses import dataclass


class Outcome(enum.StrEnum):
    """What came of one check."""

    PASSED = "passed"
    FAILED = "failed"
    GAP = "gap"
    """It failed, as the suite declares."""


@dataclass(frozen=True)
class Result:
    """One check: `name` as in `ConformanceSuite.gaps`, `message` what was expected and seen, or why it is a gap."""

    name: str
    outcome: Outcome
    message: str
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """All checks of a suite, in order."""

    suite: str
    results: tuple[Result, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed; declared gaps are no failures."""
        return not self.failed

    @property
    def failed(self) -> tuple[Result, ...]:
        """What failed."""
        return tuple(result for result in self.results if result.outcome is Outcome.FAILED)

    def __str__(self) -> str:
        """One line for each check that did not pass, and one for all."""
        counts = {kind: sum(result.outcome is kind for result in self.results) for kind in Outcome}
        lines = [
            f"{result.outcome.upper()} {result.name}\n    " + result.message.replace("\n", "\n    ")
            for result in self.results
            if result.outcome is not Outcome.PASSED
        ]
        total = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count or kind is Outcome.PASSED)
        return "\n".join([*lines, f"{self.suite}: {total}"])
