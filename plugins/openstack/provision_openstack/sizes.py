"""The smallest flavor that has what is asked for, and the newest image of a name."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from provision.spi import Isolates, Properties

_LARGE_KIB = 2048
_TRUE = ("1", "t", "on", "y", "yes")
"""Further spellings that Nova takes (oslo.utils, `bool_from_string`)."""

Flavor = Mapping[str, Any]
"""A flavor as the capabilities have it."""


class FlavorRequirements(Properties):
    """What a flavor must have; the smallest is taken, and one with a given name when there is one."""

    name: Annotated[str | None, Field(description="Its name or id; then only extra specs count besides.")] = None
    cpus: Annotated[int, Field(description="Virtual CPUs, at least.", ge=1)] = 1
    memory_mib: Annotated[int, Field(description="Memory in MiB, at least.", ge=1)] = 1
    disk_gib: Annotated[int, Field(description="Root disk in GiB, at least.", ge=0)] = 0
    extra_specs: Annotated[
        dict[str, str], Field(description="Extra specs that it must have."), Isolates(setting=True)
    ] = {}  # noqa: RUF012 - pydantic copies it


def smallest(flavors: Iterable[Flavor], wanted: FlavorRequirements) -> Flavor | None:
    """The flavor with the fewest CPUs, then the least memory and disk, the first by name of several; None: none fits.

    Flavors with extra specs that nobody asked for come last: they often stand for special hardware.
    """
    if wanted.name is not None:
        named = [one for one in flavors if wanted.name in (one["name"], one["id"])]
        return next((one for one in named if not _without(one["extra_specs"], wanted)), None)
    fitting = [one for one in flavors if not lacks(one, wanted)]
    return min(fitting, key=lambda one: (_special(one, wanted), *_size(one)), default=None)


def newest(images: Iterable[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """The image of that name or id; of several the newest. None: there is none."""
    alike = [one for one in images if name in (one["name"], one["id"])]
    return max(alike, key=lambda one: (one["created"], one["id"]), default=None)


def lacks(flavor: Flavor, wanted: FlavorRequirements) -> Sequence[str]:
    """What a flavor does not have of what is asked for, in words."""
    found = [
        f"{what} {flavor[name]} of {least}{unit}"
        for name, what, least, unit in (
            ("cpus", "CPUs", wanted.cpus, ""),
            ("memory_mib", "memory", wanted.memory_mib, " MiB"),
            ("disk_gib", "disk", wanted.disk_gib, " GiB"),
        )
        if flavor[name] < least
    ]
    return found + _without(flavor["extra_specs"], wanted)


def described(flavor: Flavor) -> str:
    """A flavor in a few words."""
    return f"{flavor['name']} ({flavor['cpus']} CPUs, {flavor['memory_mib']} MiB, {flavor['disk_gib']} GiB)"


def closest(flavors: Iterable[Flavor], wanted: FlavorRequirements) -> str:
    """Which flavor lacks the least, and what, as a sentence's end."""
    ranked = sorted(flavors, key=lambda one: (len(lacks(one, wanted)), *_size(one)))
    if not ranked:
        return "the cloud shows no flavors"
    return f"the closest is {described(ranked[0])}, which lacks: {', '.join(lacks(ranked[0], wanted))}"


def _without(specs: Mapping[str, str], wanted: FlavorRequirements) -> list[str]:
    return [f"{key}={value}" for key, value in sorted(wanted.extra_specs.items()) if not _has(specs, key, value)]


def _has(specs: Mapping[str, str], key: str, value: str) -> bool:
    there = specs.get(key)
    if there is None:
        return False
    if value == "large" and there.isdecimal():  # KiB: any page that is larger than the usual ones
        return int(there) >= _LARGE_KIB
    return there.lower() == value.lower() or (value == "true" and there.lower() in _TRUE)


def _size(flavor: Flavor) -> tuple[int, int, int, str]:
    return flavor["cpus"], flavor["memory_mib"], flavor["disk_gib"], flavor["name"]


def _special(flavor: Flavor, wanted: FlavorRequirements) -> bool:
    return bool(set(flavor["extra_specs"]) - set(wanted.extra_specs))
