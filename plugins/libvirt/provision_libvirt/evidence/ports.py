"""Ports of bridges: whether those of a machine are isolated from each other's, in libvirt and in the host's kernel."""

from collections.abc import Iterator
from typing import Any

from provision.models import PeerIsolationPolicy
from provision.spi import Evidence, Shown
from provision.spi.evidence import accepted, number
from provision_libvirt.evidence.look import Look
from provision_libvirt.resources.xml_tools import attribute, from_text
from provision_libvirt.session import explained


def isolated(look: Look, policy: PeerIsolationPolicy) -> Iterator[Shown]:
    """Whether every port of the machine is isolated."""
    cards: list[Any] = look.live["nics"]
    open_ = [str(position) for position, nic in enumerate(cards) if not nic.isolated]
    ports = number(len(cards), "isolated port")
    yield accepted(not open_, f"network card {', '.join(open_)} has a port that is not isolated" if open_ else ports)
    flags = _flags(look)
    if not flags or None in flags.values():
        yield Shown(Evidence.EFFECTIVE, None, look.why_blind if not flags else "the bridge's ports cannot be seen here")
        return
    wrong = [device for device, flag in flags.items() if flag != "1"]
    yield Shown(Evidence.EFFECTIVE, not wrong, f"{', '.join(wrong)} is not isolated on its bridge" if wrong else ports)


def devices(look: Look) -> list[str]:
    """The host's names of the cards of a running machine, in the order of its description.

    Raises:
        PlatformError: it cannot be read.
    """
    with explained(f"reading the machine '{look.machine.name}'"):
        root = from_text(look.domain.XMLDesc(0))
    return [attribute(card, "target", "dev") or "" for card in root.iterfind("devices/interface")]


def _flags(look: Look) -> dict[str, str | None]:
    """What the kernel says of each port of the running machine; None when it cannot be seen."""
    if look.view is None or look.view.emulator(look.domain.name()) is None:
        return {}
    found: dict[str, str | None] = {}
    for device in devices(look):
        try:
            found[device] = (look.view.root / "sys/class/net" / device / "brport/isolated").read_text().strip()
        except OSError:
            found[device] = None
    return found
