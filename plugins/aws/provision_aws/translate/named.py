"""Images and types that the file names, held against what EC2 tells of them: before the first call."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provision.models import Machine, MemoryEncryptionPolicy, Stack
from provision.spi import EXISTING, Objection
from provision_aws.instance_types import lacks
from provision_aws.translate.images import SNAPSHOT, named
from provision_aws.translate.overrides import MachineOverrides, of
from provision_aws.translate.parts import Parts
from provision_aws.wanted import InstanceRequirements

_EVERYWHERE = ("c5", "m5", "r5", "t3")
"""Families of the architecture x86_64 that regions have long had, in all of their zones but very few."""

_USUAL_CARDS = 2


def images_of(stack: Stack) -> set[str]:
    """Ids of images and snapshots that the file gives itself."""
    names = {machine.image for machine in stack.machines.values()}
    names |= {disk.image for machine in stack.machines.values() for disk in machine.disks.values() if disk.image}
    return {named(stack, name) for name in names} - {""}


def types_of(stack: Stack, known: frozenset[str]) -> set[str]:
    """Types that are named of which EC2 must be asked whether they will do.

    Args:
        stack: what the file says.
        known: types that are known to be: a machine that asks for nothing special is sure of those that are everywhere.
    """
    parts = Parts(stack, {}, {})
    return {
        machine.size["aws"]
        for entry, machine in stack.machines.items()
        if "aws" in machine.size and not _is_sure(parts, entry, machine, known)
    }


def _is_sure(parts: Parts, entry: str, machine: Machine, known: frozenset[str]) -> bool:
    said, name = of(MachineOverrides, machine.overrides), machine.size["aws"]
    special = len(machine.nics) > _USUAL_CARDS or said.architecture != "x86_64" or said.dedicated_host is not None
    if special or parts.requirements(entry).keys() - {"nitro"}:
        return False
    return name in known and name.partition(".")[0] in _EVERYWHERE


def objections(
    stack: Stack, parts: Parts, facts: Mapping[str, Any], zones: Mapping[str, Sequence[str]]
) -> Iterator[Objection]:
    """What is wrong with what is named.

    Args:
        stack: what the file says.
        parts: what policies make of its machines.
        facts: what the account and region told; of what nobody looked at nothing is said.
        zones: by entry of machines, those that its networks are in, as far as they are known.
    """
    existing, region = facts.get(EXISTING) or {}, str(facts.get("region", ""))
    for entry, machine in stack.machines.items():
        if "images" in existing:
            yield from _image(stack, parts, entry, machine, existing["images"], region)
            yield from _disks(stack, entry, machine, existing["images"], region)
        name = machine.size.get("aws")
        if name is not None and name in existing.get("types", {}):
            yield from _type(parts, entry, machine, existing["types"][name], region, zones.get(entry, ()))


def _image(
    stack: Stack, parts: Parts, entry: str, machine: Machine, images: Mapping[str, Any], region: str
) -> Iterator[Objection]:
    identity, path = named(stack, machine.image), ("machines", entry, "image")
    if not identity:
        return
    if not identity.startswith("ami-"):
        yield Objection(path, f"machines start from no snapshot such as {identity}", "name an image (ami-…)")
        return
    told = images.get(identity)
    if told is None:
        yield _absent(path, "image", identity, region)
        return
    has, wanted = told["architecture"], of(MachineOverrides, machine.overrides).architecture
    if has != wanted:
        yield Objection(
            path,
            f"the image {identity} is of the architecture {has}, and machine '{entry}' is to be {wanted}",
            f"name another one, or write 'overrides: {{aws: {{architecture: {has}}}}}'",
        )
    if told["state"] != "available":
        yield Objection(path, f"the image {identity} is {told['state']}", "name one that is available")
    if not told["snapshot"]:
        yield Objection(path, f"the root disk of the image {identity} is not of EBS", "name one that is")
    least, root = told["size"], machine.root
    if root is not None and root.size is not None and root.size.gib < least:
        yield Objection(
            ("machines", entry, "root", "size"),
            f"the image {identity} has {least} GiB, and the root disk of machine '{entry}' {root.size.gib}",
            f"write '{least}GiB', or leave 'size' out",
        )
    if told["boot"] == "legacy-bios" and parts.about(MemoryEncryptionPolicy, entry):
        yield Objection(
            path,
            f"the image {identity} starts by BIOS, and AMD SEV-SNP needs UEFI",
            "name one that is registered for UEFI ('--boot-mode uefi')",
        )


def _disks(stack: Stack, entry: str, machine: Machine, images: Mapping[str, Any], region: str) -> Iterator[Objection]:
    for name, disk in machine.disks.items():
        identity, path = named(stack, disk.image) if disk.image else "", ("machines", entry, "disks", name, "image")
        if not identity:
            continue
        told = images.get(identity)
        if told is None:
            yield _absent(path, "snapshot" if identity.startswith(SNAPSHOT) else "image", identity, region)
        elif not told["snapshot"]:
            yield Objection(path, f"the root disk of the image {identity} is not of EBS", "name one that is")
        elif told["size"] > disk.size.gib:
            yield Objection(
                (*path[:-1], "size"),
                f"{identity} has {told['size']} GiB, and the disk '{name}' of machine '{entry}' {disk.size.gib}",
                f"write '{told['size']}GiB' or more",
            )


def _type(
    parts: Parts, entry: str, machine: Machine, told: Mapping[str, Any], region: str, zones: Sequence[str]
) -> Iterator[Objection]:
    path, name = ("machines", entry, "size"), machine.size["aws"]
    if "near" in told:
        near = " or ".join(told["near"])
        yield Objection(
            path,
            f"there is no instance type '{name}' in the region {region}",
            f"did you mean {near}?" if near else "leave 'size' out: the smallest that fits is taken",
        )
        return
    networks = [parts.stack.networks[nic.network] for nic in machine.nics if nic.network in parts.stack.networks]
    wanted = InstanceRequirements.model_validate(  # its size and generation are the person's choice
        {
            "cpus": 1,
            "memory_mib": 1,
            "architecture": of(MachineOverrides, machine.overrides).architecture,
            "nics": max(1, len(machine.nics)),
            "ipv6": any(network.cidr6 is not None for network in networks),
            "dedicated_host": parts.host(entry) is not None,
            **parts.requirements(entry),
            "nitro": False,
        }
    )
    if lacking := list(lacks(told, wanted)):
        yield Objection(
            path,
            f"the type {name} of machine '{entry}' lacks {', '.join(lacking)}",
            "name another type, or leave 'size' out: the smallest that fits is taken",
        )
    if zones and not set(zones) & set(told["zones"]):
        has = f", or zones that have it ('availability_zones'): {', '.join(told['zones'])}" if told["zones"] else ""
        yield Objection(
            path,
            f"EC2 has no {name} in {' or '.join(zones)}, where the networks of machine '{entry}' are",
            f"name another type{has}",
        )


def _absent(path: tuple[Any, ...], noun: str, identity: str, region: str) -> Objection:
    return Objection(
        path,
        f"there is no {noun} {identity} in the region {region}, or it is not shared with this account",
        "mend its id (ids differ by region), or search for it: 'kind: search' or 'kind: ssm'"
        if noun == "image"
        else "mend its id (ids differ by region)",
    )
