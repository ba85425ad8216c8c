"""Sending false frames and listening for them: what arrived, and whether its true twin did."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from provision.errors import ProvisionError
from provision.spi import SendsFrames
from provision.verify.forging.plan import Forgery, not_tried
from provision.verify.plan import LeftOut
from provision.verify.run import Crew

_TRIES = 3
_SECONDS = 5.0  # how long the true frames of one try may take to arrive
_PAUSE = 0.05
_DEAF = "its channel cannot send or hear frames as they are"


@dataclass(frozen=True, slots=True)
class Forged:
    """What came of one false sender.

    Attributes:
        forgery: what was tried.
        passed: whether it arrived; None when that is not known.
        note: why it is not known.
        attempts: how often it was sent.
    """

    forgery: Forgery
    passed: bool | None
    note: str = ""
    attempts: int = 0


def send(chosen: Sequence[Forgery], crew: Crew) -> tuple[Sequence[Forged], Sequence[LeftOut]]:
    """Try all, from many machines at once; gives what came of them, and how many a channel's nature does not let try.

    Each false frame is sent before its true twin, the same way to the same card: once the true one has arrived, the
    false one has too or never will. Where the true one does not arrive, nothing is known.
    """
    watching: set[str] = set()
    trouble: dict[str, str] = {}

    def watch(name: str, channel: SendsFrames) -> None:
        channel.watch()
        watching.add(name)

    taking_part = dict.fromkeys(name for one in chosen for name in (one.source.name, one.witness.name))
    _each("listening for false senders", list(taking_part), crew, trouble, watch)
    unable = {name: why for name, why in trouble.items() if name not in crew.failures}
    beyond = Counter(unable[name] for one in chosen if (name := _first(one, unable)) is not None)
    chosen = [one for one in chosen if _first(one, unable) is None]
    left = [one for one in chosen if {one.source.name, one.witness.name} <= watching]
    heard: set[str] = set()
    sent: dict[int, int] = defaultdict(int)
    for _ in range(_TRIES):
        left = [one for one in left if one.marks[1] not in heard]
        if not left:
            break
        for one in left:
            sent[id(one)] += 1
        _transmit(left, crew, trouble)
        _listen(left, crew, heard, trouble)
    return (
        [_judged(one, heard, trouble, sent[id(one)]) for one in chosen],
        not_tried(beyond),
    )


def _first(one: Forgery, names: Mapping[str, str]) -> str | None:
    """Which of its two machines is among some."""
    return next((name for name in (one.source.name, one.witness.name) if name in names), None)


def _each(
    phase: str, names: Sequence[str], crew: Crew, trouble: dict[str, str], work: Callable[[str, SendsFrames], None]
) -> None:
    """Do `work` on the channel of each; what fails is noted, and the other probes of that machine stand."""

    def guarded(name: str) -> None:
        channel = crew.channel(name)
        if not isinstance(channel, SendsFrames):
            trouble[name] = _DEAF
            return
        try:
            work(name, channel)
        except ProvisionError as error:
            trouble[name] = error.summary

    crew.each(phase, crew.able(names), guarded)
    for name in names:
        if name in crew.failures:
            trouble[name] = crew.failures[name]


def _transmit(left: Sequence[Forgery], crew: Crew, trouble: dict[str, str]) -> None:
    by_source: dict[str, list[Forgery]] = defaultdict(list)
    for one in left:
        by_source[one.source.name].append(one)

    def work(name: str, channel: SendsFrames) -> None:
        frames = [frame for one in by_source[name] for frame in (one.false, one.true)]
        failed = [why for why in channel.transmit(frames) if why]
        if failed:
            trouble[name] = f"a frame could not be sent: {failed[0]}"

    _each("trying false senders", list(by_source), crew, trouble, work)


def _listen(left: Sequence[Forgery], crew: Crew, heard: set[str], trouble: dict[str, str]) -> None:
    """Wait until every true frame has arrived, for a while."""
    end = time.monotonic() + _SECONDS
    awaited: dict[str, set[str]] = defaultdict(set)
    for one in left:
        awaited[one.witness.name].add(one.marks[1])

    def work(name: str, channel: SendsFrames) -> None:
        while True:
            found = channel.heard()
            if awaited[name] <= found or time.monotonic() > end:
                break
            time.sleep(_PAUSE)
        heard.update(found)

    _each("listening for false senders", list(awaited), crew, trouble, work)


def _judged(one: Forgery, heard: set[str], trouble: dict[str, str], attempts: int) -> Forged:
    false, true = (mark in heard for mark in one.marks)
    if false:
        return Forged(one, True, "", attempts)
    if true:
        return Forged(one, False, "", attempts)
    if (name := _first(one, trouble)) is not None:
        return Forged(one, None, f"{name}: {trouble[name]}", attempts)
    return Forged(one, None, f"{one.source.name}: not even the true sender's frame arrives", attempts)
