"""A score for people and for pipelines."""

from typing import Any

from provision.verify.selftest.score import Score

_SHOWN = 10


def summary(score: Score) -> str:
    """The score in one line."""
    part = "" if score.tried == score.possible else f", of {score.possible} that there are"
    layers = ", ".join(f"{count} by {layer}" for layer, count in score.by_layer.items())
    return (
        f"self-test: {score.caught} of {score.total} broken rules and settings would be noticed"
        f"{f' ({layers})' if layers else ''}; {score.tried} were broken{part}: {len(score.narrower)} of them only stop "
        f"more of what is closed, {len(score.beyond)} open nothing on which the file decides, "
        f"{len(score.without_effect)} change nothing"
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
        "by_layer": dict(score.by_layer),
        "missed": list(score.missed),
        "narrower": list(score.narrower),
        "beyond": list(score.beyond),
        "without_effect": list(score.without_effect),
        "tried": score.tried,
        "possible": score.possible,
    }
