"""`network:QosPolicy`: limits that ports and networks refer to, with its rules."""

from collections.abc import Mapping
from typing import Any, ClassVar

from provision.spi import Operation, Replacement
from provision_openstack.kinds import QOS_POLICY
from provision_openstack.reading import Live
from provision_openstack.resources.base import Native
from provision_openstack.resources.group_model import QosPolicyInputs, QosPolicyOutputs
from provision_openstack.resources.security_group import sweep
from provision_openstack.session import Session

_BANDWIDTH = ("bandwidth_limit", "bandwidth_limit_rule", "bandwidth_limit_rules")
_DSCP = ("dscp_marking", "dscp_marking_rule", "dscp_marking_rules")


class QosPolicy(Native[QosPolicyInputs, QosPolicyOutputs]):
    """A QoS policy. One in use cannot be removed, so a new one is made first.

    Neutron makes it without rules, which follow: until they are there it limits nothing, so it is handed out only then.
    """

    token = "network:QosPolicy"
    Inputs = QosPolicyInputs
    Outputs = QosPolicyOutputs
    kind = QOS_POLICY
    replacement = Replacement.CREATE_FIRST
    changing: ClassVar[Mapping[str, str]] = {"name": "name"}

    def body(self, session: Session, inputs: QosPolicyInputs) -> dict[str, Any]:
        """Without its rules."""
        return {"name": inputs.name}

    def change(self, operation: Operation, live: Live, inputs: QosPolicyInputs, *, fresh: bool) -> bool:
        """Its rules."""
        session: Session = operation.session
        path = f"{self.kind.path}/{live['id']}"
        if not fresh:
            sweep(self, operation, str(live["id"]), inputs.stack_id)
        limits = {rule["direction"]: rule for rule in _rules(live, "bandwidth_limit")}
        changed = False
        for limit in inputs.bandwidth_limits:
            wanted = limit.model_dump()
            rule = limits.pop(limit.direction, None)
            if rule is None or any(rule.get(name) != value for name, value in wanted.items()):
                _said(session, path, _BANDWIDTH, rule, wanted)
                changed = True
        marks = _rules(live, "dscp_marking")
        if inputs.dscp_mark is not None and [rule["dscp_mark"] for rule in marks] != [inputs.dscp_mark]:
            _said(session, path, _DSCP, marks[0] if marks else None, {"dscp_mark": inputs.dscp_mark})
            changed, marks = True, marks[1:]
        elif inputs.dscp_mark is not None:
            marks = []
        for names, rules in ((_BANDWIDTH, limits.values()), (_DSCP, marks)):
            for rule in rules:
                session.network.delete(f"{path}/{names[2]}/{rule['id']}")
                changed = True
        return changed

    def seen(self, session: Session, live: Live, recorded: QosPolicyInputs | None) -> dict[str, Any]:
        """As shown."""
        marks = _rules(live, "dscp_marking")
        return {
            "name": live.get("name") or "",
            "bandwidth_limits": [
                {
                    "direction": rule["direction"],
                    "max_kbps": rule["max_kbps"],
                    "max_burst_kbps": rule.get("max_burst_kbps") or 0,
                }
                for rule in sorted(_rules(live, "bandwidth_limit"), key=lambda rule: str(rule["direction"]))
            ],
            "dscp_mark": marks[0]["dscp_mark"] if marks else None,
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Whose it is."""
        return {"project_id": live.get("project_id") or ""}


def _rules(live: Live, kind: str) -> list[Live]:
    return [rule for rule in live.get("rules") or () if rule.get("type") == kind]


def _said(session: Session, path: str, names: tuple[str, str, str], rule: Live | None, wanted: dict[str, Any]) -> None:
    _, one, many = names
    if rule is None:
        session.network.post(f"{path}/{many}", {one: wanted})
    else:
        session.network.put(f"{path}/{many}/{rule['id']}", {one: wanted})
