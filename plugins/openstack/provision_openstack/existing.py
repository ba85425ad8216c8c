"""What a stack file refers to instead of having it made, as it is in the cloud; looked at before anything is made."""

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from provision.models import Stack
from provision_openstack.kinds import NETWORK, PORT, ROUTER, SECURITY_GROUP, SUBNET, Kind
from provision_openstack.reading import Live, having
from provision_openstack.resources.router_interface import OWNERS
from provision_openstack.session import Session
from provision_openstack.translate.referring import is_sound, joined, referred

Facts = dict[str, Any]
_ID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")


def look(session: Session, stack: Stack) -> Mapping[str, Any]:
    """By kind, all that each reference of the file may mean, as plain data; a few calls, however many there are.

    Raises:
        provision.errors.PlatformError: Neutron does not answer.
    """
    if not is_sound(stack):
        return {}
    networks = {said for network in stack.networks.values() if (said := referred(network)) is not None}
    groups = {group for machine in stack.machines.values() for nic in machine.nics for group in joined(nic)}
    found: Facts = {}
    if networks:
        found["networks"] = _networks(session, sorted(networks))
    if groups:
        found["groups"] = {
            reference: [_group(live) for live in lives]
            for reference, lives in _meant(session, SECURITY_GROUP, sorted(groups)).items()
        }
    return found


def _meant(session: Session, kind: Kind, references: list[str]) -> dict[str, list[Live]]:
    """Objects that are called so; a text that is an id is never a name."""
    ids = [one for one in references if _ID.fullmatch(one)]
    names = [one for one in references if not _ID.fullmatch(one)]
    by_id, by_name = session.together(
        lambda: _asked(session, kind, "id", ids), lambda: _asked(session, kind, "name", names)
    )
    found: dict[str, list[Live]] = {one: [] for one in references}
    for live in by_id:
        found[str(live["id"])].append(live)
    for live in by_name:
        found[str(live["name"])].append(live)
    return found


def _asked(session: Session, kind: Kind, field: str, values: list[str]) -> list[Live]:
    return list(having(session.reader, kind, field, values))


def _networks(session: Session, references: list[str]) -> Facts:
    meant = _meant(session, NETWORK, references)
    ids = sorted({str(live["id"]) for lives in meant.values() for live in lives})
    subnets, ports = session.together(
        lambda: _asked(session, SUBNET, "network_id", ids), lambda: _asked(session, PORT, "network_id", ids)
    )
    interfaces = [port for port in ports if port.get("device_owner") in OWNERS]
    routers = _asked(session, ROUTER, "id", sorted({str(port["device_id"]) for port in interfaces}))
    ways = {str(live["id"]): _leads(live) for live in routers}

    def facts(live: Live) -> Facts:
        identity = str(live["id"])
        own = [port for port in ports if port["network_id"] == identity]
        on = {ways.get(str(port["device_id"]), "") for port in interfaces if port["network_id"] == identity}
        return {
            "id": identity,
            "mtu": int(live.get("mtu") or 0),
            "subnets": sorted(
                (_subnet(one) for one in subnets if one["network_id"] == identity), key=lambda one: one["cidr"]
            ),
            "way": _way(on, is_own=live.get("project_id") == session.project_id),
            "taken": dict(sorted(_taken(own))),
        }

    return {reference: [facts(live) for live in lives] for reference, lives in meant.items()}


def _subnet(live: Live) -> Facts:
    return {
        "id": str(live["id"]),
        "cidr": str(live["cidr"]),
        "gateway": str(live.get("gateway_ip") or ""),
        "dhcp": bool(live.get("enable_dhcp")),
    }


def _leads(router: Live) -> str:
    out = router.get("external_gateway_info") or {}
    if not out and not router.get("routes"):
        return "none"
    return "nat" if out.get("enable_snat", True) and not router.get("routes") else "routed"


def _way(ways: set[str], *, is_own: bool) -> str:
    """Where a network's routers lead; empty where that cannot be seen: ports and routers of others are not shown."""
    if not ways:
        return "none" if is_own else ""
    if "" in ways:
        return ""
    return next(one for one in ("routed", "nat", "none") if one in ways)


def _taken(ports: Iterable[Live]) -> Iterable[tuple[str, Facts]]:
    for port in ports:
        for fixed in port.get("fixed_ips") or ():
            yield str(ip_address(fixed["ip_address"])), {"id": str(port["id"]), "name": str(port.get("name") or "")}


def _group(live: Live) -> Facts:
    return {
        "id": str(live["id"]),
        "rules": len(live.get("security_group_rules") or ()),
        "stateful": bool(live.get("stateful", True)),
    }
