"""What the cloud lets whoever runs this do, asked without doing it."""

import os
from collections.abc import Callable, Iterator, Sequence

from provision.errors import ProvisionError
from provision.spi import Capabilities, Finding
from provision_openstack import capabilities
from provision_openstack.config import OpenStackConfig
from provision_openstack.session import Session

_WORKS = frozenset({"member", "admin", "_member_", "Member"})
"""Roles that may make things under the default policy of OpenStack's services."""

_LEAST = {"compute": "2.61", "block-storage": "3.44"}
"""Microversions that are used: flavors with their extra specs (Nova, Queens); attachments (Cinder, Queens)."""

_NEEDED_EXTENSIONS = ("security-group", "port-security", "router")


def diagnose(config: OpenStackConfig, connect: Callable[[OpenStackConfig], Session] = Session) -> Sequence[Finding]:
    """Credentials, services, versions, roles and quotas; never raises.

    Args:
        config: how it is configured.
        connect: opens a session.
    """
    try:
        session = connect(config)
    except ProvisionError as problem:
        # Whoever has chosen none may want none: they use other platforms.
        return [Finding("project", False if _is_chosen(config) else None, problem.summary, problem.fix)]
    try:
        where = f" in {session.region}" if session.region else ""
        account = Finding("project", True, f"{session.project_id}{where}")
        found = capabilities.ask(session)
        return [account, *_roles(session), *_services(found), *_quotas(found)]
    except ProvisionError as problem:
        return [Finding("services", False, problem.summary, problem.fix)]
    finally:
        session.close()


def _is_chosen(config: OpenStackConfig) -> bool:
    """Whether anything says that a cloud is to be used."""
    # Others of the variables OS_*, as OS_CACERT, speak of the machine alone.
    choosing = {"OS_AUTH_URL", "OS_CLIENT_CONFIG_FILE", "OS_CLOUD"}
    return bool(config.model_fields_set) or not choosing.isdisjoint(os.environ)


def _roles(session: Session) -> Iterator[Finding]:
    roles = ", ".join(session.roles) or "none that it tells"
    if not session.roles or _WORKS & set(session.roles):
        yield Finding("roles", True, roles)
    else:
        yield Finding("roles", None, f"{roles}: these may only look", "ask for the role `member` in the project")


def _services(found: Capabilities) -> Iterator[Finding]:
    for name in found.facts["services"]:
        version, least = found.facts["microversions"].get(name, ""), _LEAST.get(name, "")
        if least and _numbers(version) < _numbers(least):
            fix = "ask the cloud's operators for a newer release"
            yield Finding(name, False, f"microversion {version or 'none'}: at least {least} is needed", fix)
        else:
            yield Finding(name, True, f"microversion {version}" if version else "answers")
    if "block-storage" not in found.facts["services"]:
        yield Finding("block-storage", None, "there is none: machines have no volumes", "use disks of the flavor")
    lacking = [name for name in _NEEDED_EXTENSIONS if name not in found.facts["extensions"]]
    if lacking:
        fix = "ask the cloud's operators to enable them"
        yield Finding("network extensions", False, f"{', '.join(lacking)} are not there", fix)


def _quotas(found: Capabilities) -> Iterator[Finding]:
    used_up = [name for name, (limit, used) in found.facts["quotas"].items() if 0 <= limit <= used]
    if used_up:
        names = ", ".join(name.replace("_", " ") for name in used_up)
        yield Finding("quotas", None, f"used up: {names}", "remove what is not needed, or ask for a higher quota")
    else:
        yield Finding("quotas", True, "something is left of each")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
