"""Looking at objects of OpenStack's services with few calls; `provision.spi.cloud.Reader` says how.

Neutron filters by ids; of other services one or two objects are asked for by themselves, and more are looked up in a
listing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from provision.spi import cloud
from provision.spi.cloud import Live
from provision_openstack.errors import ApiError, explained
from provision_openstack.kinds import Kind

__all__ = ["Live", "Reader", "having"]

_MOST_VALUES = 50
"""Values in one question to Neutron: a URL may have 8 kB in front of most servers, and each takes 40 to 60 bytes."""

_PAGE = 1000
"""Objects of a page: the most that Nova, Glance and Cinder give unless their operators say otherwise."""

_FEW = 2
"""As many objects are asked for one by one: a listing costs the service more."""


class Asked(Protocol):
    """What a reader needs of a session."""

    project_id: str

    def service(self, name: str) -> Any:
        """An API."""

    def is_touched(self, identity: str) -> bool:
        """Whether this process ever made or changed the object."""


class Reader(cloud.Reader[Kind]):
    """Objects of one project, as their services show them; used by several threads."""

    few: ClassVar[int] = _FEW
    fresh_seconds: ClassVar[float] = 1.0  # servers take seconds, and at each listing Nova asks Neutron for addresses
    watcher_seconds: ClassVar[float] = 0.15
    patience_seconds: ClassVar[float] = 3.0
    first_wait_seconds: ClassVar[float] = 3.0  # there are more operations than calls, so that none is held up
    quiet_seconds: ClassVar[float] = 0.25
    first_look_seconds: ClassVar[float] = 0.2
    longest_pause_seconds: ClassVar[float] = 1.5

    def __init__(self, session: Asked) -> None:
        """Nothing is known yet."""
        super().__init__(session.is_touched)
        self._session = session
        self._listed: set[tuple[Kind, str]] = set()

    def scope(self, stack_id: str) -> str:
        """The project: no service filters by the mark of a stack."""
        return ""

    def left(self, kind: Kind, made: Callable[[Live], bool]) -> list[Live]:
        """Objects of the project for which `made` holds, as they are now; none that are as good as gone."""
        return [live for live in self.owned(kind) if made(live) and not kind.is_gone(live)]

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

    def owned(self, kind: Kind, stack_id: str = "") -> Iterator[Live]:
        """All of the project."""
        query: dict[str, Any] = {}
        if kind.by_project:
            query["project_id"] = self._session.project_id
        if kind.service == "image":
            query["owner"] = self._session.project_id  # there may be thousands of others that everybody sees
        for live in self.all(kind, query):
            self._listed.add((kind, str(live[kind.id])))
            yield live

    def shown(self, kind: Kind, ids: list[str]) -> dict[str, Live]:
        """By a filter, by a listing or one by one."""
        if kind.service == "network" and len(ids) > 1:
            return {str(live[kind.id]): live for live in having(self, kind, "id", ids)}
        if len(ids) <= _FEW:
            return self._by_id(kind, ids)
        found = self.survey_now(kind)
        # What was in a listing once is gone when it is not there any more; others may be of another project.
        others = [one for one in ids if one not in found and (kind, one) not in self._listed]
        return {**found, **self._by_id(kind, others)}

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


def having(reader: Reader, kind: Kind, field: str, values: Sequence[str], **more: Any) -> Iterator[Live]:
    """Objects of Neutron's with one of some values in a field: as many values in one question as fit into an address.

    Raises:
        provision.errors.PlatformError: the service does not answer.
    """
    for first in range(0, len(values), _MOST_VALUES):
        yield from reader.all(kind, {field: list(values[first : first + _MOST_VALUES]), **more})


def _unwrapped(kind: Kind, item: Live) -> Live:
    """An object of a listing; Nova puts each key pair into an object of its own."""
    inner = item.get(kind.one) if kind.one and len(item) == 1 else None
    return inner if isinstance(inner, Mapping) else item
