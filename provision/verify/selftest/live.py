"""The self-test on running machines: each rule or setting is really broken for a moment, and every layer looks."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from pydantic import ValidationError

from provision.errors import ProvisionError, UserError
from provision.loader import Loaded
from provision.verify.evidence import translated
from provision.verify.places import Places
from provision.verify.report import Standing, VerifyReport
from provision.verify.run import Crew, Progress, silent
from provision.verify.selftest.choosing import Break, able, chosen
from provision.verify.selftest.looking import Look, Looker
from provision.verify.selftest.mutants import mutants
from provision.verify.selftest.natives import Natives
from provision.verify.selftest.revoking import Revocation, Revoking, established, mended, revocations, revoked
from provision.verify.selftest.score import Bench
from provision.verify.state import DeployedStack

BREAKS = 12
"""How many breaks are made unless another number is asked for."""
SECONDS = 60.0
"""How long something stays broken at most, if the platform takes the right rule back at once."""


class Journal(Protocol):
    """Where is noted what is broken just now."""

    def __bool__(self) -> bool:
        """Whether something is."""

    def write(self, nodes: Sequence[str]) -> None:
        """These native resources are about to be broken; when this returns, that outlives this process.

        Raises:
            ProvisionError: it cannot be noted, so nothing may be broken.
        """

    def clear(self) -> None:
        """All is mended."""


@dataclass(frozen=True)
class LiveScore:
    """The outcome.

    Attributes:
        looked: by layer, at how many breaks it could look.
        noticed: by layer, how many of those it noticed.
        first: by layer, how many it noticed that no layer before it did, in the order of `Look`, but `STATIC`: a break
            by hand is in no translation.
        missed: what no look at the live stack noticed, in words.
        refused: what the platform did not take, with its reason.
        late: what could not be looked at in time.
        possible: how many breaks could be made.
        probes: how many probes were sent.
        revoked: what became of open connections whose policy was taken away.
    """

    looked: Mapping[str, int] = field(default_factory=dict)
    noticed: Mapping[str, int] = field(default_factory=dict)
    first: Mapping[str, int] = field(default_factory=dict)
    missed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    possible: int = 0
    probes: int = 0
    revoked: tuple[Revocation, ...] = ()

    @property
    def astray(self) -> bool:
        """Whether a connection did not end, or go on, as the file says."""
        return any(one.right is False for one in self.revoked)

    @property
    def caught(self) -> int:
        """How many broken things were noticed."""
        return sum(self.first.values())

    @property
    def total(self) -> int:
        """How many were broken that should have been noticed."""
        return self.caught + len(self.missed) + len(self.late)


def self_test(
    loaded: Loaded,
    deployed: DeployedStack,
    places: Places,
    before: VerifyReport,
    journal: Journal,
    progress: Progress = silent,
    *,
    breaks: int = BREAKS,
    seconds: float = SECONDS,
) -> LiveScore:
    """Break native rules and settings of a deployed stack, one at a time, and count what is noticed.

    Each is noted before it is broken and mended right after all layers have looked, also after a failure, a signal or
    when the looks take too long.

    Args:
        loaded: the stack file.
        deployed: the stack as deployed.
        places: plugin and session of every location.
        before: what a verification found just now; probes that did not agree then are not sent.
        journal: where is noted what is broken.
        progress: told how far it is.
        breaks: how many to make.
        seconds: how long the layers may look at each.

    Raises:
        UserError: the stack differs from its file already, or is not known well enough.
        PlatformError: something could not be mended.
    """
    if before.exit_code == 1 or any(item.standing is Standing.DIFFERS for item in before.policies):
        raise UserError(
            "no self-test: a stack that differs from its file already is not broken further",
            "`provision refresh`, then `provision up` make it as the file says",
        )
    parts, why = translated(loaded, deployed, places)
    if not parts:
        raise UserError(f"no self-test: nothing can be broken on purpose: {why}", "the report says what is known")
    natives = Natives(deployed, places)
    benches = [(Bench(part), list(mutants(part.graph))) for part in parts]
    possible = sum(able(natives, mutant) for _, found in benches for mutant in found)
    made = list(chosen(benches, natives, breaks))
    looker = Looker(loaded, deployed, places, before, progress)
    try:
        looker.rehearse(made)
        score = _count(made, looker, journal, progress, seconds, possible)
        if score.late:  # somebody may still be looking through the channels
            return score
        ready, unable = revocations(loaded, deployed, places, parts, looker.probes, natives, breaks)
        return replace(score, revoked=(*_taken_away(ready, looker.crew, journal, progress), *unable))
    finally:
        looker.close()


def _count(
    breaks: Sequence[Break], looker: Looker, journal: Journal, progress: Progress, seconds: float, possible: int
) -> LiveScore:
    looked, noticed, first = Counter[str](), Counter[str](), Counter[str]()
    missed, refused, late = list[str](), list[str](), list[str]()
    with _signals_held() as stopped, ThreadPoolExecutor(1, "self-test") as pool:
        for index, one in enumerate(breaks):
            if stopped.is_set():
                break
            progress("breaking rules and settings", index, len(breaks))
            try:
                found = _broken(one, looker, journal, pool, seconds, stopped)
            except (ProvisionError, ValidationError) as error:
                if journal:  # it could not be mended: nothing more is broken
                    raise
                refused.append(f"{one.mutant}: {getattr(error, 'summary', 'its model does not allow it')}")
                continue
            if found is None:
                late.append(str(one.mutant))
                break  # whatever still looks must not see the next break
            looked.update(look.value for look in found)
            noticed.update(look.value for look, seen in found.items() if seen)
            layer = next((look for look in Look if look is not Look.STATIC and found.get(look)), None)
            if layer is None:
                missed.append(str(one.mutant))
            else:
                first[layer.value] += 1
    progress("breaking rules and settings", len(breaks), len(breaks))
    return LiveScore(
        dict(looked), dict(noticed), dict(first), tuple(missed), tuple(refused), tuple(late), possible, looker.sent
    )


def _broken(
    one: Break, looker: Looker, journal: Journal, pool: ThreadPoolExecutor, seconds: float, stopped: threading.Event
) -> Mapping[Look, bool] | None:
    """What each layer says while it is broken; None when they took too long. It is mended whatever happens."""
    journal.write([one.native.state.name])
    try:
        one.native.break_with(one.inputs)
        looking: Future[Mapping[Look, bool]] = pool.submit(looker.look, one)
        end = time.monotonic() + seconds
        while not looking.done() and time.monotonic() < end and not stopped.is_set():
            wait([looking], timeout=0.2)
        return looking.result() if looking.done() else None
    finally:
        one.native.mend(one.inputs)
        journal.clear()


def _taken_away(planned: Sequence[Revoking], crew: Crew, journal: Journal, progress: Progress) -> Iterator[Revocation]:
    """Each policy taken away for a moment, with a connection open."""
    with _signals_held() as stopped:
        for index, one in enumerate(planned):
            if stopped.is_set():
                break
            progress("taking policies away", index, len(planned))
            yield _away(one, crew, journal)
    progress("taking policies away", len(planned), len(planned))


def _away(one: Revoking, crew: Crew, journal: Journal) -> Revocation:
    if why := established(one, crew):
        return one.shows(None, why)
    journal.write(one.nodes)
    ended: bool | None = None
    try:
        for native, inputs in one.changes:
            native.break_with(inputs)
        ended, why = revoked(one, crew)
    except (ProvisionError, ValidationError) as error:
        why = getattr(error, "summary", "the model of a native resource does not allow it")
    finally:
        for native, inputs in one.changes:
            native.mend(inputs)
        journal.clear()
    if not why and not mended(one, crew):
        why = "no new connection passes after it was mended"
    return one.shows(None if why else ended, why)


@contextmanager
def _signals_held() -> Iterator[threading.Event]:
    """Let no signal come between a break and its mending; it is passed on when the block ends."""
    stopped, told = threading.Event(), list[int]()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def note(number: int, frame: object) -> None:
        told.append(number)
        stopped.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if told:
            signal.raise_signal(told[0])
