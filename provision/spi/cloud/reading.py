"""Looking at objects with few calls: by many at a time, however many threads ask.

Three ways lead to an object:

- a *survey* of all that one stack, or the whole account, has of one kind, page by page, once in a while: it serves the
  reads of a refresh and finds what interrupted runs left, and is never believed of an object that this process has
  touched;
- a *batch*: whoever asks at about the same time for different objects of a kind is answered together;
- a *watch*: while several wait for their objects, one look sees all of them, and serves all.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar

Live = Mapping[str, Any]
"""An object as the platform shows it."""

_GATHERING_SECONDS = 0.01
"""How long the first who asks waits for others."""

_LONGEST_SECONDS = 2.0
"""How long one waits at most for others that are or soon will be waiting for their objects."""

_SURVEY_SECONDS = 60.0
"""How long a survey is believed of what nobody here has touched."""


class Kind(Protocol):
    """How a platform shows one kind of object; a plugin has a frozen data class for it, with what its calls need."""

    @property
    def noun(self) -> str:
        """What people call it."""

    @property
    def id(self) -> str:
        """Which field of an object is its identity."""

    def state(self, live: Live) -> str:
        """An object's state in the platform's words; empty for kinds without."""

    def is_gone(self, live: Live) -> bool:
        """Whether the platform only remembers the object."""


K = TypeVar("K", bound=Kind)


@dataclass
class _Batch:
    """What is asked for together."""

    ids: set[str] = field(default_factory=set)
    done: threading.Event = field(default_factory=threading.Event)
    found: Mapping[str, Live] = field(default_factory=dict)
    error: BaseException | None = None


@dataclass
class _Survey:
    """All that there is of a kind, as it was at a time."""

    when: float
    found: dict[str, Live]


class Reader(ABC, Generic[K]):
    """Objects of one account, as the platform shows them; used by several threads.

    Attributes:
        most: ids that one batch may have; None: any number.
        few: as many reads of a kind are answered one by one; from then on a survey is made, which answers all of them.
        fresh_seconds: how old what others have seen may be for somebody who waits.
        watcher_seconds: how much longer one waits for each other that is or soon will be waiting for its object.
        patience_seconds: how long one waits at most for others that are waiting too.
        quiet_seconds: after so long without a further object to watch no more are waited for. Less holds up operations
            for a shorter time, and costs more calls where objects are made slowly.
        first_wait_seconds: how long at most one waits for others before the first look at one's object. While some of
            many operations are always about to have theirs, each waits so long and holds its place meanwhile; less
            costs calls.
        first_look_seconds: how long after an object was seen to be not ready it is looked at again.
        longest_pause_seconds: how long at most between two such looks: so much later than it is there, at worst, it is
            noticed, and holds one of the engine's operations meanwhile.
    """

    most: ClassVar[int | None] = None
    few: ClassVar[int] = 0
    fresh_seconds: ClassVar[float] = 0.5
    watcher_seconds: ClassVar[float] = 0.05
    patience_seconds: ClassVar[float] = _LONGEST_SECONDS
    quiet_seconds: ClassVar[float] = 0.05
    first_wait_seconds: ClassVar[float] = _LONGEST_SECONDS
    first_look_seconds: ClassVar[float] = 0.05
    longest_pause_seconds: ClassVar[float] = 5.0

    def __init__(self, is_touched: Callable[[str], bool]) -> None:
        """Nothing is known yet; `is_touched` says whether this process ever made or changed an object."""
        self._is_touched = is_touched
        self._lock = threading.Lock()
        self._gathering: dict[K, _Batch] = {}
        self._surveys: dict[tuple[K, str], _Survey] = {}
        self._surveying: dict[tuple[K, str], threading.Lock] = {}
        self._reads: dict[K, int] = {}
        self._watched: dict[K, dict[str, int]] = {}
        self._seen: dict[tuple[K, str], tuple[float, Live | None]] = {}
        self._expected: dict[K, int] = {}
        self._watching: dict[K, threading.Lock] = {}

    # --- what each platform says

    @abstractmethod
    def shown(self, kind: K, ids: list[str]) -> Mapping[str, Live]:
        """By id those of some objects that the platform knows, asked now with as few calls as it can be had.

        Raises:
            provision.errors.PlatformError: the platform does not answer.
        """

    @abstractmethod
    def owned(self, kind: K, stack_id: str) -> Iterable[Live]:
        """At least all that a stack has of a kind, asked now, page by page.

        Raises:
            provision.errors.PlatformError: the platform does not answer.
        """

    def scope(self, stack_id: str) -> str:
        """What a survey for a stack covers: those with the same scope are one. By default that stack alone."""
        return stack_id

    # --- single objects

    def look(self, kind: K, identity: str, stack_id: str = "") -> Live | None:
        """An object; None when it is not there, or as good as gone.

        Args:
            kind: of object.
            identity: its id.
            stack_id: whose it is, as far as that is known: then one survey may answer for all that the stack has.

        Raises:
            provision.errors.PlatformError: the platform does not answer.
        """
        live: Live | None = None
        if stack_id and not self._is_touched(identity):
            live = self._surveyed(kind, identity, stack_id)
        if live is None or self._is_touched(identity):  # touched while the survey was made
            live = self._batched(kind, identity)
        return None if live is None or kind.is_gone(live) else live

    def remembered(self, kind: K, identity: str) -> Live | None:
        """An object as it is now, also one that is as good as gone; None when the platform knows nothing of it."""
        return self._batched(kind, identity)

    @contextmanager
    def watching(self, kind: K, identity: str) -> Iterator[None]:
        """While inside, whoever looks at another watched object looks at this one too."""
        with self._lock:
            watched = self._watched.setdefault(kind, {})
            watched[identity] = watched.get(identity, 0) + 1
            self._seen.pop((kind, identity), None)
        try:
            yield
        finally:
            with self._lock:
                watched[identity] -= 1
                if not watched[identity]:
                    del watched[identity]
                    self._seen.pop((kind, identity), None)

    @contextmanager
    def expecting(self, kind: K) -> Iterator[None]:
        """While inside, somebody may soon have an object to watch."""
        with self._lock:
            self._expected[kind] = self._expected.get(kind, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._expected[kind] -= 1

    def watch(self, kind: K, identity: str) -> Live | None:
        """A watched object as it is now, or was a moment ago; also one that is as good as gone."""
        with self._lock:
            when, live = self._seen.get((kind, identity), (0.0, None))
            others = max(self._expected.get(kind, 0), len(self._watched.get(kind, ()))) - 1
        if when and time.monotonic() - when < self.fresh_seconds:
            return live
        longest = self.patience_seconds if when else self.first_wait_seconds
        patience = min(longest, max(0, others) * self.watcher_seconds)
        return self._batched(kind, identity, patience, at_first=not when, watching=True)

    def _await_others(self, kind: K, patience: float, at_first: bool) -> None:
        """Wait for more objects to watch: at first until all are there and no more come for a while."""
        end = time.monotonic() + patience
        known, quiet = -1, 0.0
        while (now := time.monotonic()) < end:
            with self._lock:
                watched = sum(self._watched.get(kind, {}).values())
                missing = self._expected.get(kind, 0) > watched
            if watched != known or missing or not at_first:
                known, quiet = watched, now + self.quiet_seconds
            elif now >= quiet:
                return
            time.sleep(min(end - now, _GATHERING_SECONDS))

    def forget(self, kind: K, identity: str) -> None:
        """What was seen of a watched object says nothing any more."""
        with self._lock:
            self._seen.pop((kind, identity), None)

    # --- many objects

    def survey(self, kind: K, stack_id: str = "") -> Mapping[str, Live]:
        """By id all that a stack has of a kind, as it was at most a minute ago, and what else is in the scope."""
        key = (kind, self.scope(stack_id))
        with self._lock:
            alone = self._surveying.setdefault(key, threading.Lock())
        with alone:
            return found if (found := self._believed(key)) is not None else self.survey_now(kind, stack_id)

    def survey_now(self, kind: K, stack_id: str = "") -> Mapping[str, Live]:
        """A new survey, whatever is known."""
        when = time.monotonic()
        found = {str(live[kind.id]): live for live in self.owned(kind, stack_id)}
        with self._lock:
            self._surveys[kind, self.scope(stack_id)] = _Survey(when, found)
        return found

    def _believed(self, key: tuple[K, str]) -> Mapping[str, Live] | None:
        known = self._surveys.get(key)
        return known.found if known is not None and time.monotonic() - known.when <= _SURVEY_SECONDS else None

    def _surveyed(self, kind: K, identity: str, stack_id: str) -> Live | None:
        with self._lock:
            self._reads[kind] = self._reads.get(kind, 0) + 1
            serves = self._reads[kind] > self.few or self._believed((kind, self.scope(stack_id))) is not None
        return self.survey(kind, stack_id).get(identity) if serves else None

    # --- batches

    def _batched(
        self, kind: K, identity: str, patience: float = 0.0, *, at_first: bool = False, watching: bool = False
    ) -> Live | None:
        with self._lock:
            batch = self._gathering.get(kind)
            leads = batch is None or (self.most is not None and len(batch.ids) >= self.most)
            if batch is None or leads:
                batch = self._gathering[kind] = _Batch()
            batch.ids.add(identity)
        if leads:
            with self._in_turn(kind) if watching else nullcontext():
                self._lead(kind, batch, patience, at_first)
        else:
            batch.done.wait()
        if batch.error is not None:
            raise batch.error
        return batch.found.get(identity)

    def _in_turn(self, kind: K) -> AbstractContextManager[Any]:
        """Where one look sees all that is watched, the next begins when it has ended: a slow platform gets no more."""
        if self.most is not None:
            return nullcontext()
        with self._lock:
            return self._watching.setdefault(kind, threading.Lock())

    def _lead(self, kind: K, batch: _Batch, patience: float, at_first: bool) -> None:
        time.sleep(_GATHERING_SECONDS)
        self._await_others(kind, patience, at_first)
        with self._lock:
            if self._gathering.get(kind) is batch:
                del self._gathering[kind]
            watched = set(self._watched.get(kind, ()))
            asked = batch.ids | self._also(batch.ids, watched)
        when = time.monotonic()
        try:
            batch.found = self.shown(kind, sorted(asked))
            with self._lock:
                self._seen.update({(kind, one): (when, batch.found.get(one)) for one in asked & watched})
        except BaseException as error:
            batch.error = error
        finally:
            batch.done.set()

    def _also(self, ids: set[str], watched: set[str]) -> set[str]:
        """Watched objects that are asked for together with `ids`, when these are watched: as many as there is room."""
        if not ids & watched:
            return set()
        others = sorted(watched - ids)
        return set(others if self.most is None else others[: max(0, self.most - len(ids))])
