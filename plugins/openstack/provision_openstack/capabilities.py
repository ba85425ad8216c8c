"""What the live cloud can do for this project: asked in parallel, once, before anything is made."""

from collections.abc import Callable, Mapping
from typing import Any

from provision.spi import Capabilities
from provision_openstack.errors import ApiError, explained
from provision_openstack.kinds import FLAVOR, IMAGE
from provision_openstack.services import Query
from provision_openstack.session import Session

_SERVICES = ("compute", "network", "image", "block-storage")
_VERSIONED = ("compute", "block-storage")
_IMAGE_PROPERTIES = ("hw_", "os_secure_boot", "os_distro", "trait:")
"""How those properties of images begin that a placement of machines depends on."""

_COMPUTE_LIMITS = {
    "instances": ("maxTotalInstances", "totalInstancesUsed"),
    "cores": ("maxTotalCores", "totalCoresUsed"),
    "memory_mib": ("maxTotalRAMSize", "totalRAMUsed"),
    "server_groups": ("maxServerGroups", "totalServerGroupsUsed"),
    "server_group_members": ("maxServerGroupMembers", ""),
}
"""Nova's words for the limit and for what is used; empty where each object has a limit of its own."""

_VOLUME_LIMITS = {
    "volumes": ("maxTotalVolumes", "totalVolumesUsed"),
    "volume_gib": ("maxTotalVolumeGigabytes", "totalGigabytesUsed"),
}
_NETWORK_LIMITS = {
    "networks": "network",
    "subnets": "subnet",
    "ports": "port",
    "routers": "router",
    "floating_ips": "floatingip",
    "security_groups": "security_group",
    "security_group_rules": "security_group_rule",
}


def ask(session: Session) -> Capabilities:
    """Ask everything that negotiation and translation need.

    The facts are: `project`, `region`, `user`, `roles`; `host_prefixes`, as configured; `services`, the types that
    there are; `microversions` by service, the greatest ones; `extensions` of Neutron; `quotas` by name, as
    `[limit, used]` with -1 for no limit; `flavors` and `images` that are visible; `zones` and `volume_zones`;
    `volume_types`; `encrypted_types`, those that encrypt (None: the cloud tells only administrators, and nobody
    configured any); `refuted_types`, those that are configured as such and are not; `external_networks`.

    Raises:
        provision.errors.ProvisionError: a service does not answer.
    """
    session.network  # noqa: B018 - a cloud without networks or machines is none: says so
    session.compute  # noqa: B018
    there = [name for name in _SERVICES if session.has(name)]
    questions: dict[str, Callable[[], Any]] = {
        "microversions": lambda: {name: session.service(name).maximum for name in _VERSIONED if name in there},
        "extensions": lambda: _names(session, "network", "/extensions", "extensions", "alias"),
        "compute_quotas": lambda: _limits(session, "compute", _COMPUTE_LIMITS),
        "network_quotas": lambda: _network_limits(session),
        "flavors": lambda: flavors(session),
        "zones": lambda: _zones(session, "compute"),
        "external_networks": lambda: _external(session),
    }
    if "image" in there:
        questions["images"] = lambda: images(session)
    if "block-storage" in there:
        questions["volume_quotas"] = lambda: _limits(session, "block-storage", _VOLUME_LIMITS)
        questions["types"] = lambda: volume_types(session)
        questions["volume_zones"] = lambda: _zones(session, "block-storage")
    answers = dict(zip(questions, session.together(*questions.values()), strict=True))
    quotas = [answers.pop(name, {}) for name in ("compute_quotas", "volume_quotas", "network_quotas")]
    facts = {
        "project": session.project_id,
        "region": session.region,
        "user": session.user_id,
        "roles": session.roles,
        "host_prefixes": session.config.host_prefixes,
        "services": there,
        "images": [],
        "volume_types": [],
        "encrypted_types": [],
        "refuted_types": sorted(session.config.encrypted_volume_types),
        "volume_zones": [],
        **answers.pop("types", {}),
        **answers,
        "quotas": {name: pair for group in quotas for name, pair in group.items()},
    }
    return Capabilities("openstack", facts, f"{session.project_id}@{session.region}")


# --- the questions


def _asked(session: Session, service: str, path: str, query: Query | None = None, version: str = "") -> dict[str, Any]:
    with explained(f"asking {service} what it can do"):
        return session.service(service).get(path, query, version=version)


