"""`compute:ServerGroup`: servers that are to be together or apart."""

from typing import Any

from provision_openstack.kinds import SERVER_GROUP
from provision_openstack.ownership import Owner, plain_name
from provision_openstack.reading import Live
from provision_openstack.resources.base import Native
from provision_openstack.resources.placing_model import ServerGroupInputs, ServerGroupOutputs
from provision_openstack.session import Session


class ServerGroup(Native[ServerGroupInputs, ServerGroupOutputs]):
    """A server group. Servers join it when they are made, and never leave it."""

    token = "compute:ServerGroup"
    Inputs = ServerGroupInputs
    Outputs = ServerGroupOutputs
    kind = SERVER_GROUP

    def body(self, session: Session, inputs: ServerGroupInputs) -> dict[str, Any]:
        """As wanted."""
        limit = inputs.max_server_per_host
        return {"policy": inputs.policy, "rules": None if limit is None else {"max_server_per_host": limit}}

    def marked(self, body: dict[str, Any], inputs: ServerGroupInputs, owner: Owner) -> dict[str, Any]:
        """By its name."""
        return {"name": owner.named(inputs.name), **body}

    def seen(self, session: Session, live: Live, recorded: ServerGroupInputs | None) -> dict[str, Any]:
        """Its name without the mark."""
        return {
            "name": plain_name(str(live["name"])),
            "policy": live.get("policy"),
            "max_server_per_host": (live.get("rules") or {}).get("max_server_per_host"),
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """As shown."""
        return {"group_name": live["name"], "members": sorted(live.get("members") or ())}
