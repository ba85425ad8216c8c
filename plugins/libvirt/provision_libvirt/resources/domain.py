"""`domain:Domain`: a virtual machine."""

from collections.abc import Iterable
from typing import Any

import libvirt

from provision.spi import (
    Cancelled,
    Checked,
    CheckFailure,
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
from provision_libvirt.resources import guest, hotplug, snapshots, tuning, xml_domain
from provision_libvirt.resources.common import foreign, name_for_life, ours, own_pool, taken, taken_back
from provision_libvirt.resources.domain_model import Disk, DomainInputs, DomainOutputs
from provision_libvirt.resources.filter_guard import rules_kept
from provision_libvirt.resources.filter_users import references_change, sweep_replaced
from provision_libvirt.resources.finding import DOMAIN, POOL, found
from provision_libvirt.resources.importing import imported, is_adopted, not_importable, stack_pool
from provision_libvirt.resources.leftovers import CONSOLE_SUFFIX, is_console_log, refresh, remove_domain, stop_at_once
from provision_libvirt.resources.native_model import Query
from provision_libvirt.resources.xml_places import settled
from provision_libvirt.resources.xml_tools import attribute, from_text, owner_of
from provision_libvirt.session import Session, explained

_CONFIG = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE


class Domain(ResourceType[DomainInputs, DomainOutputs, Session]):
    """A virtual machine, started and, when it has a probe agent, waited for."""

    token = "domain:Domain"
    Inputs = DomainInputs
    Outputs = DomainOutputs
    Query = Query

    def check(self, request: CheckRequest) -> Checked:
        """Keep the name on the hypervisor; refuse to take virtual CPUs from a running machine."""
        inputs, before = name_for_life(request).inputs, request.old_inputs or {}
        if before.get("power", "running") == inputs.get("power", "running") == "running":
            reason = tuning.takes_vcpus(before, inputs)
            if reason:
                return Checked(inputs, (CheckFailure("online_vcpus", reason),))
        return Checked(inputs)

    def create(self, request: CreateRequest[DomainInputs]) -> Created[DomainOutputs]:
        """Define and start the machine and wait until it is ready, going on with what an interrupted run left.

        Raises:
            CreatedButUnhealthy: it is there, but is not ready in time.
        """
        inputs, operation = request.inputs, request.operation
        uuid = Owner(inputs.stack_id, operation.urn).uuid()
        with operation.session.own() as connection:
            left = DOMAIN.marked(connection, uuid)
            if left is not None and left.name() != inputs.name:
                with explained(f"removing the machine '{left.name()}'"):
                    remove_domain(left)
                left = None
            if left is None:
                other = DOMAIN.named(connection, inputs.name)
                if other is not None:
                    raise taken("machine", inputs.name, other.UUIDString(), inputs)
            else:
                operation.report("going on with the machine that an interrupted run left")
            outputs = _bring(operation, connection, uuid, inputs, new=left is None, retry=True)
        sweep_replaced(operation.session, [nic.filter for nic in inputs.nics])
        return Created(uuid, outputs)

    def read(self, request: ReadRequest[DomainInputs, DomainOutputs]) -> Read[DomainInputs, DomainOutputs] | None:
        """What the machine is now: a difference may be in the running machine or in what its next start uses."""
        domain = DOMAIN.read(request)
        if domain is None:
            return None
        recorded = request.inputs
        with explained(f"reading the machine {request.id}"):
            uuid = domain.UUIDString()
            if recorded is None:
                inputs = _importable(domain, request.operation.session.connection())
            else:
                inputs = DomainInputs.model_construct(**{**dict(recorded), **read_values(domain, recorded)})
            path = from_text(domain.XMLDesc(0)).find("devices/serial/log")
        outputs = DomainOutputs(
            name=inputs.name,
            pool=inputs.pool,
            probe_channel=inputs.probe_channel,
            uuid=uuid,
            console_path=None if path is None else path.get("file"),
            adopted=is_adopted(request),
        )
        return Read(uuid, inputs, outputs)

    def list(self, request: ListRequest) -> Iterable[Listed]:
        """Machines, by name."""
        return DOMAIN.list(request, _importable)

    def update(self, request: UpdateRequest[DomainInputs, DomainOutputs]) -> Updated[DomainOutputs]:
        """Change disks, cards, filters, limits, pins and power while the machine runs, anything else by a restart.

        Raises:
            CreatedButUnhealthy: it does not become ready in time.
        """
        inputs, operation = request.inputs, request.operation
        if not ours(request.id, inputs, request.outputs):
            raise foreign("machine", inputs.name)
        with admitted(self, request), operation.session.own() as connection:
            with explained(f"changing the machine '{inputs.name}'"):
                connection.lookupByUUIDString(request.id)
            adopted = request.outputs.adopted
            outputs = _bring(operation, connection, request.id, inputs, retry=request.retry, adopted=adopted)
        sweep_replaced(operation.session, [nic.filter for nic in inputs.nics])
        return Updated(outputs)

    def delete(self, request: DeleteRequest[DomainInputs, DomainOutputs]) -> None:
        """Switch the machine off and remove it with its console log."""
        doing = f"removing the machine '{request.outputs.name}'"
        with request.operation.session.own() as connection:
            domain = DOMAIN.marked(connection, request.id)
            if domain is not None:
                if not ours(request.id, request.inputs, request.outputs):
                    raise foreign("machine", domain.name())
                with explained(doing):
                    _stop_for_good(domain, request)
                    if gone := snapshots.forget(domain):
                        request.operation.note(f"its snapshots went with it: {', '.join(gone)}")
                    remove_domain(domain)
            if request.outputs.console_path:
                _remove_console(connection, request)


def _stop_for_good(domain: Any, request: DeleteRequest[DomainInputs, DomainOutputs]) -> None:
    """Switch off a machine that is to go: in order when it has disks that outlive it, else at once."""
    inputs = request.inputs
    if inputs is not None and inputs.shutdown_on_delete and guest.power(domain) == "running":
        request.operation.report("shutting down")
        guest.stop(domain, request.operation, inputs.shutdown_timeout_s)
    else:
        stop_at_once(domain)


def _importable(domain: Any, connection: Any = None) -> DomainInputs:
    """The inputs that describe a machine whoever made it.

    Raises:
        UserError: it has devices or settings that the first update would take away.
    """
    what = f"the machine '{domain.name()}'"
    values = read_values(domain, None)
    text = domain.XMLDesc(_CONFIG)
    if connection and not values["pool"]:
        values["pool"] = stack_pool(connection, domain.UUIDString()) or _pool_of_disks(connection, values["disks"])
    if (mark := owner_of(from_text(text))) is not None and _is_alias(values["machine"], mark.get("machine", "")):
        values["machine"] = mark.get("machine")
    values["ready"] = "channel" if values["probe_channel"] else "none"
    inputs = imported(DomainInputs, what, values)
    path = attribute(from_text(text), "devices/serial/log", "file")
    if strange := xml_domain.undescribed(text, inputs, path):
        raise not_importable(what, f"this type does not describe its {', '.join(strange)}")
    return inputs


def _pool_of_disks(connection: Any, disks: list[Disk]) -> str:
    for disk in disks:
        doing = f"looking for the volume {disk.path}"
        volume = found(connection.storageVolLookupByPath, disk.path, doing) if disk.path else None
        if volume is not None:
            return str(volume.storagePoolLookupByVolume().name())
    return ""


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
        live, config = (
            hotplug.ordered(tuning.as_recorded(domain, text, recorded), recorded) for text in (live, config)
        )
        if domain.isActive():
            live["balloon_mib"] = tuning.balloon_aim(domain, live, config["balloon_mib"])
        values = {name: live[name] if live[name] != getattr(recorded, name) else config[name] for name in live}
    values["power"] = guest.power(domain)
    values["autostart"] = bool(domain.autostart())
    return values


def _is_alias(live: str, recorded: str) -> bool:
    """Whether `pc-q35-7.2` is what libvirt made of `q35`, or `pc-i440fx-7.2` of `pc`."""
    return live.startswith("pc-i440fx-" if recorded == "pc" else f"pc-{recorded}-")


def _bring(
    operation: Operation,
    connection: Any,
    uuid: str,
    inputs: DomainInputs,
    *,
    new: bool = False,
    retry: bool = False,
    adopted: bool = False,
) -> DomainOutputs:
    """Make the domain what `inputs` say, whatever it is now."""
    references_change(operation.session)
    console_path = _console_path(connection, inputs) if inputs.console_log else None
    outputs = DomainOutputs(
        name=inputs.name,
        pool=inputs.pool,
        probe_channel=inputs.probe_channel,
        uuid=uuid,
        console_path=console_path,
        adopted=adopted,
    )
    text = xml_domain.render(
        inputs, uuid, stack=stack_mark(inputs.stack_id), urn=operation.urn, console_path=console_path
    )
    if operation.cancelled():
        raise Cancelled
    with explained(f"{'making' if new else 'changing'} the machine '{inputs.name}'"):
        domain: Any = None if new else connection.lookupByUUIDString(uuid)
        running = domain is not None and bool(domain.isActive())
        if running and inputs.power != "stopped":
            live = xml_domain.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE))
            if not needs_restart(live, inputs):
                retry = _change_running(operation, domain, live, inputs, text) or retry
                _define(connection, domain, inputs, text)
            else:
                _define(connection, domain, inputs, text)
                operation.report("restarting")
                guest.stop(domain, operation, inputs.shutdown_timeout_s)
                running = False
        else:
            domain = _define(connection, domain, inputs, text)
        with taken_back(lambda: remove_domain(domain) if new else None):
            if inputs.power == "stopped":
                if running:
                    operation.report("shutting down")
                    guest.stop(domain, operation, inputs.shutdown_timeout_s)
                return outputs
            if not running:
                if operation.cancelled():
                    raise Cancelled
                operation.report("starting")
                _start(operation, connection, domain, inputs)
    if inputs.ready != "none" and (retry or not running):
        with explained(f"waiting for the machine '{inputs.name}'"):
            guest.wait_ready(operation, connection, domain, inputs, outputs)
    return outputs


