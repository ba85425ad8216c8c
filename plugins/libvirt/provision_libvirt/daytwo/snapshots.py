"""Snapshots inside the machine's own qcow2 volumes.

They are internal ones: external ones would put a new file over each disk, which `refresh` would report, whose names the
next `up` does not know, and which would outlive the machine.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import libvirt

from provision.errors import NotFound, PlatformError, UserError
from provision.spi import DeployedMachine, RunState, Snapshot
from provision_libvirt.daytwo.machines import domain_of
from provision_libvirt.resources import guest, xml_domain
from provision_libvirt.resources.domain_model import DomainInputs
from provision_libvirt.resources.filter_guard import rules_kept
from provision_libvirt.resources.xml_tools import Element, attribute, element, from_text, to_text
from provision_libvirt.session import Session, explained

_CONFIG = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
_STATES = {"running": RunState.RUNNING, "paused": RunState.PAUSED}
_HARDWARE = (
    "memory_mib", "vcpus", "online_vcpus", "accelerator", "machine", "kernel", "initrd", "cmdline", "disks", "seed",
    "generations", "probe_channel", "firmware", "secure_boot", "tpm",
)  # fmt: skip
_LIMITS = ("cputune", "memtune", "blkiotune")


def list_snapshots(session: Session, machine: DeployedMachine) -> Sequence[Snapshot]:
    """All of a machine, oldest first.

    Raises:
        NotFound: the machine is gone.
        PlatformError: the hypervisor does not answer.
    """
    with session.own() as connection:
        domain = domain_of(connection, machine)
        with explained(f"listing the snapshots of '{machine.name}'"):
            return sorted((_described(found) for found in domain.listAllSnapshots()), key=lambda it: it.created)


def create_snapshot(session: Session, machine: DeployedMachine, name: str) -> Snapshot:
    """Keep all disks, and the memory of a machine that runs.

    Raises:
        NotFound: the machine is gone.
        UserError: the name is taken.
        PlatformError: the machine has no disk, or one that cannot hold snapshots.
    """
    with session.own() as connection:
        domain = domain_of(connection, machine)
        with explained(f"making a snapshot of '{machine.name}'"):
            if any(found.getName() == name for found in domain.listAllSnapshots()):
                raise UserError(
                    f"'{machine.name}' has a snapshot '{name}' already", "choose another name, or delete it"
                )
            _must_hold_snapshots(domain, machine.name)
            wanted = element("domainsnapshot")
            wanted.append(element("name", name))
            return _described(domain.snapshotCreateXML(to_text(wanted), 0))


def revert_snapshot(session: Session, machine: DeployedMachine, name: str) -> None:
    """Bring disks and memory back, with the filters and limits that the machine has now.

    Raises:
        NotFound: the machine or the snapshot is gone.
        PlatformError: the machine was changed since in what a snapshot cannot be without.
    """
    with session.own() as connection:
        domain = domain_of(connection, machine)
        with explained(f"reverting '{machine.name}' to the snapshot '{name}'"):
            snapshot = _find(domain, machine.name, name)
            now = domain.XMLDesc(_CONFIG)
            _must_fit(machine.name, name, snapshot, now)
            _take_over(domain, snapshot, now)
            with rules_kept(session.config.uri):  # libvirt starts it anew
                domain.revertToSnapshot(snapshot, 0)
            # The snapshot came with the definition of its time; what the last `up` defined stays the truth.
            connection.defineXML(now)


def delete_snapshot(session: Session, machine: DeployedMachine, name: str) -> None:
    """Forget one; those based on it stay.

    Raises:
        NotFound: the machine or the snapshot is gone.
        PlatformError: the hypervisor refuses.
    """
    with session.own() as connection:
        domain = domain_of(connection, machine)
        with explained(f"deleting the snapshot '{name}' of '{machine.name}'"):
            _find(domain, machine.name, name).delete(0)


def _find(domain: Any, machine: str, name: str) -> Any:
    known = {found.getName(): found for found in domain.listAllSnapshots()}
    if name in known:
        return known[name]
    there = f"there are: {', '.join(sorted(known))}" if known else "it has none"
    raise NotFound(f"the machine '{machine}' has no snapshot '{name}'", there)


def _described(snapshot: Any) -> Snapshot:
    root = from_text(snapshot.getXMLDesc(0))
    return Snapshot(
        root.findtext("name", ""),
        datetime.fromtimestamp(int(root.findtext("creationTime", "0")), UTC),
        _STATES.get(root.findtext("state", ""), RunState.STOPPED),
        root.findtext("parent/name", ""),
        bool(snapshot.isCurrent()),
    )


def _must_hold_snapshots(domain: Any, name: str) -> None:
    if guest.power(domain) == "paused":
        raise PlatformError(
            f"the machine '{name}' is paused, perhaps by a failure that a snapshot would keep",
            f"`provision status` says why; resume it with `provision power {name} on`",
        )
    disks = [disk for disk in from_text(domain.XMLDesc(0)).iterfind("devices/disk") if disk.find("readonly") is None]
    if not disks:
        raise PlatformError(
            f"the machine '{name}' has no disk that could hold a snapshot", "give it one, such as `disks: {data: …}`"
        )
    other = [attribute(disk, "target", "dev") or "?" for disk in disks if attribute(disk, "driver", "type") != "qcow2"]
    if other:
        raise PlatformError(
            f"the machine '{name}' cannot be kept as a whole: {', '.join(other)} is no qcow2 volume",
            "have its disks in the format qcow2",
        )
    sealed = [attribute(disk, "target", "dev") or "?" for disk in disks if disk.find("source/encryption") is not None]
    if sealed:  # QEMU 7.2 ends with a failed assertion when it writes memory there, and qemu-img gets no key by libvirt
        raise PlatformError(
            f"the machine '{name}' cannot be kept: {', '.join(sealed)} is encrypted, and QEMU makes no snapshots in "
            "encrypted volumes",
            "copy its data from within the guest",
        )


def _must_fit(machine: str, name: str, snapshot: Any, now: str) -> None:
    """Refuse what would undo the last `up`.

    Raises:
        PlatformError: the machine has other hardware by now.
    """
    kept = from_text(snapshot.getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE)).find("domain")
    if kept is None:
        raise PlatformError(f"the snapshot '{name}' does not say of what it was made", "delete it; it is of no use")
    was, live = xml_domain.parse(to_text(kept)), xml_domain.parse(now)
    for read in (was, live):  # what came while the machine ran stands elsewhere in its description
        read["disks"].sort(key=lambda disk: disk.path)
        read["nics"].sort(key=lambda nic: nic.mac)
    changed = [_said(field, was, live) for field in _HARDWARE if was[field] != live[field]]
    if [_card(nic) for nic in was["nics"]] != [_card(nic) for nic in live["nics"]]:
        changed.append("network cards")
    if changed:
        raise PlatformError(
            f"the machine '{machine}' was changed since the snapshot '{name}' was made: {'; '.join(changed)}",
            "set that back in the stack file and run `provision up` before; or delete the snapshot",
        )


def _said(field: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    title = (DomainInputs.model_fields[field].description or field).rstrip(".")
    if isinstance(was[field], int) and isinstance(now[field], int):
        return f"{title} (then {was[field]}, now {now[field]})"
    return title


def _card(nic: Any) -> tuple[object, ...]:
    return (nic.network, nic.mac, nic.mtu, nic.inbound_kilobytes_s, nic.outbound_kilobytes_s)


def _take_over(domain: Any, snapshot: Any, now: str) -> None:
    """Put the filters and limits of today into a snapshot: with those of its time, denied packets would pass again."""
    text = snapshot.getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE)
    root, current = from_text(text), from_text(now)
    before = to_text(root)
    for kept in (root.find("domain"), root.find("inactiveDomain")):
        if kept is not None:
            _replace_isolation(kept, current)
    if to_text(root) == before:
        return
    flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
    if snapshot.isCurrent():
        flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT
    domain.snapshotCreateXML(to_text(root), flags)


def _replace_isolation(kept: Element, current: Element) -> None:
    cards = {attribute(nic, "mac", "address"): nic for nic in current.iterfind("devices/interface")}
    for nic in kept.iterfind("devices/interface"):
        _exchange(nic, cards.get(attribute(nic, "mac", "address")), "filterref")
    disks = {attribute(disk, "target", "dev"): disk for disk in current.iterfind("devices/disk")}
    for disk in kept.iterfind("devices/disk"):
        _exchange(disk, disks.get(attribute(disk, "target", "dev")), "iotune")
    for tag in _LIMITS:
        _exchange(kept, current, tag)


def _exchange(into: Element, source: Element | None, tag: str) -> None:
    """Have the child `tag` of `into` be that of `source`, or none; in its place, so that equal ones change nothing."""
    new = None if source is None else source.find(tag)
    old = into.find(tag)
    if old is not None:
        place = list(into).index(old)
        into.remove(old)
        if new is not None:
            new_one = from_text(to_text(new))
            new_one.tail = old.tail
            into.insert(place, new_one)
    elif new is not None:
        into.append(from_text(to_text(new)))
