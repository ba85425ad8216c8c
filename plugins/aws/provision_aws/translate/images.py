"""Images of the stack file as EC2 finds them."""

from collections.abc import Mapping
from typing import Any

from provision.models import BuiltinImage, NamedImage, SearchImage, SsmImage, Stack

BUILTIN: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "micro": (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-default-{}",
        {"x86_64": "x86_64", "arm64": "arm64"},
    ),
    "debian": ("/aws/service/debian/release/12/latest/{}", {"x86_64": "amd64", "arm64": "arm64"}),
}
"""Images that every account has: the parameter that holds the id of each, and what it calls architectures."""

SNAPSHOT = "snap-"
"""How ids of snapshots begin: data disks may start from one."""


def source_of(stack: Stack, name: str) -> object:
    """Where an image comes from: the file's own images come before those that every account has."""
    image = stack.images.get(name)
    if image is None:
        return BuiltinImage(kind="builtin", name=name)
    return image.sources.get("aws") or image.sources.get("any")


def named(stack: Stack, name: str) -> str:
    """The id that the file itself gives for an image (`ami-…`, or `snap-…` for disks); empty when it is looked up."""
    source = source_of(stack, name)
    found = source.name if isinstance(source, NamedImage) else ""
    return found if found.startswith(("ami-", SNAPSHOT)) else ""


def disk_inputs(stack: Stack, name: str, architecture: str) -> dict[str, Any]:
    """The inputs of a volume that say what it begins with: a snapshot, or that of an image's root disk."""
    identity = named(stack, name)
    if identity.startswith(SNAPSHOT):
        return {"snapshot_id": identity}
    if identity:
        return {"image": {"image_id": identity, "architecture": architecture}}
    return image_inputs(stack, name, architecture)


def image_inputs(stack: Stack, name: str, architecture: str) -> dict[str, Any]:
    """The inputs of a machine that say which image it has."""
    source = source_of(stack, name)
    anew = {"choose_image_anew": True} if getattr(source, "refresh", False) else {}
    match source:
        case BuiltinImage():
            parameter, words = BUILTIN[source.name]
            search: dict[str, Any] = {"ssm_parameter": parameter.format(words[architecture])}
        case NamedImage() if source.name.startswith("ami-"):
            return {"image_id": source.name}
        case NamedImage():
            search = {"owner": "self", "image_name": source.name}
        case SsmImage():
            search = {"ssm_parameter": source.parameter}
        case SearchImage():
            search = {"owner": source.owner, "image_name": source.name}
        case _:
            raise AssertionError(f"'{name}' was refused before")
    return {"image": {**search, "architecture": architecture}, **anew}
