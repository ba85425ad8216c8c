"""`network:Network`: a bridge with addresses, DHCP and DNS of the hypervisor."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import libvirt

from provision.errors import ForeignObject, UserError
from provision.spi import (
    Cancelled,
    Checked,
    CheckRequest,
    Created,
    CreateRequest,
    DeleteRequest,
    Listed,
    ListRequest,
    Operation,
    Read,
    ReadRequest,
    ResourceType,
    Updated,
    UpdateRequest,
    admitted,
)
from provision_libvirt.ownership import Owner, stack_mark
from provision_libvirt.resources import bridges, host_closed, host_hook, xml_network
from provision_libvirt.resources.common import foreign, name_for_life, new_generation, ours, taken, taken_back
from provision_libvirt.resources.finding import NETWORK
from provision_libvirt.resources.importing import imported, is_adopted, not_importable, stack_pool
from provision_libvirt.resources.native_model import Query
from provision_libvirt.resources.network_model import NetworkInputs, NetworkOutputs
from provision_libvirt.resources.spelling import canonical
from provision_libvirt.resources.xml_tools import Element, to_text
from provision_libvirt.session import Session, explained

_CONFIG = libvirt.VIR_NETWORK_XML_INACTIVE


class Network(ResourceType[NetworkInputs, NetworkOutputs, Session]):
    """A virtual network. DHCP and DNS entries change while it runs; anything else makes it anew."""

    token = "network:Network"
    Inputs = NetworkInputs
    Outputs = NetworkOutputs
    Query = Query

    def check(self, request: CheckRequest) -> Checked:
        """Keep the name on the hypervisor."""
        return name_for_life(request, "bridge")

    def create(self, request: CreateRequest[NetworkInputs]) -> Created[NetworkOutputs]:
        """Make and start the network, or bring what an interrupted run left of it into the wanted form."""
        inputs, urn = request.inputs, request.operation.urn
        connection, uri = request.operation.session.connection(), request.operation.session.config.uri
        uuid = Owner(inputs.stack_id, urn).uuid()
        left = NETWORK.marked(connection, uuid)
        if left is not None:
            if kept := _unchanged(left, inputs):
                with explained(f"making the network '{inputs.name}'"):
                    _close_host(request.operation, left, inputs)
                return Created(uuid, _outputs(inputs, uuid, kept))
            request.operation.report("making anew what an interrupted run left")
            _remove(left)
        _refuse_other(connection, inputs, uuid)
        if request.operation.cancelled():
            raise Cancelled
        generation = new_generation()
        text = xml_network.render(inputs, uuid, stack=stack_mark(inputs.stack_id), urn=urn, generation=generation)
        with explained(f"making the network '{inputs.name}'"), _clashes(inputs):
            network = connection.networkDefineXML(text)
            with taken_back(lambda: _remove(network)):
                bridges.start(network, inputs.bridge, uri)
                _close_host(request.operation, network, inputs)
        return Created(uuid, _outputs(inputs, uuid, generation))

    def read(self, request: ReadRequest[NetworkInputs, NetworkOutputs]) -> Read[NetworkInputs, NetworkOutputs] | None:
        """What the network is now; one that was stopped counts as gone, since whatever was plugged in is cut off."""
        network = NETWORK.read(request)
        if network is None:
            return None
        recorded = request.inputs
        with explained(f"reading the network {request.id}"):
            uuid = network.UUIDString()
            if recorded is None:
                inputs = _importable(network, request.operation.session.connection())
            elif not network.isActive():
                return None
            live = network.XMLDesc(0)
            if recorded:  # a change by hand may be in the running network alone, or only in what the next start uses
                values, stored = xml_network.parse(live), xml_network.parse(_stored(network))
                values = {name: _seen(getattr(recorded, name), values[name], stored[name]) for name in values}
                uri, alone = request.operation.session.config.uri, bool(network.autostart())
                values["host_addresses"] = host_closed.seen(uri, recorded, autostart=alone)
                inputs = NetworkInputs.model_construct(**{**dict(recorded), **values})
        outputs = _outputs(inputs, uuid, xml_network.generation(live) or "", adopted=is_adopted(request))
        return Read(uuid, inputs, outputs)

    def list(self, request: ListRequest) -> Iterable[Listed]:
        """Networks, by name."""
        return NETWORK.list(request, lambda network: _importable(network))

    def update(self, request: UpdateRequest[NetworkInputs, NetworkOutputs]) -> Updated[NetworkOutputs]:
        """Bring DHCP and DNS entries into the wanted form, in the running network and for its next start."""
        inputs = request.inputs
        connection = request.operation.session.connection()
        with admitted(self, request), explained(f"changing the network '{inputs.name}'"):
            network = connection.networkLookupByUUIDString(request.id)
            if not ours(request.id, inputs, request.outputs):
                raise foreign("network", inputs.name)
            generation = xml_network.generation(network.XMLDesc(0)) or request.outputs.generation
            text = xml_network.render(
                inputs, request.id, stack=stack_mark(inputs.stack_id), urn=request.operation.urn, generation=generation
            )
            uri = request.operation.session.config.uri
            connection.networkDefineXML(text)
            if network.isActive():
                _update_live(network, inputs, request.operation)
            else:
                bridges.start(network, inputs.bridge, uri)
            if inputs.host_addresses is None:
                host_closed.open_again(uri, request.old_inputs)
            _close_host(request.operation, network, inputs)
        return Updated(_outputs(inputs, request.id, generation, adopted=request.outputs.adopted))

    def delete(self, request: DeleteRequest[NetworkInputs, NetworkOutputs]) -> None:
        """Stop and remove the network."""
        connection = request.operation.session.connection()
        network = NETWORK.marked(connection, request.id)
        if network is not None:
            if not ours(request.id, request.inputs, request.outputs):
                raise foreign("network", network.name())
            _remove(network)
        host_closed.open_again(request.operation.session.config.uri, request.inputs)


def _close_host(operation: Operation, network: Any, inputs: NetworkInputs) -> None:
    """Close what is to be closed of the hypervisor, and have libvirt start the network by itself where it stays so."""
    uri = operation.session.config.uri
    host_closed.close(uri, inputs)
    new = host_closed.keep(uri, operation.session.connection(), inputs)
    network.setAutostart(int(new is not None))
    if new is None:
        operation.note(
            f"libvirt will not start the network '{inputs.name}' by itself, nor machines on it, after a new start of "
            "the hypervisor: nothing would close the hypervisor's further addresses to it. Run `provision up` then"
        )
    elif new:
        operation.note(
            f"/{host_hook.file_of(inputs.bridge)} on the hypervisor closes its further addresses to the network "
            f"'{inputs.name}' whenever libvirt starts it; it goes with the network"
        )


def _outputs(inputs: NetworkInputs, uuid: str, generation: str, *, adopted: bool = False) -> NetworkOutputs:
    return NetworkOutputs(
        name=inputs.name, bridge=inputs.bridge, uuid=uuid, generation=generation, adopted=adopted
    )  # fmt: skip


def _importable(network: Any, connection: Any = None) -> NetworkInputs:
    """The inputs that describe a network whoever made it.

    Raises:
        UserError: it does not run, or has settings that the first update would take away.
    """
    what = f"the network '{network.name()}'"
    if not network.isActive():
        raise UserError(f"{what} cannot be imported: it is not running", f"virsh net-start {network.name()}")
    text = _stored(network)
    if strange := xml_network.undescribed(text):
        raise not_importable(what, f"this type does not describe its settings {', '.join(strange)}")
    pool = stack_pool(connection, network.UUIDString()) if connection else ""
    return imported(NetworkInputs, what, {**xml_network.parse(text), "pool": pool})


def _seen(recorded: Any, live: Any, stored: Any) -> Any:
    """The recorded value in its own spelling, unless one of the two others means something else."""
    meant = canonical(recorded)
    return next((value for value in (live, stored) if canonical(value) != meant), recorded)


def _refuse_other(connection: Any, inputs: NetworkInputs, uuid: str) -> None:
    other = NETWORK.named(connection, inputs.name)
    if other is not None and other.UUIDString() != uuid:
        raise taken("network", inputs.name, other.UUIDString(), inputs)


@contextlib.contextmanager
def _clashes(inputs: NetworkInputs) -> Iterator[None]:
    """Say what to do when bridge or addresses are somebody else's; libvirt has no error code for it."""
    try:
        yield
    except libvirt.libvirtError as error:
        if "already in use" not in str(error):
            raise
        addresses = ", ".join(f"{ip.address}/{ip.prefix}" for ip in (inputs.ipv4, inputs.ipv6) if ip)
        raise ForeignObject(
            f"the network '{inputs.name}' (bridge {inputs.bridge}, {addresses or 'no addresses'}) clashes with another "
            f"one of the hypervisor: {error}",
            "give the network another address range or name, or remove the other one by hand",
        ) from None


