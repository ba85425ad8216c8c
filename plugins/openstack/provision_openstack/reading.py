"""Looking at objects with few calls: by many at a time, however many threads ask.

Three ways lead to an object:

- a *survey* of all that the project has of one kind, page by page, once in a while: it serves the reads of a refresh
  and finds what interrupted runs left, and is never believed of an object that this process has touched;
- a *batch*: whoever asks at about the same time for different objects of a kind is answered together: Neutron filters
  by ids; of other services one or two objects are asked for by themselves, and more are looked up in a listing;
- a *watch*: while several wait for their objects, one look sees all of them, and serves all.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from provision_openstack.errors import ApiError, explained
from provision_openstack.kinds import Kind

if TYPE_CHECKING:
    from provision_openstack.session import Session

Live = Mapping[str, Any]
"""An object as its service shows it."""

_MOST_IDS = 50
"""Ids in one question to Neutron: a URL may have 8 kB in front of most servers, and each takes 40 bytes."""

_PAGE = 1000
"""Objects of a page: the most that Nova, Glance and Cinder give unless their operators say otherwise."""

_FEW = 2
"""As many objects are asked for one by one: a listing costs the service more."""

_GATHERING_SECONDS = 0.01
"""How long the first who asks waits for others."""

_WATCHER_SECONDS = 0.05
_LONGEST_SECONDS = 2.0
"""How much longer one waits for each that is or soon will be waiting for its object, and how long at most."""

_SURVEY_SECONDS = 60.0
"""How long a survey is believed of what nobody here has touched."""

_WATCH_SECONDS = 0.5
"""How old what others have seen may be for somebody who waits."""


@dataclass
class _Batch:
    """What is asked for together."""

    ids: set[str] = field(default_factory=set)
    done: threading.Event = field(default_factory=threading.Event)
    found: dict[str, Live] = field(default_factory=dict)
    error: BaseException | None = None


@dataclass
class _Survey:
    """All that the project has of a kind, as it was at a time."""

    when: float
    found: dict[str, Live]


class Reader:
    """Objects of one project, as their services show them; used by several threads."""

    def __init__(self, session: "Session") -> None:
        """Nothing is known yet."""
        self._session = session
        self._lock = threading.Lock()
        self._gathering: dict[Kind, _Batch] = {}
        self._surveys: dict[Kind, _Survey] = {}
        self._surveying: dict[Kind, threading.Lock] = {}
        self._watched: dict[Kind, dict[str, int]] = {}
        self._seen: dict[tuple[Kind, str], tuple[float, Live | None]] = {}
        self._expected: dict[Kind, int] = {}
        self._listed: set[tuple[Kind, str]] = set()
        self._reads: dict[Kind, int] = {}

    # --- single objects

    def look(self, kind: Kind, identity: str, stack_id: str = "") -> Live | None:
        """An object; None when it is not there, or as good as gone.

        Args:
            kind: of object.
            identity: its id.
            stack_id: whose it is, as far as that is known: then a survey that was made may answer.

        Raises:
            provision.errors.PlatformError: the service does not answer.
        """
        live: Live | None = None
        if stack_id and not self._session.is_touched(identity):
            live = self._known(kind, identity)
        if live is None or self._session.is_touched(identity):  # touched while the survey was made
            live = self._batched(kind, identity)
        return None if live is None or kind.is_gone(live) else live

    def remembered(self, kind: Kind, identity: str) -> Live | None:
        """An object as it is now, also one that is as good as gone; None when the service knows nothing of it."""
        return self._batched(kind, identity)

    @contextmanager
    def watching(self, kind: Kind, identity: str) -> Iterator[None]:
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
    def expecting(self, kind: Kind) -> Iterator[None]:
        """While inside, somebody may soon have an object to watch."""
        with self._lock:
            self._expected[kind] = self._expected.get(kind, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._expected[kind] -= 1

    def watch(self, kind: Kind, identity: str) -> Live | None:
        """A watched object as it is now, or was a moment ago; also one that is as good as gone."""
        with self._lock:
            when, live = self._seen.get((kind, identity), (0.0, None))
            others = max(self._expected.get(kind, 0), len(self._watched.get(kind, ()))) - 1
        if when and time.monotonic() - when < _WATCH_SECONDS:
            return live
        return self._batched(kind, identity, min(_LONGEST_SECONDS, max(0, others) * _WATCHER_SECONDS))

    def forget(self, kind: Kind, identity: str) -> None:
        """What was seen of a watched object says nothing any more."""
        with self._lock:
            self._seen.pop((kind, identity), None)

    # --- many objects

    def left(self, kind: Kind, made: Callable[[Live], bool]) -> list[Live]:
        """Objects of the project for which `made` holds, as they are now; none that are as good as gone."""
        return [live for live in self._own(kind) if made(live) and not kind.is_gone(live)]

    def survey(self, kind: Kind, stack_id: str = "") -> Mapping[str, Live]:
        """All that the project has of a kind, as it was at most a minute ago, whichever stack it is of."""
        with self._lock:
            alone = self._surveying.setdefault(kind, threading.Lock())
        with alone:
            known = self._surveys.get(kind)
            if known is None or time.monotonic() - known.when > _SURVEY_SECONDS:
                when = time.monotonic()
                known = self._surveys[kind] = _Survey(when, {str(live[kind.id]): live for live in self._own(kind)})
            return known.found

    def all(self, kind: Kind, query: Mapping[str, Any] | None = None) -> Iterator[Live]:
        """Objects of a kind that the user sees, page by page.

        Raises:
            provision.errors.PlatformError: the service does not answer.
        """
        asked = dict(query or {})
        if kind.paged and kind.service != "network":  # Neutron gives all at once, unless its operators say otherwise
            asked["limit"] = str(_PAGE)
        pages = self._session.service(kind.service).pages(
            kind.detail or kind.path, kind.many, asked, version=kind.version
        )
        while True:
            with explained(f"looking at every {kind.noun}"):
                item = next(pages, None)
            if item is None:
                return
            yield _unwrapped(kind, item)

    def _own(self, kind: Kind) -> Iterator[Live]:
        query: dict[str, Any] = {}
        if kind.by_project:
            query["project_id"] = self._session.project_id
        if kind.service == "image":
            query["owner"] = self._session.project_id  # there may be thousands of others that everybody sees
        for live in self.all(kind, query):
            self._listed.add((kind, str(live[kind.id])))
            yield live

    def _known(self, kind: Kind, identity: str) -> Live | None:
        """What a survey says; one is made for whoever asks after the first few, since it answers all of them."""
        with self._lock:
            survey = self._surveys.get(kind)
            fresh = survey is not None and time.monotonic() - survey.when <= _SURVEY_SECONDS
            self._reads[kind] = self._reads.get(kind, 0) + 1
            many = self._reads[kind] > _FEW
        return self.survey(kind).get(identity) if fresh or many else None

    # --- batches

    def _batched(self, kind: Kind, identity: str, patience: float = 0.0) -> Live | None:
        with self._lock:
            batch = self._gathering.get(kind)
            leads = batch is None
            if batch is None:
                batch = self._gathering[kind] = _Batch()
            batch.ids.add(identity)
        if leads:
            self._lead(kind, batch, patience)
        else:
            batch.done.wait()
        if batch.error is not None:
            raise batch.error
        return batch.found.get(identity)

    def _lead(self, kind: Kind, batch: _Batch, patience: float) -> None:
        time.sleep(_GATHERING_SECONDS + patience)
        with self._lock:
            if self._gathering.get(kind) is batch:
                del self._gathering[kind]
            watched = set(self._watched.get(kind, ()))
            asked = batch.ids | watched if batch.ids & watched else set(batch.ids)
        when = time.monotonic()
        try:
            batch.found = self._shown(kind, sorted(asked))
            with self._lock:
                self._seen.update({(kind, one): (when, batch.found.get(one)) for one in asked & watched})
        except BaseException as error:
            batch.error = error
        finally:
            batch.done.set()

    def _shown(self, kind: Kind, ids: list[str]) -> dict[str, Live]:
        if kind.service == "network" and len(ids) > 1:
            return self._by_filter(kind, ids)
        if len(ids) <= _FEW:
            return self._by_id(kind, ids)
        when = time.monotonic()
        found = {str(live[kind.id]): live for live in self._own(kind)}
        with self._lock:
            self._surveys[kind] = _Survey(when, found)
        # What was in a listing once is gone when it is not there any more; others may be of another project.
        return found | self._by_id(kind, [one for one in ids if one not in found and (kind, one) not in self._listed])

    def _by_filter(self, kind: Kind, ids: list[str]) -> dict[str, Live]:
        found: dict[str, Live] = {}
        for first in range(0, len(ids), _MOST_IDS):
            for live in self.all(kind, {"id": ids[first : first + _MOST_IDS]}):
                found[str(live[kind.id])] = live
        return found

    def _by_id(self, kind: Kind, ids: list[str]) -> dict[str, Live]:
        found: dict[str, Live] = {}
        service = self._session.service(kind.service)
        for one in ids:
            with explained(f"looking at the {kind.noun} {one}"):
                try:
                    answer = service.get(f"{kind.path}/{one}", version=kind.version)
                except ApiError as error:
                    if not error.absent:
                        raise
                    continue
            found[one] = answer[kind.one] if kind.one else answer
        return found


def _unwrapped(kind: Kind, item: Live) -> Live:
    """An object of a listing; Nova puts each key pair into an object of its own."""
    inner = item.get(kind.one) if kind.one and len(item) == 1 else None
    return inner if isinstance(inner, Mapping) else item
