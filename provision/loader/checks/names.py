"""Names: what is referred to exists, what is made is unique, what was renamed is really gone."""

import re
from collections.abc import Mapping
from typing import Protocol

from provision.diagnostics import Path
from provision.loader.checks.context import Context, makes
from provision.models import Image, Machine


class _Renamable(Protocol):
    @property
    def renamed_from(self) -> str | None: ...


def check_names(context: Context) -> None:
    """Report unknown networks, locations and nearly known images, colliding names, and wrong renames."""
    stack = context.stack
    _renames(context, ("machines",), stack.machines, "machine")
    _renames(context, ("networks",), stack.networks, "network")
    for name, machine in stack.machines.items():
        at: Path = ("machines", name)
        _renames(context, (*at, "disks"), machine.disks, "disk")
        _image(context, (*at, "image"), machine.image, stack.images)
        _memory(context, (*at, "memory"), machine, stack.images)
        for disk_name, disk in machine.disks.items():
            if disk.image is not None:
                _image(context, (*at, "disks", disk_name, "image"), disk.image, stack.images)
        for index, nic in enumerate(machine.nics):
            path = (*at, "nics", index, "network")
            if nic.network not in stack.networks and context.known(*path) and context.written("networks", nic.network):
                fix = context.suggest(nic.network, stack.networks) or "declare it under 'networks:'"
                context.sink.error(path, f"there is no network '{nic.network}'", fix)
        _collision(context, name)
        _labels(context, (*at, "labels"), machine.labels)
    for name, network in stack.networks.items():
        _labels(context, ("networks", name, "labels"), network.labels)


def _memory(context: Context, path: Path, machine: Machine, images: Mapping[str, Image]) -> None:
    least = images[machine.image].least_memory if machine.image in images else None
    if least is not None and machine.memory < least and context.known(*path):
        context.sink.error(
            path,
            f"the image '{machine.image}' needs at least {least} of memory, and the machine has {machine.memory}",
            f"write 'memory: {least}' or more",
        )


def _renames(context: Context, path: Path, entries: Mapping[str, _Renamable], noun: str) -> None:
    claimed: dict[str, str] = {}
    for name, entry in entries.items():
        old, at = entry.renamed_from, (*path, name, "renamed_from")
        if old is None or not context.known(*at):
            continue
        if old == name:
            context.sink.error(at, f"the {noun} '{name}' cannot be renamed from itself", "remove 'renamed_from'")
        elif old in entries:
            context.sink.error(
                at,
                f"the {noun} '{old}' is still in the file",
                f"remove '{old}', or remove 'renamed_from' here",
            )
        elif old in claimed:
            context.sink.error(
                at,
                f"'{claimed[old]}' is already renamed from '{old}'",
                f"only one {noun} can be what '{old}' was: remove one of the two",
            )
        else:
            claimed[old] = name


def _image(context: Context, path: Path, image: str, images: Mapping[str, Image]) -> None:
    if image in images or not images or not context.known(*path) or not context.written("images", image):
        return
    near = context.is_close(image, images)
    if near:
        context.sink.warning(
            path,
            f"'{image}' is not under 'images', so it is taken as built into the platform",
            f"did you mean '{near}'?",
        )


def _collision(context: Context, name: str) -> None:
    found = context.entry_of(name)
    if found is None or not context.known("machines", found[0], "count"):
        return
    base = found[0]
    shown = makes(base, context.stack.machines[base])
    context.sink.error(
        ("machines", name),
        f"'{name}' is also the name of a machine that '{base}' makes ({shown})",
        "rename one of the two",
        key=True,
    )


def _labels(context: Context, path: Path, labels: Mapping[str, str]) -> None:
    for key in labels:
        if not key or re.search(r"[=\s]", key):
            context.sink.warning(
                (*path, key), f"no policy can select the label '{key}'", "use no '=' and no spaces in its key", key=True
            )
