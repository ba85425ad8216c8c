"""Kinds of values that Pulumi's protocol knows and JSON does not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provision.spi.properties import Unknown


@dataclass(frozen=True, slots=True)
class SecretValue:
    """A value that is encrypted in state and masked in displays; it may be, or contain, unknowns."""

    value: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class OutputValue:
    """A value with what the engine knows about it.

    Attributes:
        value: the value, or `UNKNOWN`.
        secret: whether it is secret.
        dependencies: URNs of the resources that it comes from.
    """

    value: Any = field(repr=False)
    secret: bool = False
    dependencies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asset:
    """A file's content, path or address; with only a hash where the engine leaves contents out."""

    text: str | None = None
    path: str | None = None
    uri: str | None = None
    hash: str = ""


@dataclass(frozen=True, slots=True)
class Archive:
    """A tree of files: assets and archives by name, or a path or address; only a hash where contents are left out."""

    assets: Mapping[str, "Asset | Archive"] | None = None
    path: str | None = None
    uri: str | None = None
    hash: str = ""


@dataclass(frozen=True, slots=True)
class ResourceReference:
    """A resource as a value; `id` is None for a component and `UNKNOWN` before the resource exists."""

    urn: str
    id: str | Unknown | None = None
    package_version: str = ""
    name: str = ""
    type: str = ""
