"""Disks and network cards of a running machine: plugged in, changed and pulled while it runs.

What the guest has is changed first and what the next start uses afterwards, with the places that the hypervisor chose:
so both say the same, and a change that fails on the way leaves the machine as it is described.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import libvirt

from provision.errors import PlatformError
from provision.spi import Operation, Pending
from provision_libvirt.resources import xml_domain
from provision_libvirt.resources.domain_model import Disk, DomainInputs, Nic
from provision_libvirt.resources.filter_guard import rules_kept
from provision_libvirt.resources.filter_hold import old_rules_held
from provision_libvirt.resources.xml_places import device_key, has_port
from provision_libvirt.resources.xml_tools import NAMESPACE, Element, from_text, to_text

UNPLUG_SECONDS = 60.0
"""How long a guest may take to release a device: its system must agree."""
_LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
_PENDING = "already in the process of unplug"
_NO_PORT = ("No more available PCI slots", "no available hotpluggable", "does not support hotplugging")


def identity(disk: Disk) -> str:
    """What tells a disk from the machine's others."""
    return disk.serial or disk.path


def needs_restart(live: Mapping[str, Any], wanted: DomainInputs) -> bool:
    """Whether a disk or network card that stays is to be another than it is."""
    disks = {identity(disk): disk for disk in live["disks"]}
    nics = {nic.mac: _card(nic) for nic in live["nics"]}
    return any(disks.get(identity(disk), disk) != disk for disk in wanted.disks) or any(
        nics.get(nic.mac, _card(nic)) != _card(nic) for nic in wanted.nics
    )


def _card(nic: Nic) -> tuple[object, ...]:
    """What of a network card stays as it is while the machine runs."""
    return (
        nic.network, nic.mac, nic.mtu, nic.inbound_kilobytes_s, nic.outbound_kilobytes_s, nic.isolated,
        nic.generation, nic.settings,
    )  # fmt: skip


def plug(operation: Operation, domain: Any, live: Mapping[str, Any], wanted: DomainInputs, text: str) -> None:
    """Change filters and cables of cards, and plug in what is new; `text` is the definition to come.

    Raises:
        libvirt.libvirtError: the hypervisor refuses.
        PlatformError: the machine has no room for another device.
    """
    nics = {nic.mac: nic for nic in live["nics"]}
    described = {key: it for it in from_text(text).iterfind("devices/*") if (key := device_key(it)) is not None}
    for nic in wanted.nics:
        now = nics.get(nic.mac)
        if now is None:
            operation.report(f"plugging in a card on '{nic.network}'")
            with rules_kept(operation.session.config.uri):
                _attach(domain, described["interface", nic.mac], wanted)
        elif _changeable(now) != _changeable(nic):
            changed = xml_domain.live_nic_changed(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE), nic)
            if changed is not None:
                with old_rules_held(operation.session.config.uri):
                    domain.updateDeviceFlags(changed, _LIVE)
    there = {identity(disk) for disk in live["disks"]}
    for disk in wanted.disks:
        if identity(disk) not in there:
            operation.report(f"plugging in the disk '{identity(disk)}'")
            _attach(domain, described["disk", identity(disk)], wanted)


def _changeable(nic: Nic) -> tuple[object, ...]:
    return (nic.filter, nic.parameters, nic.connected)


def _attach(domain: Any, device: Element, wanted: DomainInputs) -> None:
    if not has_port(domain.XMLDesc(0), device):  # behind the last one: the hypervisor finds a free one before it
        for address in device.findall("address"):
            device.remove(address)
    try:
        domain.attachDeviceFlags(to_text(device), _LIVE)
    except libvirt.libvirtError as error:
        if any(sign in str(error) for sign in _NO_PORT):
            raise PlatformError(
                f"the running machine '{wanted.name}' has no room for another device: {error}",
                "switch it off ('power: stopped'), run again, and switch it on: each start makes room for eight more",
            ) from None
        raise


def unplug(
    operation: Operation, domain: Any, live: Mapping[str, Any], wanted: DomainInputs, *, renamed: bool = False
) -> None:
    """Have the guest release what the machine is not to have any more, and wait until it has.

    Args:
        operation: that the change is part of.
        domain: the running machine.
        live: what it has.
        wanted: what it is to have.
        renamed: only disks that come back under other serial numbers, for which they must first be free.

    Raises:
        libvirt.libvirtError: the hypervisor refuses.
        PlatformError: the guest does not release it in time; it stays plugged in.
        Cancelled: the run was cancelled meanwhile.
    """
    disks, nics = {identity(disk) for disk in wanted.disks}, {nic.mac for nic in wanted.nics}
    gone: list[tuple[tuple[str, str], str]] = [
        (("interface", nic.mac), f"card {nic.mac} on '{nic.network}'") for nic in live["nics"] if nic.mac not in nics
    ]
    gone += [
        (("disk", identity(disk)), f"disk '{identity(disk)}'") for disk in live["disks"] if identity(disk) not in disks
    ]
    if renamed:
        back = {disk.path for disk in wanted.disks}
        returning = {("disk", identity(disk)) for disk in live["disks"] if disk.path in back}
        gone = [item for item in gone if item[0] in returning]
    for key, _ in gone:  # all at once: guests take seconds for each
        _ask(domain, key)
    end = time.monotonic() + UNPLUG_SECONDS
    for key, name in gone:
        _wait(operation, domain, key, name, end, wanted.name)


def _ask(domain: Any, key: tuple[str, str]) -> None:
    device = _find(domain, key)
    if device is None:
        return
    try:
        domain.detachDeviceFlags(to_text(device), _LIVE)
    except libvirt.libvirtError as error:
        if _PENDING not in str(error) and error.get_error_code() != libvirt.VIR_ERR_DEVICE_MISSING:
            raise


def _find(domain: Any, key: tuple[str, str]) -> Element | None:
    root = from_text(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE))
    return next((device for device in root.iterfind("devices/*") if device_key(device) == key), None)


def _wait(operation: Operation, domain: Any, key: tuple[str, str], name: str, end: float, machine: str) -> None:
    def look() -> bool | Pending:
        if _find(domain, key) is None:
            return True
        return False if time.monotonic() >= end else Pending(f"waiting for the guest to release its {name}")

    if not operation.wait_until(look, longest=1.0):
        raise PlatformError(
            f"the guest of the machine '{machine}' did not release its {name} within {UNPLUG_SECONDS:.0f} s; it is "
            "still plugged in, and nothing was lost",
            "see that the guest's system runs and lets devices go, then run again; or switch the machine off "
            "('power: stopped') and run again",
        )


def ordered(values: dict[str, Any], recorded: DomainInputs) -> dict[str, Any]:
    """`values` with disks and cards in the order in which they were recorded, as far as they are the same."""
    disks = _in_order(values["disks"], [identity(disk) for disk in recorded.disks], identity)
    nics = _in_order(values["nics"], [nic.mac for nic in recorded.nics], lambda nic: nic.mac)
    return {**values, "disks": disks, "nics": nics}


def _in_order(items: Sequence[Any], keys: Sequence[str], key: Any) -> list[Any]:
    place = {name: index for index, name in enumerate(keys)}
    return sorted(items, key=lambda item: place.get(key(item), len(place)))


def write_mark(domain: Any, mark: Element) -> None:
    """Make the mark of the running machine that of its definition to come.

    Raises:
        libvirt.libvirtError: the hypervisor refuses.
    """
    bare = from_text(to_text(mark))
    for part in bare.iter():  # libvirt adds the namespace itself
        part.tag = part.tag.rpartition("}")[2]
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, to_text(bare), "provision", NAMESPACE, _LIVE)
