"""Listing objects: typed searches, page by page."""

import base64
import json
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from provision.errors import PluginError, UserError
from provision.host.plugin.checking import check
from provision.host.plugin.resources import Resource
from provision.host.plugin.running import Running, with_retries
from provision.host.plugin.shapes import Record, record_of
from provision.host.values import plain
from provision.spi.properties import Properties
from provision.spi.resource import CanList, Listed, ListRequest

CHUNK = 100
"""Objects that are sent as soon as they are found, when no page size is asked for."""

KEPT = 8
"""Searches that may be gone on with without beginning anew."""


@dataclass(frozen=True)
class Position:
    """Where a search is: objects given so far, and most objects wanted in all (None for all there are)."""

    given: int
    limit: int | None

    def token(self) -> str:
        """As a client gets it."""
        return base64.urlsafe_b64encode(json.dumps([self.given, self.limit]).encode()).decode()

    @classmethod
    def read(cls, token: str, limit: int) -> "Position":
        """From a client's continuation token; of a first page, which has none, from its limit.

        The limit of later pages is the first one's, whatever the client says: Pulumi's protocol wants it repeated, its
        command line sends what is left of it.

        Raises:
            UserError: the token is none of ours.
        """
        if not token:
            return cls(0, limit if limit > 0 else None)
        try:
            given, most = json.loads(base64.urlsafe_b64decode(token.encode()))
            return cls(int(given), None if most is None else int(most))
        except (ValueError, TypeError) as error:
            raise UserError(
                "the continuation token of a list is not one that this plugin gave", "begin anew"
            ) from error


class Search:
    """One search that is under way."""

    def __init__(self, kind: Resource, implementation: CanList, query: Properties, position: Position) -> None:
        """Search from `position` on."""
        self.position = position
        self._kind = kind
        self._implementation = implementation
        self._query = query
        self._found: Iterator[Listed] | None = None
        self._ahead: deque[Listed] = deque()

    def take(self, running: Running, wanted: int) -> list[Listed]:
        """The next objects, at most `wanted`; fewer only when there are no more, or no more are wanted."""
        limit = self.position.limit
        wanted = wanted if limit is None else min(wanted, limit - self.position.given)
        self._fill(running, wanted)
        taken = [self._ahead.popleft() for _ in range(min(wanted, len(self._ahead)))]
        self.position = replace(self.position, given=self.position.given + len(taken))
        return taken

    def more(self, running: Running) -> bool:
        """Whether something is left that is wanted."""
        if self.position.limit is not None and self.position.given >= self.position.limit:
            return False
        self._fill(running, 1)
        return bool(self._ahead)

    def _fill(self, running: Running, wanted: int) -> None:
        if self._found is not None:  # one token is for the whole search: the plugin asks for those of further calls
            running = replace(running, service="")
        if len(self._ahead) < wanted:
            with_retries(lambda: self._ask(running, wanted), running)

    def _ask(self, running: Running, wanted: int) -> None:
        try:
            if self._found is None:
                request = ListRequest(running, self._query, self.position.limit)
                begun = iter(self._implementation.list(request))
                passed = self.position.given + len(self._ahead)
                self._found = islice(begun, passed, None)
            for item in islice(self._found, wanted - len(self._ahead)):
                if not isinstance(item, Listed) or not isinstance(item.id, str) or not item.id:
                    raise PluginError(
                        f"{self._kind.token}: `list` must give Listed with a non-empty id",
                        "report this to the plugin's author",
                    )
                self._ahead.append(item)
        except Exception:
            self._found = None  # a generator that has raised gives nothing any more
            raise


class Searches:
    """The searches of one plugin that may be gone on with."""

    def __init__(self) -> None:
        """With none."""
        self._kept: OrderedDict[tuple[str, str, Position], Search] = OrderedDict()

    def begin(self, kind: Resource, query: dict[str, Any], position: Position) -> Search:
        """A search at that position: the one that stopped there, or a new one.

        Raises:
            UserError: objects of the type cannot be listed, or the query cannot be used.
        """
        implementation = kind.implementation
        if not isinstance(implementation, CanList):
            raise UserError(f"objects of type {kind.token} cannot be listed", "look at them with the platform's tools")
        known = self._kept.pop(_key(kind, query, position), None)
        if known is not None:
            return known
        checked, failures = check(implementation.Query, plain(query))
        if failures:
            reasons = "; ".join(f"{item.property or 'the query'} {item.reason}" for item in failures)
            raise UserError(f"the query for {kind.token} cannot be used: {reasons}")
        return Search(kind, implementation, implementation.Query.model_validate(plain(checked)), position)

    def keep(self, kind: Resource, query: dict[str, Any], search: Search) -> str:
        """Keep a search for its next page; the token that asks for it."""
        self._kept[_key(kind, query, search.position)] = search
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return search.position.token()


def query_shape(kind: Resource) -> Record:
    """The shape of what a search of that type may be narrowed by."""
    return record_of(kind.implementation.Query if isinstance(kind.implementation, CanList) else Properties)


def _key(kind: Resource, query: dict[str, Any], position: Position) -> tuple[str, str, Position]:
    return kind.token, json.dumps(plain(query), sort_keys=True, default=str), position
