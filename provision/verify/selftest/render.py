"""A score for people and for pipelines."""

from typing import Any

from provision.verify.selftest.live import LiveScore
from provision.verify.selftest.looking import Look
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


def live_summary(score: LiveScore) -> str:
    """The score of live machines in one line."""
    layers = ", ".join(
        f"{look.value} {score.noticed.get(look, 0)} of {score.looked[look]}" for look in Look if look in score.looked
    )
    more = "".join(
        f"; {len(items)} {what}"
        for items, what in ((score.refused, "the platform refused"), (score.late, "could not be looked at in time"))
        if items
    )
    return (
        f"self-test: {score.caught} of {score.total} rules and settings broken on the live platform were noticed, of "
        f"{score.possible} possible breaks{f' (each layer: {layers})' if layers else ''}, with {score.probes} "
        f"probes{more}; all are mended{_revoked(score)}"
    )


def _revoked(score: LiveScore) -> str:
    shown = [one for one in score.revoked if one.right is not None]
    right = sum(one.right is True for one in shown)
    return (
        f"; {right} of {len(shown)} policies taken away did with open connections what the file says" if shown else ""
    )


def live_lines(score: LiveScore) -> list[str]:
    """What was not noticed, and what became of open connections that is not as the file says."""
    return [
        *(f"not noticed: {text}" for text in score.missed),
        *(f"not looked at in time: {text}" for text in score.late),
        *(f"{'note' if one.right is None else 'difference'}: {one}" for one in score.revoked if not one.right),
    ]


def live_data(score: LiveScore) -> dict[str, Any]:
    """The score as plain data, in a schema that stays."""
    return {
        "total": score.total,
        "caught": score.caught,
        "by_layer": dict(score.first),
        "layers": {
            look.value: {"looked": score.looked[look], "noticed": score.noticed.get(look, 0)}
            for look in Look
            if look in score.looked
        },
        "missed": list(score.missed),
        "refused": list(score.refused),
        "late": list(score.late),
        "possible": score.possible,
        "probes": score.probes,
        "revoked": [
            {
                "policy": one.policy,
                "revoke": str(one.expected),
                "ended": one.ended,
                "right": one.right,
                "text": str(one),
            }
            for one in score.revoked
        ],
    }
