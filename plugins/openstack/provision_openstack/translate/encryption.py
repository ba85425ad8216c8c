"""Which disks must be encrypted, and by which type of volume: users of a cloud choose types, they make none."""

from collections.abc import Iterator, Mapping, Sequence

from provision.models import DiskEncryptionPolicy, Stack
from provision.spi import Capabilities, Decision, Objection, enforced
from provision.spi.peers import selected


def sealed(stack: Stack, decisions: Mapping[str, Decision]) -> Iterator[tuple[str, list[str]]]:
    """Policies that encrypt all disks and are enforced, each with the entries of its machines."""
    for name, policy in enforced(stack, decisions):
        if isinstance(policy, DiskEncryptionPolicy):
            yield name, selected(stack, policy.machines)


def is_sealed(stack: Stack, decisions: Mapping[str, Decision], entry: str) -> bool:
    """Whether all disks of the machines of an entry must be encrypted."""
    return any(entry in entries for _, entries in sealed(stack, decisions))


def type_of(written: str | None, capabilities: Capabilities, *, encrypted: bool) -> str | None:
    """The type of a disk: as written, else the first that encrypts where it must."""
    types = capabilities.facts.get("encrypted_types") or ()
    return min(types) if written is None and encrypted and types else written


def refutation(names: Sequence[str]) -> tuple[str, str]:
    """What is wrong with types of volumes that are configured to encrypt and do not, and what to do."""
    return (
        f"'provision-openstack:encryptedVolumeTypes' names {', '.join(names)}: the cloud has no such type of volumes, "
        "or says that it does not encrypt",
        "name types that the operators call encrypted, or ask them for one",
    )


def objections(stack: Stack, capabilities: Capabilities, decisions: Mapping[str, Decision]) -> Iterator[Objection]:
    """Disks of types that do not encrypt, where a policy wants them to."""
    types = capabilities.facts.get("encrypted_types") or ()
    refuted = capabilities.facts.get("refuted_types") or ()
    for name, entries in sealed(stack, decisions):
        if types and refuted:
            yield Objection(("isolation", "policies", name), *refutation(refuted), warns=True)
        for entry in entries if types else ():
            machine = stack.machines[entry]
            disks = {name: disk.type for name, disk in machine.disks.items()}
            if machine.root is not None:
                disks["root"] = machine.root.type
            for disk, kind in disks.items():
                if kind is not None and kind not in types:
                    yield Objection(
                        ("isolation", "policies", name),
                        f"disk '{disk}' of '{entry}' is of the type '{kind}', which does not encrypt",
                        f"write one of: {', '.join(types)}; or leave 'type' out",
                    )
