"""`compute:Server`: a machine."""

import ipaddress
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from provision.errors import CreatedButUnhealthy, ForeignObject, PlatformError, RetriableError
from provision.spi import Checked, CheckRequest, ChoiceRequest, Created, CreateRequest, DataLoss, Operation
from provision_openstack.errors import may_pass, server_fault
from provision_openstack.kinds import PORT, SERVER
from provision_openstack.ownership import METADATA_KEY, Owner, made_by, plain_metadata
from provision_openstack.reading import Live
from provision_openstack.resources import choosing, server_changes
from provision_openstack.resources.base import Native
from provision_openstack.resources.growing import shrunk
from provision_openstack.resources.roots import boots_from, root_as_it_is, size_apart
from provision_openstack.resources.server_model import ServerInputs, ServerOutputs
from provision_openstack.session import Session
from provision_openstack.sizes import FlavorRequirements

_VOLUME_TYPES = "2.67"
_IN_USE = re.compile(r"Port (?P<port>[0-9a-f-]{36}) is still in use")
_STEADY = frozenset({
    "ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED", "RESCUE", "SHELVED", "SHELVED_OFFLOADED", "VERIFY_RESIZE",
})  # fmt: skip
_HARMLESS = frozenset({"image_snapshot", "image_backup", "image_uploading", "image_pending_upload"})
"""Tasks beside which a server can be used."""


