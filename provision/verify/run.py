"""Carrying a plan out: channels, listeners, controls, probes, and a second look at what surprises."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from provision.packets import Protocol
from provision.spi import Observation, Probe, ProbeChannel, Seen
from provision.verify.controls import Controls, Health
from provision.verify.expectation import Expectation
from provision.verify.plan import PlannedProbe, ProbePlan

Progress = Callable[[str, int, int], None]
"""Told of a phase, how many of its parts are done, and of how many; called from several threads, never at once."""

WORKERS = 32
_CHUNK = 64
_REPEATS = 2
_MANY = 4  # probes that fail together, so that it is the channel that failed
_BREAKS = 2  # after so many failures a channel is not waited for again


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one planned probe in the end; `attempts` counts how often it was sent."""

    expectation: Expectation
    seen: Seen
    detail: str = ""
    attempts: int = 1


@dataclass(frozen=True)
class RunResult:
    """Everything that was seen.

    Attributes:
        results: one for each planned probe whose source could be opened.
        health: by machine (and `outside`), what its controls showed.
        failures: machines, or `outside`, whose channel could not be used, with the reason.
    """

    results: tuple[Result, ...]
    health: Mapping[str, Health]
    failures: Mapping[str, str] = field(default_factory=dict)


def silent(phase: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def run(
    plan: ProbePlan,
    open_channel: Callable[[str], ProbeChannel],
    progress: Progress = silent,
    *,
    opened: Mapping[str, ProbeChannel] | None = None,
    more: "Sequence[Callable[[Crew], None]]" = (),
    workers: int = WORKERS,
) -> RunResult:
    """Carry `plan` out; whatever happens, Ctrl-C included, every channel is closed again, and with it its listeners.

    Args:
        plan: what to do.
        open_channel: opens the channel of a machine by its name; may raise.
        progress: told how far it is.
        opened: channels that are open already; they are closed here too.
        more: what else is done with the open channels, once all probes are sent.
        workers: most machines that are busy at a time.
    """
    crew = Crew(open_channel, dict(opened or {}), progress, workers)
    try:
        return _phases(plan, crew, more)
    finally:
        crew.dismiss()


def _phases(plan: ProbePlan, crew: "Crew", more: "Sequence[Callable[[Crew], None]]") -> RunResult:
    names = list(plan.addresses)
    crew.each("opening channels", names, lambda name: crew.enter(name, plan.listeners[name]))
    controls = {name: Controls(name, plan) for name in names}
    crew.each("checking the probes themselves", crew.able(names), lambda n: controls[n].before(crew.probing(n)))
    results: dict[str, list[Result]] = {}

    def first(name: str) -> None:
        planned = plan.probes[name]
        seen = crew.run(name, [one.probe for one in planned])
        results[name] = [_result(one, it) for one, it in zip(planned, seen, strict=True)]

    def again(name: str) -> None:
        results[name] = _repeated(plan.probes[name], results[name], crew, name)

    most_first = sorted(crew.able(names), key=lambda name: -len(plan.probes[name]))
    crew.each("probing", most_first, first)
    crew.each("looking again", [name for name in crew.able(names) if any(map(surprising, results[name]))], again)
    for extra in more:
        extra(crew)
    crew.each("checking the probes once more", crew.able(names), lambda n: controls[n].after(crew.probing(n)))
    return RunResult(
        tuple(result for name in names for result in results.get(name, ())),
        {name: controls[name].health(crew.failures.get(name, "")) for name in names},
        dict(crew.failures),
    )


def surprising(result: Result) -> bool:
    """Whether to look again: expected to pass but did not, or could not be sent. An unexpected answer is believed."""
    if result.seen is Seen.FAILED:
        return True
    return (
        result.expectation.verdict.allowed
        and result.seen is not Seen.OPEN
        and (result.expectation.witness or not result.seen.passed)
    )


def _repeated(planned: Sequence[PlannedProbe], results: list[Result], crew: "Crew", name: str) -> list[Result]:
    found = list(results)
    for attempt in range(_REPEATS):
        doubtful = [index for index, result in enumerate(found) if surprising(result)]
        if not doubtful:
            break
        probes = [replace(planned[i].probe, timeout=planned[i].probe.timeout * (attempt + 2)) for i in doubtful]
        for index, observation in zip(doubtful, crew.run(name, probes), strict=True):
            found[index] = _result(planned[index], observation, found[index].attempts + 1)
    return found


def _result(planned: PlannedProbe, observation: Observation, attempts: int = 1) -> Result:
    return Result(planned.expectation, observation.seen, observation.detail, attempts)


class Crew:
    """The open channels and the threads that use them: one thread a channel at a time."""

    def __init__(
        self,
        open_channel: Callable[[str], ProbeChannel],
        channels: dict[str, ProbeChannel],
        progress: Progress,
        workers: int,
    ) -> None:
        """Nothing is opened yet but `channels`."""
        self.failures: dict[str, str] = {}
        self._open = open_channel
        self._channels = channels
        self._progress = progress
        self._breaks: dict[str, list[str]] = {}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._busy = 0
        self._pool = ThreadPoolExecutor(workers, "verify")

    def able(self, names: Iterable[str]) -> list[str]:
        """Those whose channel works."""
        return [name for name in names if name not in self.failures]

    def each(self, phase: str, names: Sequence[str], work: Callable[[str], None]) -> None:
        """Do `work` for every name, in parallel, and wait for all."""
        done = 0

        def one(name: str) -> None:
            nonlocal done
            with self._lock:
                begun = not self._stop.is_set()
                self._busy += begun
            try:
                if begun:
                    self._guarded(name, work)
            finally:
                with self._lock:
                    self._busy -= begun
                    self._idle.notify_all()
            with self._lock:
                done += 1
                self._progress(phase, done, len(names))

        futures: list[Future[None]] = [self._pool.submit(one, name) for name in names]
        wait(futures)
        for future in futures:
            future.result()

    def _guarded(self, name: str, work: Callable[[str], None]) -> None:
        try:
            work(name)
        except Exception as error:  # one machine's trouble, a plugin's defect too, must not end the others' probes
            self.failures[name] = _line(error)

    def enter(self, name: str, listeners: Sequence[tuple[Protocol, int]]) -> None:
        """Open the channel and start its listeners."""
        if name not in self._channels:
            self._channels[name] = self._open(name)
        self._channels[name].listen(listeners)

    def probing(self, name: str) -> Callable[[Sequence[Probe]], Sequence[Observation]]:
        """How to run probes on one machine."""
        return lambda probes: self.run(name, probes)

    def run(self, name: str, probes: Sequence[Probe]) -> list[Observation]:
        """Run probes piece by piece, so that a stop is heeded; what could not be run is `Seen.FAILED`."""
        seen: list[Observation] = []
        for start in range(0, len(probes), _CHUNK):
            part = probes[start : start + _CHUNK]
            broken = self._breaks.setdefault(name, [])
            if self._stop.is_set() or len(broken) >= _BREAKS:
                why = broken[-1] if broken else "stopped"
                seen += [Observation(probe, Seen.FAILED, why) for probe in part]
                continue
            try:
                answers = list(self._channels[name].run(part))
            except Exception as error:  # a channel that broke: the rest is unproven, not lost
                answers = []
                broken.append(_line(error))
                reason = broken[-1]
            else:
                reason = f"the channel gave {len(answers)} answers to {len(part)} probes"
            if len(answers) != len(part):
                answers = [Observation(probe, Seen.FAILED, reason) for probe in part]
            elif len(part) >= _MANY and all(answer.seen is Seen.FAILED for answer in answers):
                broken.append(answers[0].detail)
            seen += answers
        return seen

    def channel(self, name: str) -> ProbeChannel:
        """The open channel of a machine that is able."""
        return self._channels[name]

    def dismiss(self) -> None:
        """Stop what still runs, then close every channel; a channel that does not close keeps no other from it.

        The pool forgets a thread whose start an interruption cut short, though it may run: work is counted here too.
        """
        self._stop.set()
        try:
            self._pool.shutdown(wait=True, cancel_futures=True)
            with self._idle:
                self._idle.wait_for(lambda: self._busy == 0)
        finally:
            closers = [threading.Thread(target=_close, args=(c,), daemon=True) for c in self._channels.values()]
            for closer in closers:
                closer.start()
            for closer in closers:
                closer.join()


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _close(channel: ProbeChannel) -> None:
    try:
        channel.close()
    except Exception:  # it is let go either way, and what was seen stands
        return
