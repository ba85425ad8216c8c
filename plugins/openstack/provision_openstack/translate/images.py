"""Images: of the cloud by name, or files that are uploaded once."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provision.errors import UserError
from provision.models import BuiltinImage, FileImage, NamedImage, Stack
from provision.spi import Capabilities, GraphBuilder, Node
from provision_openstack import resources
from provision_openstack.sizes import newest
from provision_openstack.translate.names import Names

PLATFORM = "openstack"
BUILTIN = ("micro",)
"""Names that a stack file may use without describing them: the cloud must have images that are called so."""


def source_of(stack: Stack, name: str) -> object:
    """Where the image of that name comes from: the file's own images come before those built in."""
    image = stack.images.get(name)
    if image is None:
        return BuiltinImage(kind="builtin", name=name)
    return image.sources.get(PLATFORM) or image.sources.get("any")


def named(source: object) -> str | None:
    """What the image is called in the cloud; None for one that is uploaded."""
    return source.name if isinstance(source, BuiltinImage | NamedImage) else None


def found(capabilities: Capabilities, name: str) -> Mapping[str, Any] | None:
    """The image of that name or id in the cloud."""
    return newest(capabilities.facts.get("images") or (), name)


@dataclass
class Images:
    """Adds each image that is uploaded when it is first used."""

    stack: Stack
    names: Names
    directory: str
    builder: GraphBuilder
    _made: dict[str, Node] = field(default_factory=dict)

    def inputs(self, name: str) -> dict[str, Any]:
        """What a server says of its image.

        Raises:
            UserError: the file cannot be read.
        """
        source = source_of(self.stack, name)
        if (called := named(source)) is not None:
            return {"image": called}
        if not isinstance(source, FileImage):
            raise UserError(f"image '{name}' has no source for OpenStack", "write 'kind: named' or 'kind: file'")
        if name not in self._made:
            path = Path(self.directory, source.path)
            inputs = {
                "name": self.names.native("image", name),
                "path": str(path),
                "sha256": _digest(path, name),
                "disk_format": source.format,
            }
            self._made[name] = self.builder.add(resources.Image, f"images/{name}", inputs)
        return {"image_id": self._made[name].output("id")}


def _digest(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(
            f"image '{name}': {path} cannot be read: {error.strerror}", "the path is relative to the stack file"
        ) from None
