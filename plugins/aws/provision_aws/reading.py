"""Describing objects with few calls: by many at a time, however many threads ask.

Three ways lead to a description:

- a *survey* of all that one stack has of one kind, page by page, once in a while: it serves the reads of a refresh and
  finds what interrupted runs left, and is never believed of an object that this process has touched;
- a *batch*: whoever asks at about the same time for different objects of a kind is answered by one call;
- a *watch*: while several wait for their objects, one call looks at all of them, and serves all.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from provision_aws.errors import explained, is_absent
from provision_aws.kinds import MOST_IN_A_FILTER, Kind
from provision_aws.ownership import STACK_TAG, tags_of

if TYPE_CHECKING:
    from provision_aws.session import Session

Live = Mapping[str, Any]
"""An object as EC2 describes it."""

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
    """All that a stack has of a kind, as it was at a time."""

    when: float
    found: dict[str, Live]


class Reader:
    """Descriptions of objects of one account and region; used by several threads."""

    def __init__(self, session: "Session") -> None:
        """Nothing is known yet."""
        self._session = session
        self._lock = threading.Lock()
        self._gathering: dict[Kind, _Batch] = {}
        self._surveys: dict[tuple[Kind, str], _Survey] = {}
        self._surveying: dict[tuple[Kind, str], threading.Lock] = {}
        self._watched: dict[Kind, dict[str, int]] = {}
        self._seen: dict[tuple[Kind, str], tuple[float, Live | None]] = {}
        self._expected: dict[Kind, int] = {}

    # --- single objects

    def look(self, kind: Kind, identity: str, stack_id: str = "") -> Live | None:
        """An object; None when it is not there, or as good as gone.

        Args:
            kind: of object.
            identity: its id.
            stack_id: whose it is, as far as that is known: then one survey may answer for all that the stack has.

        Raises:
            provision.errors.PlatformError: EC2 does not answer.
        """
        live: Live | None = None
        if stack_id and not self._session.is_touched(identity):
            live = self._survey(kind, stack_id).get(identity)
        if live is None or self._session.is_touched(identity):  # touched while the survey was made
            live = self._batched(kind, identity)
        return None if live is None or kind.is_gone(live) else live

    def remembered(self, kind: Kind, identity: str) -> Live | None:
        """An object as it is now, also one that is as good as gone; None when EC2 knows nothing of it."""
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

    def parts(self, kind: Kind, identity: str) -> list[Live]:
        """What an object consists of, such as the rules of a group."""
        live = self._batched(kind, identity)
        return list(live["Parts"]) if live is not None else []

    # --- many objects

    def left(self, kind: Kind, tags: Mapping[str, str]) -> list[Live]:
        """Objects with all of these tags, as they are now; none that are as good as gone."""
        return [live for live in self._tagged(kind, tags) if not kind.is_gone(live)]

    def survey(self, kind: Kind, stack_id: str) -> Mapping[str, Live]:
        """All that a stack has of a kind, as it was at most a minute ago."""
        return self._survey(kind, stack_id)

    def all(self, kind: Kind, filters: Iterable[Mapping[str, Any]] = ()) -> Iterator[Live]:
        """Objects of a kind, page by page.

        Raises:
            provision.errors.PlatformError: EC2 does not answer.
        """
        asked: dict[str, Any] = dict(kind.extra)
        if chosen := list(filters):
            asked[kind.filters] = chosen
        if kind.page:
            asked["MaxResults"] = kind.page
        while True:
            with explained(f"looking at every {kind.noun}"):
                answer = getattr(self._session.client(), kind.describe)(**asked)
            yield from _objects(kind, answer)
            if not kind.page or not (token := answer.get("NextToken")):
                return
            asked["NextToken"] = token

    def _tagged(self, kind: Kind, tags: Mapping[str, str]) -> Iterator[Live]:
        key, value = list(tags.items())[-1]  # the most telling one; the others are looked at here
        filter = {"Name": f"tag:{key}", "Values": [_literal(value)]}
        filters = [filter if kind.by_tag else {"Name": "tag-key", "Values": [key]}]
        for live in self.all(kind, filters):
            if tags.items() <= tags_of(live).items():
                yield live

    def _survey(self, kind: Kind, stack_id: str) -> Mapping[str, Live]:
        key = (kind, stack_id)
        with self._lock:
            alone = self._surveying.setdefault(key, threading.Lock())
        with alone:
            known = self._surveys.get(key)
            if known is None or time.monotonic() - known.when > _SURVEY_SECONDS:
                when = time.monotonic()
                found = {str(live[kind.id]): live for live in self._tagged(kind, {STACK_TAG: stack_id})}
                known = self._surveys[key] = _Survey(when, found)
            return known.found

    # --- batches

    def _batched(self, kind: Kind, identity: str, patience: float = 0.0) -> Live | None:
        with self._lock:
            batch = self._gathering.get(kind)
            leads = batch is None or len(batch.ids) >= MOST_IN_A_FILTER
            if batch is None or leads:
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
            room = MOST_IN_A_FILTER - len(batch.ids)
            asked = batch.ids | set(sorted(watched - batch.ids)[: max(0, room)]) if batch.ids & watched else batch.ids
        when = time.monotonic()
        try:
            batch.found = self._described(kind, sorted(asked))
            with self._lock:
                self._seen.update({(kind, one): (when, batch.found.get(one)) for one in asked & watched})
        except BaseException as error:
            batch.error = error
        finally:
            batch.done.set()

    def _described(self, kind: Kind, ids: list[str]) -> dict[str, Live]:
        if kind.id_filter:
            found = self.all(kind, [{"Name": kind.id_filter, "Values": ids}])
            if kind.many:
                return _together(kind, found)
            return {str(live[kind.id]): live for live in found}
        return self._by_ids(kind, ids)

    def _by_ids(self, kind: Kind, ids: list[str]) -> dict[str, Live]:
        """Where there is no filter for ids one that is unknown spoils the answer for all."""
        from botocore.exceptions import ClientError

        try:
            with explained_but_absent(f"looking at the {kind.noun} {', '.join(ids)}"):
                answer = getattr(self._session.client(), kind.describe)(**{kind.ids: ids, **dict(kind.extra)})
        except ClientError:
            if len(ids) == 1:
                return {}
            return {key: live for one in ids for key, live in self._by_ids(kind, [one]).items()}
        return {str(live[kind.id]): live for live in _objects(kind, answer)}


@contextmanager
def explained_but_absent(doing: str) -> Iterator[None]:
    """As `explained`; that something is not there is passed on as botocore raised it.

    Raises:
        botocore.exceptions.ClientError: it is not there.
    """
    from botocore.exceptions import ClientError

    with explained(doing):
        try:
            yield
        except ClientError as error:
            if not is_absent(error):
                raise
            absent = error
        else:
            return
    raise absent


def _objects(kind: Kind, answer: Mapping[str, Any]) -> Iterator[Live]:
    if kind.answer == "Instances":
        for reservation in answer.get("Reservations", ()):
            yield from reservation["Instances"]
        return
    yield from answer.get(kind.answer, ())


def _together(kind: Kind, parts: Iterable[Live]) -> dict[str, Live]:
    found: dict[str, list[Live]] = {}
    for part in parts:
        found.setdefault(str(part[kind.id]), []).append(part)
    return {identity: {kind.id: identity, "Parts": parts} for identity, parts in found.items()}


def _literal(text: str) -> str:
    """A text that a filter takes as it is: stars, question marks and backslashes have a meaning there.

    (EC2 User Guide, "Filter resources".)
    """
    return "".join(f"\\{letter}" if letter in "*?\\" else letter for letter in text)
