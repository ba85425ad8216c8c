"""`domain:Domain`: a virtual machine."""

import contextlib
from typing import Any

import libvirt

from provision.spi import (
    Checked,
    CheckRequest,
    Created,
    CreateRequest,
    DeleteRequest,
    Operation,
    Read,
    ReadRequest,
    ResourceType,
    Updated,
    UpdateRequest,
)
from provision_libvirt.ownership import Owner, stack_mark
from provision_libvirt.resources import guest, xml_domain
from provision_libvirt.resources.common import foreign, found, name_for_life, ours, own_pool, taken
from provision_libvirt.resources.domain_model import DomainInputs, DomainOutputs, Nic
from provision_libvirt.resources.filter_users import references_change, sweep_replaced
from provision_libvirt.resources.leftovers import CONSOLE_SUFFIX, is_console_log, refresh, remove_domain
from provision_libvirt.resources.xml_tools import from_text
from provision_libvirt.session import Session, explained

_CONFIG = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE


class Domain(ResourceType[DomainInputs, DomainOutputs, Session]):
    """A virtual machine, started and, when it has a probe agent, waited for."""

    token = "domain:Domain"
    Inputs = DomainInputs
    Outputs = DomainOutputs

    def check(self, request: CheckRequest) -> Checked:
        """Keep the name on the hypervisor."""
        return name_for_life(request)

    def create(self, request: CreateRequest[DomainInputs]) -> Created[DomainOutputs]:
        """Define and start the machine and wait until it is ready, going on with what an interrupted run left.

        Raises:
            CreatedButUnhealthy: it is there, but is not ready in time.
        """
        inputs, operation = request.inputs, request.operation
        uuid = Owner(inputs.stack_id, operation.urn).uuid()
        with operation.session.own() as connection:
            left = found(connection.lookupByUUIDString, uuid, f"looking for the machine '{inputs.name}'")
            if left is not None and left.name() != inputs.name:
                with explained(f"removing the machine '{left.name()}'"):
                    remove_domain(left)
                left = None
            if left is None:
                other = found(connection.lookupByName, inputs.name, f"looking for the machine '{inputs.name}'")
                if other is not None:
                    raise taken("machine", inputs.name, other.UUIDString(), inputs)
            else:
                operation.report("going on with the machine that an interrupted run left")
            return Created(uuid, _bring(operation, connection, uuid, inputs, new=left is None, retry=True))

    def read(self, request: ReadRequest[DomainInputs, DomainOutputs]) -> Read[DomainInputs, DomainOutputs] | None:
        """What the machine is now: a difference may be in the running machine or in what its next start uses."""
        connection = request.operation.session.connection()
        doing = f"reading the machine {request.id}"
        domain = found(connection.lookupByUUIDString, request.id, doing)
        if domain is None:
            return None
        recorded = request.inputs
        with explained(doing):
            values = read_values(domain, recorded)
            base = dict(recorded) if recorded else {**_DEFAULTS, "stack_id": ""}
            inputs = DomainInputs.model_construct(**{**base, **values})
            path = from_text(domain.XMLDesc(0)).find("devices/serial/log")
        outputs = DomainOutputs(
            name=inputs.name,
            pool=inputs.pool,
            probe_channel=inputs.probe_channel,
            uuid=request.id,
            console_path=None if path is None else path.get("file"),
        )
        return Read(request.id, inputs, outputs)

    def update(self, request: UpdateRequest[DomainInputs, DomainOutputs]) -> Updated[DomainOutputs]:
        """Change packet filters and power while the machine runs, anything else by a restart.

        Raises:
            CreatedButUnhealthy: it does not become ready in time.
        """
        inputs, operation = request.inputs, request.operation
        if not ours(request.id, inputs):
            raise foreign("machine", inputs.name)
        with operation.session.own() as connection:
            with explained(f"changing the machine '{inputs.name}'"):
                connection.lookupByUUIDString(request.id)
            outputs = _bring(operation, connection, request.id, inputs, retry=request.retry)
        sweep_replaced(
            operation.session, [nic.filter for nic in request.old_inputs.nics], [nic.filter for nic in inputs.nics]
        )
        return Updated(outputs)

    def delete(self, request: DeleteRequest[DomainInputs, DomainOutputs]) -> None:
        """Switch the machine off at once and remove it with its console log."""
        doing = f"removing the machine '{request.outputs.name}'"
        with request.operation.session.own() as connection:
            domain = found(connection.lookupByUUIDString, request.id, doing)
            if domain is not None:
                if not ours(request.id, request.inputs):
                    raise foreign("machine", domain.name())
                with explained(doing):
                    remove_domain(domain)
            if request.outputs.console_path:
                _remove_console(connection, request)