class Server(Native[ServerInputs, ServerOutputs]):
    """A server. It is ready when Nova says that it is active; what is in it may take longer."""

    token = "compute:Server"
    Inputs = ServerInputs
    Outputs = ServerOutputs
    kind = SERVER
    changing: ClassVar[Mapping[str, str]] = {"name": "name"}
    waits_until_gone = True
    schema_version = 1
    upgrades: ClassVar[Mapping[int, Any]] = MappingProxyType({0: size_apart})

    def loses_data(self, inputs: ServerInputs) -> DataLoss:
        """What is on its own disk, which has no other life than its own."""
        if inputs.disposable or inputs.boot_volume_id is not None:
            return DataLoss.NEVER
        kept = inputs.root_volume is not None and not inputs.root_volume.delete_on_termination
        return DataLoss.REPLACED if kept else DataLoss.REMOVED

    def check(self, request: CheckRequest) -> Checked:
        """Its root volume only ever grows."""
        return Checked(request.inputs, shrunk(request, "root_size_gib"))

    def create(self, request: CreateRequest[ServerInputs]) -> Created[ServerOutputs]:
        """Make it; once more where hosts refused it one after the other.

        Nova tries few hosts by itself, and servers that must lie apart and are made together take them from each other.
        """
        try:
            return super().create(request)
        except CreatedButUnhealthy as error:
            if not may_pass(error.reasons):
                raise
            request.operation.report(f"{error.summary}: it is made once more")
            return super().create(request)  # it takes away what is left of the first

    def choose(self, request: ChoiceRequest) -> str | None:
        """The smallest flavor that has what is asked for, and the newest image of a name.

        Raises:
            UserError: there is none; the message says what comes closest.
        """
        session: Session = request.operation.session
        if request.field == "image_id":
            name = request.inputs.get("image")
            return None if name is None else choosing.image(session, str(name))
        wanted = request.inputs.get("requirements")
        return None if wanted is None else choosing.flavor(session, FlavorRequirements.model_validate(wanted))

    def body(self, session: Session, inputs: ServerInputs) -> dict[str, Any]:
        """As wanted; never with an address or group that Nova chooses."""
        user_data = inputs.user_data
        return {
            "name": inputs.name,
            "flavorRef": inputs.flavor_id,
            "imageRef": None if inputs.root_volume is not None else inputs.image_id,
            "block_device_mapping_v2": boots_from(inputs),
            "networks": [{"port": nic.port_id} for nic in inputs.nics] or "none",
            "key_name": inputs.key_name,
            "user_data": user_data.get_secret_value() if user_data is not None else None,
            "config_drive": inputs.config_drive,
            "availability_zone": inputs.availability_zone,
        }

    def marked(self, body: dict[str, Any], inputs: ServerInputs, owner: Owner) -> dict[str, Any]:
        """In its metadata."""
        return {**body, "metadata": {**inputs.metadata, METADATA_KEY: owner.mark}}

    def posted(self, session: Session, body: dict[str, Any], **beside: Any) -> Live:
        """With the hints beside it."""
        hints = body.pop("hints", None)
        typed = any("volume_type" in one for one in body.get("block_device_mapping_v2") or ())
        whole = {"server": body, **({"os:scheduler_hints": hints} if hints else {})}
        answer = session.compute.post("/servers", whole, version=_VOLUME_TYPES if typed else self.kind.version)
        made: Live = {"id": answer["server"]["id"]}
        return made

    def made(self, session: Session, inputs: ServerInputs, owner: Owner) -> Live:
        """Says who has its ports; waits for those that an earlier server of the stack is about to leave.

        Raises:
            ForeignObject: somebody else's server has one.
        """
        try:
            return super().made(session, inputs, owner)
        except RetriableError as error:
            if (found := _IN_USE.search(error.summary)) is None:
                raise
            raise _holder(session, found["port"], inputs.stack_id) or error from None

    def make(self, session: Session, inputs: ServerInputs, owner: Owner) -> Live:
        """One call."""
        body = {name: value for name, value in self.body(session, inputs).items() if value is not None}
        group = {"group": inputs.server_group_id} if inputs.server_group_id is not None else {}
        return self.posted(session, self.marked(body, inputs, owner) | {"hints": {**inputs.scheduler_hints, **group}})

    def ready(self, live: Live) -> bool | str:
        """Nothing is under way with it."""
        state = self.kind.state(live)
        if state == "ERROR":
            reason, fix = server_fault(live)
            return f"{reason} ({fix}; `--replace` makes it anew)"
        task = live.get("OS-EXT-STS:task_state")
        return state in _STEADY and (task is None or task in _HARMLESS)

    def broken(self, live: Live) -> bool:
        """It never ran."""
        return self.kind.state(live) == "ERROR"

    def change(self, operation: Operation, live: Live, inputs: ServerInputs, *, fresh: bool) -> bool:
        """What cannot be had by the call that makes it, and what may change later."""
        if fresh:
            return server_changes.after_creation(operation, live, inputs)
        return server_changes.bring_in_line(operation, live, inputs, self._ports(operation.session, live))

    def differing(self, session: Session, live: Live, inputs: ServerInputs) -> dict[str, Any]:
        """A locked server is unlocked for any change, and then locked again."""
        fields = super().differing(session, live, inputs)
        if fields and live.get("locked"):
            server_changes.unlock(session, str(live["id"]))
        return fields

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call, or two for a locked one: what the stack has locked it may remove."""
        if live.get("locked"):
            server_changes.unlock(session, identity)
        super().remove(session, identity, live)

    def stuck(self, identity: str, live: Live) -> None:
        """Nova gave up.

        Raises:
            PlatformError: it says so.
        """
        if self.kind.state(live) == "ERROR" and live.get("OS-EXT-STS:task_state") is None:
            reason, _ = server_fault(live)
            raise PlatformError(f"removing the server {identity}: {reason}", "run again, or ask the cloud's operators")

    def seen(self, session: Session, live: Live, recorded: ServerInputs | None) -> dict[str, Any]:
        """As shown; what Nova does not tell is taken from what is recorded."""
        image = live["image"]["id"] if live.get("image") else None
        volumes = [str(one["id"]) for one in live.get("os-extended-volumes:volumes_attached") or ()]
        values: dict[str, Any] = {
            "name": live["name"],
            "flavor_id": live["flavor"]["id"],
            "image_id": image,
            "boot_volume_id": volumes[0] if image is None and volumes else None,
            "nics": [{"port_id": one} for one in self._order(session, live, recorded)],
            "key_name": live.get("key_name"),
            "config_drive": bool(live.get("config_drive")),
            "metadata": plain_metadata(live.get("metadata")),
            "power": "running" if self.kind.state(live) in ("ACTIVE", "RESCUE", "VERIFY_RESIZE") else "stopped",
            "locked": bool(live.get("locked")),
        }
        if recorded is None:
            return values
        if self.kind.state(live) in ("ERROR", "BUILD"):
            values["power"] = recorded.power
        if image is None and recorded.image_id is not None:  # it boots from a volume that was made from the image
            values |= {"image_id": recorded.image_id, "boot_volume_id": None, **root_as_it_is(session, live, recorded)}
        if recorded.boot_volume_id in volumes:
            values["boot_volume_id"] = recorded.boot_volume_id
        zone = live.get("OS-EXT-AZ:availability_zone")
        return values | {
            "requirements": recorded.requirements,
            "image": recorded.image,
            "user_data": recorded.user_data,
            "availability_zone": zone
            if recorded.availability_zone is not None and zone
            else recorded.availability_zone,
            "server_group_id": recorded.server_group_id,
            "scheduler_hints": recorded.scheduler_hints,
            "disposable": recorded.disposable,
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Where it is, and how."""
        addresses = {
            ipaddress.ip_address(one["addr"])
            for some in (live.get("addresses") or {}).values()
            for one in some
            if one.get("OS-EXT-IPS:type", "fixed") == "fixed"
        }
        return {
            "status": live.get("status") or "",
            "addresses": [str(one) for one in sorted(addresses, key=lambda one: (one.version, int(one)))],
            "host_id": live.get("hostId") or "",
            "availability_zone": live.get("OS-EXT-AZ:availability_zone") or "",
            "created": live.get("created") or "",
        }

    def _order(self, session: Session, live: Live, recorded: ServerInputs | None) -> list[str]:
        """Ids of its ports: those that are recorded in that order, then others."""
        there = self._ports(session, live)
        known = [nic.port_id for nic in recorded.nics] if recorded is not None else []
        return [one for one in known if one in there] + [one for one in there if one not in known]

    def _ports(self, session: Session, live: Live) -> list[str]:
        identity = str(live["id"])
        if session.is_touched(identity):
            ports = list(session.reader.all(PORT, {"device_id": identity}))
        else:
            ports = [port for port in session.reader.survey(PORT).values() if port.get("device_id") == identity]
        return sorted(str(port["id"]) for port in ports)


def _holder(session: Session, identity: str, stack_id: str) -> ForeignObject | None:
    """Who has a port; None when it is the stack itself, whose server may be going."""
    port = session.reader.look(PORT, identity)
    server = str((port or {}).get("device_id") or "")
    live = session.reader.look(SERVER, server) if server else None
    if port is None or (live is not None and made_by(SERVER.place, live, stack_id)) or not server:
        return None
    return ForeignObject(
        f"the port {identity} is in use by the server {server}, which is not this stack's; it was not touched",
        "take the port off that server by hand, or give the machine another one",
    )
