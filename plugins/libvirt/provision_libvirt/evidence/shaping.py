"""Limits of network cards: in libvirt's description, and in the traffic control of the host's kernel."""

import re
from collections.abc import Iterator

from provision.spi import Evidence, Shown
from provision.spi.evidence import accepted, instead
from provision_libvirt.evidence.look import Look, or_none
from provision_libvirt.evidence.ports import devices

# What goes to the machine leaves the host by the card's device, and the other way round; how libvirt holds either is
# in its virNetDevBandwidthSet. The texts are iproute2's: it gives no JSON for these.
_WAYS = {"inbound": ("class", ()), "outbound": ("filter", ("parent", "ffff:"))}
_RATES = {
    "inbound": re.compile(r"^class htb 1:1 .*?\brate (\S+)", re.MULTILINE),
    "outbound": re.compile(r"\bpolice \S+ rate (\S+)"),
}
_RATE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)bit")
_FACTORS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_ROUNDED = 0.001  # iproute2 leaves out what is less than a thousandth


def held(look: Look, way: str, kilobytes_s: int) -> Iterator[Shown]:
    """Whether every card of a machine is held to so many thousands of bytes per second one way."""
    seen = [getattr(nic, f"{way}_kilobytes_s") for nic in look.live["nics"]]
    holds = all(one == kilobytes_s for one in seen)
    limits = ", ".join(or_none(one, " kB/s") for one in seen)
    yield accepted(holds, f"{way} {limits}{instead(holds, f'{kilobytes_s} kB/s')}")
    yield _effective(look, way, kilobytes_s * 8000)


def _effective(look: Look, way: str, wanted: int) -> Shown:
    if look.view is None or look.view.emulator(look.domain.name()) is None:
        return Shown(Evidence.EFFECTIVE, None, look.why_blind)
    kind, where = _WAYS[way]
    found: list[float | None] = []
    for device in devices(look):
        said = look.view.run("tc", kind, "show", "dev", device, *where)
        if said is None:
            return Shown(Evidence.EFFECTIVE, None, "the hypervisor's traffic control cannot be read (tc, as root)")
        found.append(rate(way, said))
    holds = all(one is not None and abs(one - wanted) <= wanted * _ROUNDED for one in found)
    limits = ", ".join("none" if one is None else spoken(one) for one in found)
    return Shown(Evidence.EFFECTIVE, holds, f"{way} {limits} in its kernel{instead(holds, spoken(wanted))}")


def rate(way: str, said: str) -> float | None:
    """The limit in bits per second that `tc` tells of one way; None for none that libvirt would make."""
    found = _RATES[way].search(said)
    written = None if found is None else _RATE.fullmatch(found[1])
    return None if written is None else float(written[1]) * _FACTORS[written[2]]


def spoken(bits: float) -> str:
    """A rate for people: `10 Mbit/s`."""
    name, factor = next(((name, factor) for name, factor in reversed(_FACTORS.items()) if bits >= factor), ("", 1))
    return f"{bits / factor:g} {name.lower() if name == 'K' else name}bit/s"
