"""Finding libvirt's objects: by UUID, by name, and all that fit a search."""

import fnmatch
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import libvirt

from provision.errors import NotFound, UserError
from provision.spi import Listed, ListRequest, ReadRequest
from provision_libvirt.ownership import is_marked
from provision_libvirt.resources.filter_list import all_filters
from provision_libvirt.resources.native_model import Query
from provision_libvirt.session import explained, is_absent


def found(lookup: Callable[[str], Any], key: str, doing: str) -> Any | None:
    """The object that `lookup` finds under `key`, None when there is none.

    Raises:
        provision.errors.PlatformError: the hypervisor did not answer.
    """
    with explained(doing):
        try:
            return lookup(key)
        except libvirt.libvirtError as error:
            if is_absent(error):
                return None
            raise


@dataclass(frozen=True)
class Kind:
    """One kind of libvirt's objects that have a name and a UUID.

    Attributes:
        words: what a person calls it.
        by_uuid: name of the connection's method that finds one by its UUID.
        by_name: the same by its name.
        all: gives all of a connection.
    """

    words: str
    by_uuid: str
    by_name: str
    all: Callable[[Any], Iterable[Any]]

    def marked(self, connection: Any, uuid: str) -> Any | None:
        """The object with that UUID, None when there is none."""
        return found(getattr(connection, self.by_uuid), uuid, f"looking for the {self.words} {uuid}")

    def named(self, connection: Any, name: str) -> Any | None:
        """The object with that name, None when there is none."""
        return found(getattr(connection, self.by_name), name, f"looking for the {self.words} '{name}'")

    def read(self, request: ReadRequest[Any, Any]) -> Any | None:
        """What a `read` is about, None when it is gone; an import may also give its name as the id."""
        connection = request.operation.session.connection()
        if request.inputs is None and not _is_uuid(request.id):
            return self.named(connection, request.id)
        return self.marked(connection, request.id)

    def list(self, request: ListRequest, importable: Callable[[Any], object]) -> Iterable[Listed]:
        """All objects that fit the query, by name; `importable` raises for one that cannot be imported.

        Raises:
            provision.errors.PlatformError: the hypervisor did not answer.
        """
        connection, query = request.operation.session.connection(), request.query
        with explained(f"listing every {self.words}"):
            those = [(thing.UUIDString(), thing.name(), thing) for thing in self.all(connection)]
        fitting = (it for it in sorted(those, key=_by_name) if fits(query, it[1], is_marked(it[0])))
        return only_importable(fitting, lambda thing, identity: importable(thing), request.limit, self.words)


def only_importable(
    those: Iterable[tuple[str, str, Any]], importable: Callable[[Any, str], object], limit: int | None, words: str
) -> Iterator[Listed]:
    """The first `limit` of some objects (id, name, object), without those for which `importable` raises.

    Raises:
        provision.errors.PlatformError: the hypervisor did not answer.
    """
    count = 0
    for identity, name, thing in those:
        if limit is not None and count >= limit:
            return
        try:
            with explained(f"reading the {words} '{name}'"):
                importable(thing, identity)
        except (UserError, NotFound):  # the latter went away meanwhile
            continue
        count += 1
        yield Listed(identity, name)


def _by_name(entry: tuple[str, str, Any]) -> str:
    return entry[1]


DOMAIN = Kind("machine", "lookupByUUIDString", "lookupByName", lambda connection: connection.listAllDomains())
FILTER = Kind("packet filter", "nwfilterLookupByUUIDString", "nwfilterLookupByName", all_filters)
NETWORK = Kind(
    "network", "networkLookupByUUIDString", "networkLookupByName", lambda connection: connection.listAllNetworks()
)
POOL = Kind(
    "storage pool",
    "storagePoolLookupByUUIDString",
    "storagePoolLookupByName",
    lambda connection: connection.listAllStoragePools(),
)


def fits(query: Query | None, name: str, ours: bool) -> bool:
    """Whether an object is one of those that a search is for."""
    if query is None:
        return True
    return (query.name is None or fnmatch.fnmatchcase(name, query.name)) and query.ours in (None, ours)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
