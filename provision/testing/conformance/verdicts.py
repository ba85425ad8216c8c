"""How a check says what is wrong: what was expected, what was seen, and what the author should do."""

from collections.abc import Sequence

from provision.testing.harness import OperationFailed

DOUBTED = frozenset({"UNKNOWN", "INTERNAL", "DATA_LOSS"})
"""Codes after which the engine takes its own state for maybe corrupt."""

UNEXPLAINED = "in a way that it does not explain"
"""In what a person reads after an exception that is none of `provision.errors`."""


class Unmet(AssertionError):
    """An expectation that the plugin does not meet."""

    def __init__(self, expected: str, seen: str, advice: str = "") -> None:
        """Say what was `expected`, what was `seen` and what the author should do."""
        self.expected, self.seen, self.advice = expected, seen, advice
        super().__init__(
            "\n".join([f"expected: {expected}", f"seen:     {seen}", *([f"do:       {advice}"] * bool(advice))])
        )


def expect(holds: object, expected: str, seen: str, advice: str = "") -> None:
    """Go on when it `holds`.

    Raises:
        Unmet: it does not.
    """
    if not holds:
        raise Unmet(expected, seen, advice)


def listed(names: Sequence[str]) -> str:
    """Names for a message."""
    return ", ".join(names) or "nothing"


def expect_precise(failed: OperationFailed, doing: str) -> None:
    """A failure must be one that the engine and a person can act on.

    Raises:
        Unmet: its code leaves the state in doubt, or nothing explains it.
    """
    expect(
        failed.code not in DOUBTED,
        f"a precise code when {doing}",
        f"{failed.code}, after which Pulumi takes its state for corrupt: {failed.message}",
        "raise a class of provision.errors",
    )
    expect(
        UNEXPLAINED not in failed.message,
        f"a failure that the plugin explains when {doing}",
        f"{failed.code}: {failed.message}",
        "catch what the SDK raises and raise PlatformError, RetriableError, Throttled, NotFound, ... from it",
    )
