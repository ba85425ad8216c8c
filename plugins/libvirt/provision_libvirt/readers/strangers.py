"""Machines of others on the networks of a stack, by what their definitions say."""

from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from provision.spi import DeployedMachine, NativeState, Stranger
from provision_libvirt.resources.domain import Domain
from provision_libvirt.resources.network import Network
from provision_libvirt.session import Session, explained, is_absent


def strangers(
    session: Session, networks: Sequence[NativeState], machines: Sequence[DeployedMachine]
) -> Sequence[Stranger]:
    """Machines with an interface on one of the networks, or on its bridge, that are none of `machines`.

    Raises:
        PlatformError: the hypervisor does not answer.
    """
    ours = {native.id for machine in machines if (native := machine.native(Domain.token)) is not None}
    places = {
        str(native.outputs[name]): native.name
        for native in networks
        if native.token == Network.token
        for name in ("name", "bridge")
        if native.outputs.get(name)
    }
    if not places:
        return ()
    with session.own() as connection, explained("looking who else is on the networks"):
        others = [domain for domain in connection.listAllDomains() if domain.UUIDString() not in ours]
        return [
            Stranger(network, f"the machine '{name}'")
            for name, text in sorted(_described(others))
            for network in dict.fromkeys(places[source] for source in _sources(text) if source in places)
        ]


def _described(domains: Sequence[Any]) -> Iterator[tuple[str, str]]:
    for domain in domains:
        try:
            yield domain.name(), domain.XMLDesc()
        except libvirt.libvirtError as error:
            if not is_absent(error):  # else it has gone meanwhile
                raise


def _sources(text: str) -> Iterator[str]:
    """Networks and bridges that a machine's interfaces are on."""
    for source in ET.fromstring(text).iterfind("devices/interface/source"):
        yield from (value for key in ("network", "bridge") if (value := source.get(key)))
