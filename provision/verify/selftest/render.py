"""A score for people and for pipelines."""

from typing import Any

from provision.verify.selftest.score import Score

_SHOWN = 10


def summary(score: Score) -> str:
    """The score in one line."""
    part = "" if score.tried == score.possible else f", of {score.possible} that there are"
    return (
        f"self-test: {score.caught} of {score.total} broken rules would be noticed ({score.tried} were broken{part}; "
        f"{len(score.beyond)} open nothing on which the file decides, {len(score.without_effect)} change nothing)"
    )


def lines(score: Score) -> list[str]:
    """What would not be noticed, the first of it."""
    more = len(score.missed) - _SHOWN
    return [
        *(f"not noticed: {text}" for text in score.missed[:_SHOWN]),
        *([f"not noticed: {more} more, which --format json names"] if more > 0 else []),
    ]


def as_data(score: Score) -> dict[str, Any]:
    """The score as plain data, in a schema that stays."""
    return {
        "total": score.total,
        "caught": score.caught,
        "missed": list(score.missed),
        "beyond": list(score.beyond),
        "without_effect": list(score.without_effect),
        "tried": score.tried,
        "possible": score.possible,
    }