def _start(operation: Operation, connection: Any, domain: Any, inputs: DomainInputs) -> None:
    """Start it; libvirt puts rules into the kernel only for cards that have a filter."""
    if any(nic.filter for nic in inputs.nics):
        with rules_kept(operation.session.config.uri, lambda: connection.numOfDomains() > 0):
            domain.create()
    else:
        domain.create()


def _define(connection: Any, domain: Any | None, inputs: DomainInputs, text: str) -> Any:
    """Make `text` the definition that the next start uses, with every device where it is."""
    before = None if domain is None else domain.XMLDesc(0 if domain.isActive() else libvirt.VIR_DOMAIN_XML_INACTIVE)
    made = connection.defineXML(settled(text, before))
    if bool(made.autostart()) is not inputs.autostart:
        made.setAutostart(int(inputs.autostart))
    return made


def _change_running(operation: Operation, domain: Any, live: dict[str, Any], inputs: DomainInputs, text: str) -> bool:
    """Change what can be changed while the machine runs; gives whether it was paused and runs again."""
    hotplug.unplug(operation, domain, live, inputs, renamed=True)
    hotplug.plug(operation, domain, live, inputs, settled(text, domain.XMLDesc(0)))
    tuning.change_vcpus(operation, domain, live, inputs)
    tuning.change(domain, live, inputs)
    paused = guest.power(domain) == "paused"
    if paused:
        domain.resume()
    hotplug.unplug(operation, domain, live, inputs)
    tuning.change_balloon(operation, domain, inputs)
    mark = owner_of(from_text(text))
    if mark is not None:
        hotplug.write_mark(domain, mark)
    return paused


