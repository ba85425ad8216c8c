"""Images as volumes of the stack's pool, each uploaded once."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provision.errors import EnvironmentProblem, UserError
from provision.models import BuiltinImage, FileImage, Stack
from provision.spi import Capabilities, GraphBuilder, Node
from provision_libvirt.resources import Volume
from provision_libvirt.translate.names import Names

PLATFORM = "libvirt"
MICRO = "micro"


def source_of(stack: Stack, name: str) -> object:
    """Where the image of that name comes from: the file's own images come before those built in."""
    image = stack.images.get(name)
    if image is None:
        return BuiltinImage(kind="builtin", name=name)
    return image.sources.get(PLATFORM) or image.sources.get("any")


@dataclass
class Images:
    """Adds the volumes of each image when it is first used."""

    stack: Stack
    names: Names
    capabilities: Capabilities
    directory: str
    builder: GraphBuilder
    pool: Node
    _base: dict[str, tuple[Node, str]] = field(default_factory=dict)
    _micro: tuple[Node, Node] | None = None

    def micro(self) -> tuple[Node, Node]:
        """Kernel and initramfs of the built-in image.

        Raises:
            EnvironmentProblem: the image could not be made.
        """
        if self._micro is None:
            digest = self.capabilities.facts.get("micro_digest")
            if not digest:
                raise EnvironmentProblem(
                    f"the built-in image 'micro' is not there: {self.capabilities.facts.get('micro_problem', '')}",
                    "run: provision setup",
                )
            kernel, initrd = (
                self._add(f"micro-{part}", {"format": "raw", "source": {"kind": f"micro-{part}", "digest": digest}})
                for part in ("kernel", "initrd")
            )
            self._micro = kernel, initrd
        return self._micro

    def base(self, name: str, source: FileImage) -> tuple[Node, str]:
        """The volume with the content of a file image, and its format.

        Raises:
            UserError: the file cannot be read.
        """
        if name not in self._base:
            path = Path(self.directory, source.path)
            described = {"kind": "file", "path": str(path), "digest": _digest(path, name)}
            node = self._add(name, {"format": source.format, "source": described})
            self._base[name] = node, source.format
        return self._base[name]

    def _add(self, name: str, inputs: dict[str, Any]) -> Node:
        shared = {"pool": self.pool.output("name"), "name": self.names.native("image", name), "cache": True}
        return self.builder.add(Volume, f"images/{name}", shared | inputs)


def _digest(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(
            f"image '{name}': {path} cannot be read: {error.strerror}", "the path is relative to the stack file"
        ) from None