def _names(session: Session, service: str, path: str, many: str, field: str) -> list[str]:
    return sorted({str(item[field]) for item in _asked(session, service, path).get(many, ())})


def _limits(session: Session, service: str, names: Mapping[str, tuple[str, str]]) -> dict[str, list[int]]:
    told = _asked(session, service, "/limits").get("limits", {}).get("absolute", {})
    return {
        name: [int(told[most]), int(told[used]) if used else 0]
        for name, (most, used) in names.items()
        if most in told and (used in told or not used)
    }


def _network_limits(session: Session) -> dict[str, list[int]]:
    """Neutron's quotas; none where it tells them only to administrators."""
    try:
        told = session.network.get(f"/quotas/{session.project_id}/details.json").get("quota", {})
    except ApiError as error:
        if error.absent or error.status == 403:
            return {}
        with explained("asking Neutron for the quotas"):
            raise
    return {
        name: [int(told[key]["limit"]), int(told[key]["used"]) + int(told[key].get("reserved", 0))]
        for name, key in _NETWORK_LIMITS.items()
        if key in told
    }


def flavors(session: Session) -> list[dict[str, Any]]:
    """Flavors that the user sees, the smallest first."""
    found = [
        {
            "id": str(live["id"]),
            "name": str(live["name"]),
            "cpus": int(live["vcpus"]),
            "memory_mib": int(live["ram"]),
            "disk_gib": int(live["disk"]),
            "ephemeral_gib": int(live.get("OS-FLV-EXT-DATA:ephemeral") or 0),
            "swap_mib": int(live.get("swap") or 0),
            "public": bool(live.get("os-flavor-access:is_public", True)),
            "extra_specs": dict(sorted((live.get("extra_specs") or {}).items())),
        }
        for live in session.reader.all(FLAVOR)
    ]
    return sorted(found, key=lambda one: (one["cpus"], one["memory_mib"], one["disk_gib"], one["name"]))


def images(session: Session) -> list[dict[str, Any]]:
    """Images that the user sees and can use, by name."""
    found = [
        {
            "id": str(live["id"]),
            "name": str(live.get("name") or ""),
            "visibility": str(live.get("visibility") or ""),
            "format": str(live.get("disk_format") or ""),
            "size": int(live.get("size") or 0),
            "min_disk_gib": int(live.get("min_disk") or 0),
            "min_memory_mib": int(live.get("min_ram") or 0),
            "created": str(live.get("created_at") or ""),
            "properties": {
                key: value
                for key, value in sorted(live.items())
                if key.startswith(_IMAGE_PROPERTIES) and value is not None
            },
        }
        for live in session.reader.all(IMAGE, {"status": "active"})
    ]
    return sorted(found, key=lambda one: (one["name"], one["id"]))


def _zones(session: Session, service: str) -> list[str]:
    told = _asked(session, service, "/os-availability-zone").get("availabilityZoneInfo", ())
    return sorted(str(zone["zoneName"]) for zone in told if zone.get("zoneState", {}).get("available", True))


def volume_types(session: Session) -> dict[str, Any]:
    """Types of volumes, and those that encrypt: what the cloud tells counts more than what is configured."""
    listed = _asked(session, "block-storage", "/types").get("volume_types", ())
    types = {str(one["name"]): str(one["id"]) for one in listed}
    told = _encrypting(session, types)
    configured = set(session.config.encrypted_volume_types)
    encrypted = told if told is not None else configured & set(types) if configured else None
    return {
        "volume_types": sorted(types),
        "encrypted_types": None if encrypted is None else sorted(encrypted),
        "refuted_types": sorted(configured - (encrypted or set())),
    }


def _encrypting(session: Session, types: Mapping[str, str]) -> set[str] | None:
    """Names of types that encrypt, of types by name and id; None: the cloud tells only administrators."""
    found = set()
    for name, identity in types.items():
        try:
            told = session.service("block-storage").get(f"/types/{identity}/encryption")
        except ApiError as error:
            if error.status == 403:
                return None
            if error.absent:
                continue
            with explained("asking block-storage which types encrypt"):
                raise
        if told.get("provider"):
            found.add(name)
    return found


def _external(session: Session) -> list[dict[str, str]]:
    told = _asked(session, "network", "/networks", {"router:external": "true"}).get("networks", ())
    return sorted(({"id": str(one["id"]), "name": str(one["name"])} for one in told), key=lambda one: one["name"])