_RESTARTING = (
    "memory_mib", "vcpus", "accelerator", "kernel", "initrd", "cmdline", "seed", "generations",
    "probe_channel", "console_log",
)  # fmt: skip


def needs_restart(live: dict[str, Any], inputs: DomainInputs) -> bool:
    """Whether the running machine differs in more than what can be changed while it runs."""
    if any(live[name] != getattr(inputs, name) for name in _RESTARTING):
        return True
    if not _is_alias(live["machine"], inputs.machine) and live["machine"] != inputs.machine:
        return True
    return tuning.needs_restart(live, inputs) or hotplug.needs_restart(live, inputs)


def _console_path(connection: Any, inputs: DomainInputs) -> str:
    pool = own_pool(connection, inputs.pool, inputs)
    with explained(f"reading the pool '{inputs.pool}'"):
        directory = from_text(pool.XMLDesc(0)).findtext("target/path", "")
    return f"{directory}/{inputs.name}{CONSOLE_SUFFIX}"


def _remove_console(connection: Any, request: DeleteRequest[DomainInputs, DomainOutputs]) -> None:
    """Remove the console log; that in a pool which does not run stays, and goes with the pool."""
    outputs = request.outputs
    pool = POOL.named(connection, outputs.pool)
    if pool is None or not ours(pool.UUIDString(), request.inputs):
        return
    with explained(f"removing the console log of '{outputs.name}'"):
        if not pool.isActive():
            return
        refresh(pool)
        for volume in pool.listAllVolumes():
            if is_console_log(volume.name(), outputs.name):
                volume.delete(0)
