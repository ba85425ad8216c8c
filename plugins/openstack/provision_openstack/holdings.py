"""What is left of a project's quotas: only where it may not suffice, what the project has there is looked at.

What a stack has already is a part of what is used. Which objects are the stack's own is told by their marks; which
stack's a mark is, by the names that it gives.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from provision.spi import Capabilities
from provision_openstack.kinds import (
    FLOATING_IP,
    NETWORK,
    PORT,
    ROUTER,
    SECURITY_GROUP,
    SERVER,
    SERVER_GROUP,
    SUBNET,
    VOLUME,
    Kind,
)
from provision_openstack.ownership import maker, plain_name, plain_text
from provision_openstack.reading import Live
from provision_openstack.session import Session

FACT = "holdings"
"""The fact under which capabilities hold what was found."""

Row = list[Any]
"""An object: its name, digits of the stack that made it (empty for none), and how much it is of the quota."""

_NETWORK: Mapping[str, Kind] = {
    "networks": NETWORK,
    "subnets": SUBNET,
    "routers": ROUTER,
    "ports": PORT,
    "floating_ips": FLOATING_IP,
    "security_groups": SECURITY_GROUP,
    "security_group_rules": SECURITY_GROUP,
}
_SERVERS = frozenset({"instances", "cores", "memory_mib"})
_VOLUMES = frozenset({"volumes", "volume_gib"})
_SIZED = replace(SERVER, version="2.47")
"""Servers with the size of their flavor, which may be one that the project no longer sees."""


def with_holdings(session: Session, told: Capabilities, needs: Mapping[str, int]) -> Capabilities:
    """Capabilities, and what the project has of each quota of which a stack may need more than is left.

    Args:
        session: the project.
        told: what it told of itself.
        needs: what the stack needs of quotas.

    Raises:
        provision.errors.ProvisionError: a service does not answer.
    """
    short = sorted(name for name, much in needs.items() if much > left(told.facts["quotas"], name))
    return replace(told, facts={**told.facts, FACT: look(session, short)}) if short else told


def left(quotas: Mapping[str, list[int]], name: str) -> float:
    """How much of a quota nobody uses."""
    most, used = quotas.get(name, (-1, 0))
    return float("inf") if most < 0 else most - used


def look(session: Session, names: Iterable[str]) -> dict[str, list[Row]]:
    """What the project has of quotas; one listing for each kind of object, in parallel.

    Raises:
        provision.errors.ProvisionError: a service does not answer.
    """
    wanted = set(names)
    kinds = {_NETWORK[name] for name in wanted if name in _NETWORK}
    if wanted & (_SERVERS | _VOLUMES):  # volumes that Nova made have no mark: their server does
        kinds.add(_SIZED)
    if wanted & _VOLUMES:
        kinds.add(VOLUME)
    if "server_groups" in wanted:
        kinds.add(SERVER_GROUP)
    asked = sorted(kinds, key=lambda kind: kind.path)
    answers = session.together(*(_listing(session, kind) for kind in asked))
    found: dict[str, list[Row]] = {}
    listed = dict(zip(asked, answers, strict=True))
    servers = {str(live["id"]): maker(SERVER.place, live) for live in listed.get(_SIZED, ())}
    for kind, lives in listed.items():
        for name, row in _rows(kind, lives, servers):
            if name in wanted:
                found.setdefault(name, []).append(row)
    return {name: sorted(found.get(name, [])) for name in sorted(wanted)}


def _listing(session: Session, kind: Kind) -> Callable[[], list[Live]]:
    query: dict[str, Any] = {}
    if kind.service == "network":
        more = ["security_group_rules"] if kind is SECURITY_GROUP else []
        query = {"project_id": session.project_id, "fields": ["id", "name", "description", *more]}
    return lambda: list(session.reader.all(kind, query))


def _rows(kind: Kind, lives: Iterable[Live], servers: Mapping[str, str]) -> Iterator[tuple[str, Row]]:
    """Each object as what it is of each quota."""
    for live in lives:
        by = maker(kind.place, live)
        called = plain_text(live.get("description")) if kind is FLOATING_IP else plain_name(str(live.get("name") or ""))
        if kind is _SIZED:
            size = live.get("flavor") or {}
            yield "instances", [called, by, 1]
            yield "cores", [called, by, int(size.get("vcpus") or 0)]
            yield "memory_mib", [called, by, int(size.get("ram") or 0)]
        elif kind is VOLUME:
            users = [str(one.get("server_id")) for one in live.get("attachments") or ()]
            by = by or next((servers[one] for one in users if one in servers), "")
            yield "volumes", [called, by, 1]
            yield "volume_gib", [called, by, int(live.get("size") or 0)]
        else:
            quota = "server_groups" if kind is SERVER_GROUP else next(n for n, one in _NETWORK.items() if one is kind)
            yield quota, [called, by, 1]
        for rule in live.get("security_group_rules") or ():  # those have no names
            whose = maker(kind.place, rule)
            yield "security_group_rules", [called if whose == by else "", whose, 1]


def makers(holdings: Mapping[str, Iterable[Row]], names: Iterable[str], prefix: str) -> set[str]:
    """Digits of the stack that gives such names; by how all of its names begin when it has none of them yet.

    Args:
        holdings: what was found.
        names: that the stack gives.
        prefix: how its names begin.
    """
    given = set(names)
    marked = [(called, by) for rows in holdings.values() for called, by, _ in rows if by]
    exactly = {by for called, by in marked if called in given}
    return exactly or {by for called, by in marked if called.startswith(prefix)}
