"""Describing objects of EC2 with few calls; `provision.spi.cloud.Reader` says how."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol

from provision.spi import cloud
from provision.spi.cloud import Live
from provision_aws.errors import explained, is_absent
from provision_aws.kinds import MOST_IN_A_FILTER, Kind
from provision_aws.ownership import STACK_TAG, tags_of

__all__ = ["Live", "Reader"]


class Asked(Protocol):
    """What a reader needs of a session."""

    def client(self) -> Any:
        """A client of EC2."""

    def is_touched(self, identity: str) -> bool:
        """Whether this process ever made or changed the object."""


class Reader(cloud.Reader[Kind]):
    """Descriptions of objects of one account and region; used by several threads."""

    most: ClassVar[int | None] = MOST_IN_A_FILTER
    first_wait_seconds: ClassVar[float] = 1.0

    def __init__(self, session: Asked) -> None:
        """Nothing is known yet."""
        super().__init__(session.is_touched)
        self._session = session

    def parts(self, kind: Kind, identity: str) -> list[Live]:
        """What an object consists of, such as the rules of a group."""
        live = self.remembered(kind, identity)
        return list(live["Parts"]) if live is not None else []

    def left(self, kind: Kind, tags: Mapping[str, str]) -> list[Live]:
        """Objects with all of these tags, as they are now; none that are as good as gone."""
        return [live for live in self._tagged(kind, tags) if not kind.is_gone(live)]

    def owned(self, kind: Kind, stack_id: str) -> Iterator[Live]:
        """By the tag of the stack."""
        return self._tagged(kind, {STACK_TAG: stack_id})

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

    def shown(self, kind: Kind, ids: list[str]) -> dict[str, Live]:
        """By one call, where EC2 has a filter for ids."""
        if kind.id_filter:
            found = self.all(kind, [{"Name": kind.id_filter, "Values": ids}])
            if kind.many:
                return _together(kind, found)
            return {str(live[kind.id]): live for live in found}
        return self._by_ids(kind, ids)

    def _tagged(self, kind: Kind, tags: Mapping[str, str]) -> Iterator[Live]:
        key, value = list(tags.items())[-1]  # the most telling one; the others are looked at here
        filter = {"Name": f"tag:{key}", "Values": [_literal(value)]}
        filters = [filter if kind.by_tag else {"Name": "tag-key", "Values": [key]}]
        for live in self.all(kind, filters):
            if tags.items() <= tags_of(live).items():
                yield live

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
