"""Packet filters of a machine: every network card has the one made for it, and all that it leads to is as written."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from provision.models import Policy
from provision.spi import Evidence, NativeState, Shown
from provision.spi.evidence import accepted, number
from provision_libvirt.evidence.look import UNSEEN, Look
from provision_libvirt.hostview import HostView
from provision_libvirt.resources import xml_domain, xml_filter
from provision_libvirt.resources.finding import FILTER
from provision_libvirt.resources.host_closed import is_closed
from provision_libvirt.resources.network_model import NetworkInputs
from provision_libvirt.session import explained

_FILTER, _NETWORK = "nwfilter:Filter", "network:Network"
_SAVES = {4: "iptables-save", 6: "ip6tables-save"}


def filtered(look: Look, policy: Policy) -> Iterator[Shown]:
    """Whether libvirt holds the filters that the state records, on every network card; all policies share them.

    What the host's kernel makes of them is read for all machines together (`provision_libvirt.readers.kernel`).
    """
    yield accepted(*look.once("filters", lambda: _filters(look)))


def closed_to_host(look: Look, policy: Policy) -> Iterator[Shown]:
    """The same, and that addresses which the filters do not know are closed to the machine's networks by the kernel."""
    yield from filtered(look, policy)
    networks = [network for network in _networks(look) if network.host_addresses is not None]
    if networks:
        yield look.once("host", lambda: _unknown_closed(look, networks))


def _networks(look: Look) -> list[NetworkInputs]:
    """Of the machine's network cards, as the state has them."""
    names = {nic.get("network") for nic in look.recorded.get("nics") or ()}
    inputs = [native.inputs for native in look.shared if native.token == _NETWORK]
    return [NetworkInputs.model_validate(one) for one in inputs if one.get("name") in names]


def _unknown_closed(look: Look, networks: Sequence[NetworkInputs]) -> Shown:
    if look.view is None:
        return Shown(Evidence.EFFECTIVE, None, UNSEEN)
    saved = look.of_host("mangle", partial(_saved, look.view))
    what = "the kernel's rules that close the hypervisor's further addresses"
    for network in networks:
        for family, text in saved.items():
            if text is None:
                return Shown(Evidence.EFFECTIVE, None, f"{what} may not be read from here (that needs root)")
            if not is_closed(text, family, network):
                return Shown(Evidence.EFFECTIVE, False, f"{what} to '{network.name}' are not there as written")
    return Shown(Evidence.EFFECTIVE, True, f"{what} are there")


def _saved(view: HostView) -> Mapping[int, str | None]:
    """The kernel's table that the chains are in, by IP version; None where it may not be read."""
    return {family: view.run(tool, "-t", "mangle") for family, tool in _SAVES.items()}


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
    text = None if native is None else look.of_host(("filter", native.id), partial(_text, look, name, native.id))
    if native is None:
        yield f"the filter '{name}' is on no record"
    elif text is None:
        yield f"the filter '{name}' is gone"
    else:
        if xml_filter.fingerprint(text) != native.outputs.get("fingerprint"):
            yield f"the filter '{name}' was changed by hand"
        for other in sorted(xml_domain.used_filters([text])):
            yield from _follow(look, other, seen)


def _text(look: Look, name: str, uuid: str) -> str | None:
    """The description of a filter, which many machines refer to; None when it is gone."""
    live = FILTER.marked(look.connection, uuid)
    with explained(f"reading the packet filter '{name}'"):
        return None if live is None else str(live.XMLDesc(0))


def _recorded(look: Look) -> Mapping[str, NativeState]:
    natives = (*look.machine.natives, *look.shared)
    return {str(one.outputs.get("name")): one for one in natives if one.token == _FILTER}
