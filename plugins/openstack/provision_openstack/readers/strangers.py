"""Servers of others on the networks of a stack."""

from collections.abc import Sequence

from provision.spi import DeployedMachine, NativeState, Stranger
from provision_openstack.kinds import PORT
from provision_openstack.reading import having
from provision_openstack.session import Session

_COMPUTE = "compute:"
"""How the owner of a server's port begins (Networking API, `device_owner`)."""


def strangers(
    session: Session, networks: Sequence[NativeState], machines: Sequence[DeployedMachine]
) -> Sequence[Stranger]:
    """Servers with a port on one of the networks that are none of `machines`.

    Raises:
        PlatformError: Neutron does not answer.
    """
    ours = {native.id for machine in machines if (native := machine.native("compute:Server")) is not None}
    places = {network.id: network.name for network in networks if network.token == "network:Network"}
    found = {
        (places[str(port["network_id"])], str(port.get("device_id") or ""))
        for port in having(session.reader, PORT, "network_id", sorted(places))
        if str(port.get("device_owner") or "").startswith(_COMPUTE)
    }
    return [Stranger(network, f"the server {server}") for network, server in sorted(found) if server not in ours]
