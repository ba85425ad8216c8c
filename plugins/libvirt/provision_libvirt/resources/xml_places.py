"""Where a machine's devices are: on which bus, in which slot, under which letter; and room for more of them.

Libvirt gives addresses in the order of a definition, so that one device less would move others: where a guest's system
names devices by their places, they would change their names. Whatever was given once is therefore carried over.
"""

import copy
import itertools
import string
from collections.abc import Iterator, Mapping

from provision_libvirt.resources.xml_tools import Element, add, attribute, element, from_text, to_text

SPARE_PORTS = 8
"""How many devices a machine of type q35 can get while it runs: each of them needs a PCI Express port of its own, which
must be there at the start. Eight cost nothing measurable at a start; two dozen cost a tenth of it."""
_PORTS = ("pcie-root", "pcie-root-port")


def settled(text: str, before: str | None) -> str:
    """The definition `text` with every device of the definition `before` where it was, and with free ports."""
    root = from_text(text)
    old = None if before is None else from_text(before)
    devices = root.find("devices")
    if devices is None:
        return text
    places = dict(_places(old)) if old is not None and _alike(root, old) else {}
    if _boots_elsewhere(root, places):
        places = {key: place for key, place in places.items() if key[0] != "disk"}
    _carry_over(devices, places)
    if old is not None and places:
        _stand_behind(devices, old, is_express(root))
    _name_disks(devices, places)
    if is_express(root):
        _add_ports(devices)
    return to_text(root)


def is_express(root: Element) -> bool:
    """Whether devices of the machine need ports."""
    machine = attribute(root, "os/type", "machine") or ""
    return machine == "q35" or machine.startswith("pc-q35-")


def disk_key(disk: Element) -> str:
    """What tells a disk from the machine's others: its serial number, or without one its path."""
    source = disk.find("source")
    path = "" if source is None else next((value for name, value in source.attrib.items() if name != "index"), "")
    return disk.findtext("serial") or path


def device_key(device: Element) -> tuple[str, str] | None:
    """What tells a device from the machine's others; None for one that libvirt may put where it likes."""
    if device.tag == "disk":
        return ("disk", disk_key(device))
    if device.tag == "interface":
        return ("interface", (attribute(device, "mac", "address") or "").lower())
    if device.tag == "controller" and device.get("type") == "virtio-serial":
        return ("controller", device.get("index", "0"))
    if device.tag == "memballoon" and device.get("model") != "none":
        return ("memballoon", "")
    return None


def letters(position: int) -> str:
    """a, b, …, z, aa, ab, … as Linux counts disks."""
    found = ""
    position += 1
    while position:
        position, rest = divmod(position - 1, 26)
        found = string.ascii_lowercase[rest] + found
    return found


def has_port(live: str, device: Element) -> bool:
    """Whether a running machine has the port at which `device` is to stand."""
    root, bus = from_text(live), attribute(device, "address", "bus")
    ports = [int(it.get("index", "0")) for it in root.iterfind("devices/controller[@model='pcie-root-port']")]
    return not is_express(root) or bus is None or int(bus, 0) in ports


_Places = Mapping[tuple[str, str], Element]


def _alike(root: Element, old: Element) -> bool:
    """Whether the addresses of the one mean the same in the other."""
    controllers = [it for it in old.iterfind("devices/controller") if it.get("type") == "pci"]
    if is_express(root):
        return is_express(old) and all(it.get("model") in _PORTS for it in controllers)
    return not is_express(old) and [it.get("model") for it in controllers] in ([], ["pci-root"])


def _places(old: Element) -> Iterator[tuple[tuple[str, str], Element]]:
    for device in old.iterfind("devices/*"):
        key = device_key(device)
        if key is not None:
            yield key, device


def _boots_elsewhere(root: Element, places: _Places) -> bool:
    """Whether the machine boots from a disk that was not its first one."""
    first = root.find("devices/disk")
    if root.find("os/kernel") is not None or first is None:
        return False
    place = places.get(("disk", disk_key(first)))
    return place is None or attribute(place, "target", "dev") != "vda"


def _carry_over(devices: Element, places: _Places) -> None:
    if devices.find("controller[@type='virtio-serial']") is None and ("controller", "0") in places:
        add(devices, "controller", type="virtio-serial", index="0")
    for device in devices:
        key = device_key(device)
        place = None if key is None else places.get(key)
        address = None if place is None else place.find("address")
        if address is not None and device.find("address") is None:
            device.append(copy.deepcopy(address))


def _stand_behind(devices: Element, old: Element, express: bool) -> None:
    """Put new disks and cards behind all that are there: a guest counts in the order of the bus."""
    part, last = ("bus", 255) if express else ("slot", 31)
    taken = [int(place.get(part, "0"), 0) for place in old.iterfind("devices/*/address[@type='pci']")]
    position = max(taken, default=0)
    for device in devices:
        if device.tag in ("disk", "interface") and device.find("address") is None and position < last:
            position += 1
            place = {"domain": "0x0000", "bus": "0x00", "slot": "0x00", "function": "0x0", part: f"{position:#04x}"}
            add(device, "address", type="pci", **place)


def _name_disks(devices: Element, places: _Places) -> None:
    """Give each disk the letter that it had, or else the first that is free."""
    disks = [(disk, disk.find("target")) for disk in devices.iterfind("disk")]
    found = {("disk", disk_key(disk)): target for disk, target in disks if target is not None}
    kept = {key: attribute(places[key], "target", "dev") or "" for key in found if key in places}
    free = (name for position in itertools.count() if (name := f"vd{letters(position)}") not in kept.values())
    for key, target in found.items():
        target.set("dev", kept.get(key) or next(free))


def _add_ports(devices: Element) -> None:
    needed = sum(1 for device in devices if device_key(device) is not None)
    serial = any(channel.find("target[@type='virtio']") is not None for channel in devices.iterfind("channel"))
    if serial and devices.find("controller[@type='virtio-serial']") is None:
        needed += 1
    used = [int(place.get("bus", "0"), 0) for place in devices.iterfind("*/address[@type='pci']")]
    ports = element("devices")
    add(ports, "controller", type="pci", index="0", model="pcie-root")
    for index in range(1, max([needed, *used]) + SPARE_PORTS + 1):
        add(ports, "controller", type="pci", index=index, model="pcie-root-port")
    devices.extend(ports)
