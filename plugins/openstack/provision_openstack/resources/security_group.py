"""`network:SecurityGroup`: what may reach ports, and what they may reach; empty when it is made."""

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar

from provision.errors import PlatformError
from provision.spi import Operation, Replacement
from provision_openstack.errors import ApiError, explained, is_absent
from provision_openstack.kinds import SECURITY_GROUP
from provision_openstack.ownership import Owner, made_by, stack_of
from provision_openstack.reading import Live
from provision_openstack.resources.base import Native
from provision_openstack.resources.group_model import SecurityGroupInputs, SecurityGroupOutputs
from provision_openstack.session import Session


class SecurityGroup(Native[SecurityGroupInputs, SecurityGroupOutputs]):
    """A security group. A group in use cannot be removed, so a new one is made first.

    Each has a random part in its mark, and is never adopted by another run, since what is found may be the live one.
    What interrupted runs left is removed when the group is changed.
    """

    token = "network:SecurityGroup"
    Inputs = SecurityGroupInputs
    Outputs = SecurityGroupOutputs
    kind = SECURITY_GROUP
    replacement = Replacement.CREATE_FIRST
    changing: ClassVar[Mapping[str, str]] = {"name": "name"}

    def body(self, session: Session, inputs: SecurityGroupInputs) -> dict[str, Any]:
        """Clouds that know of stateful groups only need not be told."""
        return {"name": inputs.name, "stateful": None if inputs.stateful else False}

    def in_line(
        self, operation: Operation, identity: str, live: Live, inputs: SecurityGroupInputs, *, fresh: bool
    ) -> Live:
        """What becomes of a new group is known without another look."""
        if not fresh:
            return super().in_line(operation, identity, live, inputs, fresh=fresh)
        with explained(f"changing the {self.kind.noun} {identity}"):
            self.change(operation, live, inputs, fresh=fresh)
        doomed = _doomed(live, inputs)
        return {
            **live,
            "security_group_rules": [one for one in live.get("security_group_rules") or () if one not in doomed],
        }

    def change(self, operation: Operation, live: Live, inputs: SecurityGroupInputs, *, fresh: bool) -> bool:
        """Take away what Neutron put in, and what is foreign in an exclusive group; remove what runs left."""
        session: Session = operation.session
        if not fresh:
            sweep(self, operation, str(live["id"]), inputs.stack_id)
        doomed = _doomed(live, inputs)
        asks = [partial(_remove_rule, session, str(rule["id"])) for rule in doomed]
        session.together(*asks)
        return bool(doomed)

    def seen(self, session: Session, live: Live, recorded: SecurityGroupInputs | None) -> dict[str, Any]:
        """Its rules only where they are not wanted."""
        exclusive = recorded is not None and recorded.exclusive
        return {
            "name": live.get("name") or "",
            "stateful": bool(live.get("stateful", True)),
            "exclusive": exclusive,
            "foreign_rules": _found(live) if exclusive else [],
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """What is foreign in it."""
        return {"found_rules": _found(live)}


def sweep(kind: Native[Any, Any], operation: Operation, identity: str, stack_id: str) -> None:
    """Remove what interrupted runs of a resource left beside its live object; what is in use stays."""
    session: Session = operation.session
    owner = Owner(stack_id, operation.urn)
    if not stack_id:
        return
    for live in session.reader.left(kind.kind, lambda live: owner.made(kind.kind.place, live)):
        other = str(live["id"])
        if other == identity:
            continue
        operation.report(f"removing the {kind.kind.noun} {other}, which an earlier run left")
        with contextlib.suppress(PlatformError), explained(f"removing the {kind.kind.noun} {other}"):
            try:
                kind.service_of(session).delete(f"{kind.kind.path}/{other}")
            except ApiError as error:
                if error.status != 409 and not is_absent(error):
                    raise


def _remove_rule(session: Session, identity: str) -> None:
    try:
        session.network.delete(f"/security-group-rules/{identity}")
    except ApiError as error:
        if not is_absent(error):
            raise


def _found(live: Live) -> list[str]:
    stack_id = stack_of("description", live)
    return sorted(str(rule["id"]) for rule in _foreign(live.get("security_group_rules") or [], stack_id))


def _doomed(live: Live, inputs: SecurityGroupInputs) -> list[Live]:
    """Rules that must not be in a group."""
    rules = live.get("security_group_rules") or []
    doomed = [rule for rule in rules if _is_implicit(rule)]
    if inputs.exclusive and inputs.stack_id:
        doomed += [rule for rule in _foreign(rules, inputs.stack_id) if rule not in doomed]
    return doomed


def _is_implicit(rule: Live) -> bool:
    """Whether Neutron, or the cloud's administrator, put it into every new group: everything may go out."""
    return bool(
        rule.get("direction") == "egress"
        and not any(
            rule.get(name)
            for name in ("protocol", "remote_ip_prefix", "remote_group_id", "remote_address_group_id", "description")
        )
    )


def _foreign(rules: list[Live], stack_id: str) -> Iterator[Live]:
    return (rule for rule in rules if not made_by("description", rule, stack_id))
