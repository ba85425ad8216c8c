"""Which machines and disks may lose their data: `provision:allowDestroy`, or `--allow-destroy` for one run."""

import json
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

ALLOW_DESTROY = "allowDestroy"
"""Key of the list in Pulumi's configuration, in the namespace `provision`."""

VARIABLE = "PROVISION_ALLOW_DESTROY"
"""Carries the names that `--allow-destroy` gave, separated by commas, to the processes of one run."""

DATA = "__data"
"""Output that says of an object what loses its data, so that whoever reads the state alone knows it.

`lost` is a `DataLoss`; `at` is the identity of the platform that the object lies on, where the platform has one.
"""

_FULL_KEY = f"provision:{ALLOW_DESTROY}"
_MACHINES = "machines"
_DISK = "disk-"


@dataclass(frozen=True)
class Permission:
    """Whose data may be destroyed.

    Attributes:
        configured: names and patterns, as `provision:allowDestroy` lists them.
        once: those that were given for this run alone.
    """

    configured: tuple[str, ...] = ()
    once: tuple[str, ...] = ()

    def covers(self, *names: str) -> bool:
        """Whether any of these names, by which one thing goes, is allowed."""
        return any(fnmatchcase(name, pattern) for pattern in (*self.configured, *self.once) for name in names)

    def commands(self, names: Iterable[str]) -> str:
        """What to run so that `names` are covered: for good, and for one run."""
        wanted = list(dict.fromkeys(names))
        start = len(self.configured)
        lasting = " && ".join(
            f"pulumi config set --path '{_FULL_KEY}[{start + index}]' {shlex.quote(name)}"
            for index, name in enumerate(wanted)
        )
        once = " ".join(f"--allow-destroy {shlex.quote(name)}" for name in wanted)
        return f"{lasting}; or for one run: provision up {once}"


def once(name: str) -> str:
    """What runs a program with permission for one resource."""
    return f"{VARIABLE}={shlex.quote(name)} pulumi up"


def permission(configured: object, environment: Mapping[str, str] = os.environ) -> Permission:
    """The permission that the configured value and the environment give.

    Args:
        configured: the value of `provision:allowDestroy`: a list, its JSON, or one name; None when it is not set.
        environment: of this process.
    """
    once = tuple(name for name in environment.get(VARIABLE, "").split(",") if name)
    return Permission(listed(configured), once)


def listed(value: object) -> tuple[str, ...]:
    """What a configured value lists: a list, its JSON, or one text; nothing of what cannot be read."""
    if isinstance(value, str) and value[:1] == "[":
        try:
            value = json.loads(value)
        except ValueError:
            return ()
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(str(item) for item in value) if isinstance(value, list | tuple) else ()


@dataclass(frozen=True)
class Subject:
    """What holds data, in the words of a stack file.

    Attributes:
        names: by which `provision:allowDestroy` may name it, the most precise first.
        words: such as `disk 'data' of machine 'db'`.
        machine: the machine; empty for what belongs to none.
        disk: the data disk; empty for the machine as such.
    """

    names: tuple[str, ...]
    words: str
    machine: str = ""
    disk: str = ""


def subject(name: str) -> Subject:
    """The machine or disk that a resource of that Pulumi name is, or is a part of."""
    parts = name.split("/")
    at = len(parts) - 3
    if at < 0 or parts[at] != _MACHINES:
        return Subject((name,), f"'{name}'")
    machine, part = parts[at + 1 :]
    if part.startswith(_DISK):
        disk = part.removeprefix(_DISK)
        return Subject((f"{machine}/{disk}", machine, name), f"disk '{disk}' of machine '{machine}'", machine, disk)
    return Subject((machine, name), f"machine '{machine}'", machine)
