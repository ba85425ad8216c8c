"""`image:Image`: a file that is uploaded once, and checked."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provision.errors import UserError
from provision.spi import Operation
from provision_openstack.kinds import IMAGE
from provision_openstack.ownership import PROPERTY_KEY, Owner
from provision_openstack.reading import Live
from provision_openstack.resources.base import Native
from provision_openstack.resources.storage_model import ImageInputs, ImageOutputs
from provision_openstack.session import Session

_PATCH = "application/openstack-images-v2.1-json-patch"
_OWN = frozenset({
    "checksum", "container_format", "created_at", "direct_url", "disk_format", "file", "id", "locations", "min_disk",
    "min_ram", "name", "os_hash_algo", "os_hash_value", "os_hidden", "owner", "protected", "schema", "self", "size",
    "status", "stores", "tags", "updated_at", "virtual_size", "visibility", "owner_specified.openstack.md5",
    "owner_specified.openstack.object", "owner_specified.openstack.sha256", PROPERTY_KEY,
})  # fmt: skip
"""Fields of an image that are not properties of the user's (API reference of Glance, "Images")."""


class Image(Native[ImageInputs, ImageOutputs]):
    """An image: recorded by the first call and uploaded by the second; one that was interrupted is uploaded anew."""

    token = "image:Image"
    Inputs = ImageInputs
    Outputs = ImageOutputs
    kind = IMAGE

    def body(self, session: Session, inputs: ImageInputs) -> dict[str, Any]:
        """Without its content."""
        return {
            "name": inputs.name,
            "disk_format": inputs.disk_format,
            "container_format": inputs.container_format,
            "visibility": inputs.visibility,
            "min_disk": inputs.min_disk_gib,
            "min_ram": inputs.min_ram_mib,
            "protected": inputs.protected,
            **inputs.properties,
            "owner_specified.openstack.sha256": inputs.sha256,
        }

    def marked(self, body: dict[str, Any], inputs: ImageInputs, owner: Owner) -> dict[str, Any]:
        """In a property."""
        return {**body, PROPERTY_KEY: owner.mark}

    def make(self, session: Session, inputs: ImageInputs, owner: Owner) -> Live:
        """Nothing is made of a file that is another one than was meant.

        Raises:
            UserError: it is another one, or cannot be read.
        """
        _check(inputs)
        return super().make(session, inputs, owner)

    def ready(self, live: Live) -> bool | str:
        """It is there; what waits for its content is uploaded later."""
        state = self.kind.state(live)
        if state in ("killed", "deactivated"):
            return f"Glance says that it is '{state}'"
        return state in ("active", "queued")

    def change(self, operation: Operation, live: Live, inputs: ImageInputs, *, fresh: bool) -> bool:
        """Its content, when it has none yet, and its properties."""
        session: Session = operation.session
        identity = str(live["id"])
        changed = False
        if not fresh:
            changes = _patch(live, self._wanted(session, operation, live, inputs))
            if changes:
                session.image.patch(f"/images/{identity}", changes, content_type=_PATCH)
                changed = True
        if self.kind.state(live) == "queued":
            path = _check(inputs)
            operation.report(f"uploading {path.name}")
            session.image.upload(f"/images/{identity}/file", lambda: path.open("rb"))
            changed = True
        return changed

    def in_line(self, operation: Operation, identity: str, live: Live, inputs: ImageInputs, *, fresh: bool) -> Live:
        """Also its content is there."""
        now = super().in_line(operation, identity, live, inputs, fresh=fresh)
        if self.kind.state(now) == "queued":
            self.unhealthy(operation, identity, now, "Glance did not keep what was uploaded")
        return now

    def take_away(self, operation: Operation, live: Live) -> None:
        """One that was protected by the stack is let go first."""
        if live.get("protected"):
            change = [{"op": "replace", "path": "/protected", "value": False}]
            operation.session.image.patch(f"/images/{live['id']}", change, content_type=_PATCH)
        super().take_away(operation, live)

    def seen(self, session: Session, live: Live, recorded: ImageInputs | None) -> dict[str, Any]:
        """Where its content came from Glance does not know."""
        path = recorded.path if recorded is not None else ""
        return {
            "name": live.get("name") or "",
            "path": path or str(live["id"]),
            "sha256": live.get("owner_specified.openstack.sha256") or "",
            "disk_format": live.get("disk_format"),
            "container_format": live.get("container_format"),
            "visibility": live.get("visibility"),
            "min_disk_gib": live.get("min_disk") or 0,
            "min_ram_mib": live.get("min_ram") or 0,
            "protected": bool(live.get("protected")),
            "properties": _properties(live),
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """As shown."""
        digest = f"{live.get('os_hash_algo')}:{live.get('os_hash_value')}" if live.get("os_hash_value") else ""
        return {"status": live.get("status") or "", "size_bytes": live.get("size") or 0, "checksum": digest}

    def _wanted(self, session: Session, operation: Operation, live: Live, inputs: ImageInputs) -> dict[str, Any]:
        wanted = self.body(session, inputs)
        for fixed in ("disk_format", "container_format", "owner_specified.openstack.sha256"):
            del wanted[fixed]
        if inputs.stack_id:
            wanted[PROPERTY_KEY] = Owner(inputs.stack_id, operation.urn).mark
        return wanted


def _properties(live: Live) -> dict[str, str]:
    return {
        key: str(value)
        for key, value in live.items()
        if key not in _OWN and not key.startswith("os_glance_") and value is not None
    }


def _patch(live: Live, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    def path(key: str) -> str:
        return "/" + key.replace("~", "~0").replace("/", "~1")

    more = [
        {"op": "replace" if key in live else "add", "path": path(key), "value": value}
        for key, value in wanted.items()
        if live.get(key) != value
    ]
    fewer = [{"op": "remove", "path": path(key)} for key in _properties(live) if key not in wanted]
    return more + fewer


def _check(inputs: ImageInputs) -> Path:
    path = Path(inputs.path)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"image '{inputs.name}': {path} cannot be read: {error.strerror}", "mend the path") from None
    if digest != inputs.sha256:
        raise UserError(
            f"image '{inputs.name}': {path} is another file than was meant: its SHA-256 is {digest}, "
            f"not {inputs.sha256}",
            "fetch it again, or write the right checksum",
        )
    return path
