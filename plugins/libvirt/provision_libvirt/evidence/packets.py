"""Packet filters of a machine: every network card has the one made for it, and all that it leads to is as written."""

from collections.abc import Iterator, Mapping
from typing import Any

from provision.models import Policy
from provision.spi import NativeState, Shown
from provision.spi.evidence import accepted, number
from provision_libvirt.evidence.look import Look
from provision_libvirt.resources import xml_domain, xml_filter
from provision_libvirt.resources.finding import FILTER
from provision_libvirt.session import explained

_FILTER = "nwfilter:Filter"


def filtered(look: Look, policy: Policy) -> Iterator[Shown]:
    """Whether libvirt holds the filters that the state records, on every network card; all policies share them.

    What the host's kernel makes of them is read for all machines together (`provision_libvirt.readers.kernel`).
    """
    yield accepted(*look.once("filters", lambda: _filters(look)))


def _filters(look: Look) -> tuple[bool, str]:
    seen, wrong = set[str](), list[str]()
    recorded = look.recorded.get("nics") or ()
    if len(recorded) != len(look.live["nics"]):
        wrong.append(f"{number(len(look.live['nics']), 'network card')} instead of {len(recorded)}")
    for position, nic in enumerate(look.live["nics"][: len(recorded)]):
        if (nic.filter, nic.parameters) != _reference(recorded[position]):
            wrong.append(
                f"network card {position} has the filter {nic.filter} instead of {recorded[position]['filter']}"
            )
        else:
            wrong += _follow(look, nic.filter, seen)
    cards, filters = number(len(look.live["nics"]), "network card"), number(len(seen), "filter")
    return not wrong, "; ".join(dict.fromkeys(wrong)) or f"{cards} with {filters} as written"


def _reference(nic: Mapping[str, Any]) -> tuple[str | None, dict[str, list[str]]]:
    return nic.get("filter"), dict(nic.get("parameters") or {})


def _follow(look: Look, name: str | None, seen: set[str]) -> Iterator[str]:
    """What is wrong with a filter, and with those that it refers to."""
    if name is None or name in seen:
        return
    seen.add(name)
    native = _recorded(look).get(name)
    live = None if native is None else FILTER.marked(look.connection, native.id)
    if native is None:
        yield f"the filter '{name}' is on no record"
    elif live is None:
        yield f"the filter '{name}' is gone"
    else:
        with explained(f"reading the packet filter '{name}'"):
            text = live.XMLDesc(0)
        if xml_filter.fingerprint(text) != native.outputs.get("fingerprint"):
            yield f"the filter '{name}' was changed by hand"
        for other in sorted(xml_domain.used_filters([text])):
            yield from _follow(look, other, seen)


def _recorded(look: Look) -> Mapping[str, NativeState]:
    natives = (*look.machine.natives, *look.shared)
    return {str(one.outputs.get("name")): one for one in natives if one.token == _FILTER}