def _unchanged(network: Any, inputs: NetworkInputs) -> str | None:
    """The generation of a running network that is just what `inputs` say, else None."""
    with explained(f"reading the network '{inputs.name}'"):
        if not (network.isActive() and network.isPersistent()):
            return None
        texts = (network.XMLDesc(0), _stored(network))
        wanted = xml_network.parse(xml_network.render(inputs, "", stack="", urn="", generation=""))
        if any(canonical(xml_network.parse(text)) != canonical(wanted) for text in texts):
            return None
        return xml_network.generation(texts[0])


def _stored(network: Any) -> str:
    """What the network's next start uses; the test driver has one description for both, and does not know the flag."""
    try:
        return str(network.XMLDesc(_CONFIG))
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_INVALID_ARG:
            raise
        return str(network.XMLDesc(0))


def _remove(network: Any) -> None:
    with explained(f"removing the network '{network.name()}'"):
        for step in (network.destroy, network.undefine):
            try:
                step()
            except libvirt.libvirtError as error:
                if error.get_error_code() not in (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_NETWORK):
                    raise


def _update_live(network: Any, inputs: NetworkInputs, operation: Operation) -> None:
    """Modify, then remove, then add: an address may move from one entry to another."""
    live = xml_network.parse(network.XMLDesc(0))
    sections: list[tuple[int, Callable[[Any], Element], list[Any], list[Any]]] = [
        (libvirt.VIR_NETWORK_SECTION_DNS_HOST, xml_network.dns_host, live["dns_hosts"], inputs.dns_hosts),
        (libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST, xml_network.dhcp_host, live["dhcp_hosts"], inputs.dhcp_hosts),
        (
            libvirt.VIR_NETWORK_SECTION_IP_DHCP_RANGE,
            xml_network.dhcp_range,
            [live["dhcp_range"]] if live["dhcp_range"] else [],
            [inputs.dhcp_range] if inputs.dhcp_range else [],
        ),
    ]

    def change(command: int, section: int, item: Element) -> None:
        if operation.cancelled():
            raise Cancelled
        network.update(command, section, -1, to_text(item), libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE)

    for item in _without(inputs.dhcp_hosts, live["dhcp_hosts"]):
        before = next((host for host in live["dhcp_hosts"] if canonical(host.mac) == canonical(item.mac)), None)
        if before is not None:  # at once: without any lease for a moment DHCP would stop and start again
            section, text = libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST, xml_network.dhcp_host(item)
            change(libvirt.VIR_NETWORK_UPDATE_COMMAND_MODIFY, section, text)
            live["dhcp_hosts"][live["dhcp_hosts"].index(before)] = item
    for section, render, now, then in sections:
        for item in _without(now, then):
            change(libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE, section, render(item))
    for section, render, now, then in sections:
        for item in _without(then, now):
            change(libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, section, render(item))


def _without(items: list[Any], others: list[Any]) -> list[Any]:
    known = [canonical(other) for other in others]
    return [item for item in items if canonical(item) not in known]
