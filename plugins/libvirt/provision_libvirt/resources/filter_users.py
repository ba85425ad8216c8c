"""Who refers to which packet filter.

Libvirt refuses to remove a filter only when a running machine needs it. One that a stopped machine or another filter
refers to must stay too: whatever refers to it could not be started any more.
"""

import contextlib
import time
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

import libvirt

from provision.errors import PlatformError
from provision_libvirt.ownership import same_owner
from provision_libvirt.resources.filter_list import all_filters
from provision_libvirt.resources.xml_domain import used_filters
from provision_libvirt.session import Session, explained, is_absent

_SEEN_SECONDS = 2.0
_seen: WeakKeyDictionary[Session, tuple[float, dict[str, list[str]]]] = WeakKeyDictionary()


def references_change(session: Session) -> None:
    """To be said before new references to filters are written."""
    _seen.pop(session, None)


def users_of(session: Session, name: str) -> str:
    """Who refers to the filter, in words; empty when nobody does.

    Looking at everything for each of many filters would take the square of their number, so what was seen a moment ago
    counts when it says that nobody does.

    Raises:
        provision.errors.PlatformError: the hypervisor did not answer.
    """
    seen = _seen.get(session)
    if seen is None or time.monotonic() - seen[0] > _SEEN_SECONDS or name in seen[1]:
        seen = (time.monotonic(), _all_users(session.connection()))
        _seen[session] = seen
    return ", ".join(seen[1].get(name, ()))


def sweep_replaced(session: Session, used: Iterable[str | None]) -> None:
    """Remove unused incarnations of the filters that are `used` from now on, by name, those themselves excepted.

    A run that was killed in the middle of a replacement leaves the old incarnation in use; the next run deletes it
    before whatever uses it can change over, so it must be left then, and goes here. So does an incarnation that a
    killed run made and did not record; `create` itself cannot tell it from the live one.
    """
    kept = {name for name in used if name}
    if not kept:
        return
    # What stays goes with the pool at the latest, so that no failure here is worth one of the whole operation.
    with contextlib.suppress(libvirt.libvirtError, PlatformError):
        filters = [(thing.name(), thing.UUIDString(), thing) for thing in all_filters(session.connection())]
        current = [uuid for name, uuid, _ in filters if name in kept]
        spare = [
            (name, thing)
            for name, uuid, thing in filters
            if name not in kept and any(same_owner(uuid, other) for other in current)
        ]
        if spare:
            references_change(session)
        for name, thing in spare:
            if not users_of(session, name):
                with contextlib.suppress(libvirt.libvirtError):
                    thing.undefine()


def incarnations(connection: Any, uuid: str) -> list[str]:
    """UUIDs of all incarnations of a filter that are there.

    Raises:
        provision.errors.PlatformError: the hypervisor did not answer.
    """
    with explained("looking for packet filters"):
        found = [thing.UUIDString() for thing in all_filters(connection)]
    return [one for one in found if same_owner(one, uuid)]


def sweep_older(session: Session, older: Iterable[str]) -> None:
    """Remove incarnations that were there before one that goes now, where nobody uses them.

    The engine has removed what that one replaced by then. What is still there was made by a killed run and is on no
    record, and filters to which it refers could not be removed before it.
    """
    for uuid in older:
        with contextlib.suppress(libvirt.libvirtError, PlatformError):
            thing = session.connection().nwfilterLookupByUUIDString(uuid)
            if not users_of(session, thing.name()):
                references_change(session)
                thing.undefine()


def descriptions(thing: Any) -> tuple[int, ...]:
    """Flags for every description of a filter or domain: a running domain's next start may use other filters.

    Raises:
        libvirt.libvirtError: it went away.
    """
    return (0, libvirt.VIR_DOMAIN_XML_INACTIVE) if hasattr(thing, "isActive") and thing.isActive() else (0,)


def _all_users(connection: Any) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    with explained("looking for what uses packet filters"):
        objects = [(f"the machine '{domain.name()}'", domain) for domain in connection.listAllDomains()]
        objects += [(f"the packet filter '{filter.name()}'", filter) for filter in all_filters(connection)]
        for words, thing in objects:
            try:
                texts = [thing.XMLDesc(flags) for flags in descriptions(thing)]
            except libvirt.libvirtError as error:
                if not is_absent(error):  # else it went away meanwhile
                    raise
                continue
            for name in used_filters(texts):
                users.setdefault(name, []).append(words)
    return users
