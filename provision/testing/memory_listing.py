"""Listing the objects of the in-memory platform."""

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from provision.spi import Listed, ListRequest, Properties
from provision.testing.store import Call


class MemoryQuery(Properties):
    """What a search on the in-memory platform may be narrowed by."""

    prefix: Annotated[str, Field(description="Start of the name.")] = ""


class Listable:
    """A type whose objects can be listed: all that are there, ours and others, in the order they were made."""

    token: ClassVar[str]
    Query: ClassVar[type[Properties]] = MemoryQuery

    def list(self, request: ListRequest) -> Iterator[Listed]:
        """Look through all of them."""
        store = request.operation.session.store
        store.record(Call("list", self.token, request.query.prefix))
        for item in store.objects(self.token):
            if item.name.startswith(request.query.prefix):
                yield Listed(item.id, item.name)
