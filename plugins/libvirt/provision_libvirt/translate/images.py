"""Images as volumes of the stack's pool, each uploaded once."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provision.errors import EnvironmentProblem, UserError
from provision.models import BuiltinImage, FileImage, Stack, UrlImage
from provision.spi import Capabilities, GraphBuilder, Node, Output
from provision_libvirt.cloud import build_command
from provision_libvirt.resources import Volume
from provision_libvirt.translate.names import Names

PLATFORM = "libvirt"
MICRO = "micro"
LEAST_MEMORY_MIB = {MICRO: 80, "debian": 256}
"""Of built-in images: with less they do not start, and never say so."""


def source_of(stack: Stack, name: str) -> object:
    """Where the image of that name comes from: the file's own images come before those built in."""
    image = stack.images.get(name)
    if image is None:
        return BuiltinImage(kind="builtin", name=name)
    return image.sources.get(PLATFORM) or image.sources.get("any")


def has_root(source: object) -> bool:
    """Whether machines of the image have a disk that they boot from; the micro image runs from memory."""
    return isinstance(source, FileImage | UrlImage) or (isinstance(source, BuiltinImage) and source.name != MICRO)


def has_agent(stack: Stack, name: str) -> bool:
    """Whether the image tells by a guest agent when it is ready."""
    source = source_of(stack, name)
    if isinstance(source, BuiltinImage):
        return source.name != MICRO
    return stack.images[name].agent


def in_pool(pool: Node) -> dict[str, Output]:
    """Inputs of what lies in the stack's pool; one that was imported is known by its UUID alone."""
    return {"pool": pool.output("name"), "pool_uuid": pool.output("uuid")}


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
    _kernel: dict[str, tuple[Node, Node]] = field(default_factory=dict)

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

    def base(self, name: str, source: FileImage | UrlImage | BuiltinImage) -> tuple[Node, str]:
        """The volume with the content of an image, and its format.

        Raises:
            EnvironmentProblem: the image has not been built.
            UserError: the file cannot be read.
        """
        if isinstance(source, BuiltinImage):
            name = self._name(source.name)  # whatever the file calls it, it is uploaded once
        if name not in self._base:
            format_: str = "qcow2"
            if isinstance(source, BuiltinImage):
                described = self._built(source.name, "disk")
            elif isinstance(source, UrlImage):
                described, format_ = {"kind": "url", "url": source.url, "digest": source.sha256}, source.format
            else:
                path, format_ = Path(self.directory, source.path), source.format
                described = {"kind": "file", "path": str(path), "digest": _digest(path, name)}
            inputs = {"format": format_, "source": described, **self._refreshed(source)}
            self._base[name] = self._add(name, inputs), format_
        return self._base[name]

    def kernel(self, source: BuiltinImage) -> tuple[Node, Node]:
        """Kernel and initramfs of a full image that was built here.

        Raises:
            EnvironmentProblem: it has not been built.
        """
        name = source.name
        if name not in self._kernel:
            kernel, initrd = (
                self._add(
                    f"{self._name(name)}-{part}",
                    {"format": "raw", "source": self._built(name, part), **self._refreshed(source)},
                )
                for part in ("kernel", "initrd")
            )
            self._kernel[name] = kernel, initrd
        return self._kernel[name]

    def _refreshed(self, source: object) -> dict[str, Any]:
        """Whether the newest build is asked for: by one of the file's names for the image."""
        if not isinstance(source, BuiltinImage):
            return {}
        said = [source_of(self.stack, machine.image) for machine in self.stack.machines.values()]
        asked = [one for one in said if isinstance(one, BuiltinImage) and one.name == source.name and one.refresh]
        return {"refresh": True} if asked else {}

    def _name(self, builtin: str) -> str:
        """What a built-in image is called among those of the file."""
        return f"{builtin}-built-in" if builtin in self.stack.images else builtin

    def _built(self, name: str, part: str) -> dict[str, Any]:
        if name not in (self.capabilities.facts.get("images") or {}):
            raise EnvironmentProblem(
                f"the image '{name}' has not been built on this machine", f"run: {build_command(name)}"
            )
        return {"kind": "built", "image": name, "part": part}

    def _add(self, name: str, inputs: dict[str, Any]) -> Node:
        shared = {**in_pool(self.pool), "name": self.names.native("image", name), "cache": True}
        return self.builder.add(Volume, f"images/{name}", shared | inputs)


def _digest(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(
            f"image '{name}': {path} cannot be read: {error.strerror}", "the path is relative to the stack file"
        ) from None