_DEFAULTS = {name: field.default for name, field in DomainInputs.model_fields.items() if not field.is_required()}


def read_values(domain: Any, recorded: DomainInputs | None) -> dict[str, Any]:
    """The inputs that would make the domain as it is.

    Raises:
        libvirt.libvirtError: it cannot be read.
    """
    live = xml_domain.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE))
    values = dict(live)
    if recorded:
        config = xml_domain.parse(domain.XMLDesc(_CONFIG))
        for text in (live, config):
            if _is_alias(text["machine"], recorded.machine):
                text["machine"] = recorded.machine
        values = {name: live[name] if live[name] != getattr(recorded, name) else config[name] for name in live}
    values["power"] = guest.power(domain)
    return values


def _is_alias(live: str, recorded: str) -> bool:
    """Whether `pc-q35-7.2` is what libvirt made of `q35`."""
    return live.startswith(f"pc-{recorded}-")


def _bring(
    operation: Operation, connection: Any, uuid: str, inputs: DomainInputs, *, new: bool = False, retry: bool = False
) -> DomainOutputs:
    """Make the domain what `inputs` say, whatever it is now."""
    references_change(operation.session)
    console_path = _console_path(connection, inputs) if inputs.console_log else None
    outputs = DomainOutputs(
        name=inputs.name, pool=inputs.pool, probe_channel=inputs.probe_channel, uuid=uuid, console_path=console_path
    )
    text = xml_domain.render(
        inputs, uuid, stack=stack_mark(inputs.stack_id), urn=operation.urn, console_path=console_path
    )
    with explained(f"{'making' if new else 'changing'} the machine '{inputs.name}'"):
        domain = connection.defineXML(text)
        running = bool(domain.isActive())
        if running and inputs.power != "stopped":
            live = xml_domain.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE))
            if needs_restart(live, inputs):
                operation.report("restarting")
                guest.stop(domain, operation)
                running = False
            else:
                _change_filters(domain, live["nics"], inputs.nics)
                if guest.power(domain) == "paused":
                    domain.resume()
                    retry = True
        if inputs.power == "stopped":
            if running:
                operation.report("shutting down")
                guest.stop(domain, operation)
            return outputs
        if not running:
            try:
                operation.report("starting")
                domain.create()
            except libvirt.libvirtError:
                if new:
                    with contextlib.suppress(libvirt.libvirtError):
                        remove_domain(domain)
                raise
    if inputs.ready == "channel" and (retry or not running):
        guest.wait_ready(operation, connection, domain, inputs, outputs)
    return outputs


_RESTARTING = (
    "memory_mib", "vcpus", "accelerator", "kernel", "initrd", "cmdline", "disks", "seed", "generations",
    "probe_channel", "console_log",
)  # fmt: skip


def needs_restart(live: dict[str, Any], inputs: DomainInputs) -> bool:
    """Whether the running machine differs in more than its packet filters."""
    if any(live[name] != getattr(inputs, name) for name in _RESTARTING):
        return True
    if not _is_alias(live["machine"], inputs.machine) and live["machine"] != inputs.machine:
        return True
    return [(nic.network, nic.mac, nic.mtu) for nic in live["nics"]] != [
        (nic.network, nic.mac, nic.mtu) for nic in inputs.nics
    ]


def _change_filters(domain: Any, live: list[Nic], wanted: list[Nic]) -> None:
    for now, then in zip(live, wanted, strict=True):
        if (now.filter, now.parameters) == (then.filter, then.parameters):
            continue
        text = xml_domain.live_nic_with_filter(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE), then)
        if text is not None:
            domain.updateDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _console_path(connection: Any, inputs: DomainInputs) -> str:
    pool = own_pool(connection, inputs.pool, inputs)
    with explained(f"reading the pool '{inputs.pool}'"):
        directory = from_text(pool.XMLDesc(0)).findtext("target/path", "")
    return f"{directory}/{inputs.name}{CONSOLE_SUFFIX}"


def _remove_console(connection: Any, request: DeleteRequest[DomainInputs, DomainOutputs]) -> None:
    """Best effort: the pool's own removal takes what stays."""
    outputs = request.outputs
    pool = found(connection.storagePoolLookupByName, outputs.pool, f"looking for the pool '{outputs.pool}'")
    if pool is None or not ours(pool.UUIDString(), request.inputs):
        return
    refresh(pool)
    with contextlib.suppress(libvirt.libvirtError):
        for volume in pool.listAllVolumes():
            if is_console_log(volume.name(), outputs.name):
                volume.delete(0)
