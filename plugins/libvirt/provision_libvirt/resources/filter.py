"""`nwfilter:Filter`: packet rules that libvirt puts into the kernel for each NIC that refers to them."""

from collections.abc import Iterable, Sequence
from typing import Any

import libvirt

from provision.errors import RetriableError
from provision.spi import (
    Checked,
    CheckRequest,
    Created,
    CreateRequest,
    DeleteRequest,
    Listed,
    ListRequest,
    Read,
    ReadRequest,
    Replacement,
    ResourceType,
    Updated,
    UpdateRequest,
    admitted,
)
from provision_libvirt.ownership import Owner, is_marked
from provision_libvirt.resources import xml_filter
from provision_libvirt.resources.common import foreign, name_for_life, ours, taken_back
from provision_libvirt.resources.filter_guard import drop_left_way
from provision_libvirt.resources.filter_hold import drop_left_copy, old_rules_held
from provision_libvirt.resources.filter_model import FilterInputs, FilterOutputs
from provision_libvirt.resources.filter_users import (
    incarnations,
    references_change,
    sweep_older,
    sweep_replaced,
    users_of,
)
from provision_libvirt.resources.finding import FILTER
from provision_libvirt.resources.importing import imported, is_adopted, stack_pool
from provision_libvirt.resources.native_model import Query
from provision_libvirt.session import Session, explain, explained, is_absent


class Filter(ResourceType[FilterInputs, FilterOutputs, Session]):
    """A packet filter. New rules reach running machines at once.

    A filter in use cannot be removed, so a new one is made first: each has a random incarnation in name and UUID, and
    is never adopted, since what is found may be the live one.
    """

    token = "nwfilter:Filter"
    Inputs = FilterInputs
    Outputs = FilterOutputs
    Query = Query
    replacement = Replacement.CREATE_FIRST

    def check(self, request: CheckRequest) -> Checked:
        """Keep the name on the hypervisor."""
        return name_for_life(request)

    def create(self, request: CreateRequest[FilterInputs]) -> Created[FilterOutputs]:
        """Make a new incarnation. What interrupted runs left goes when this one is used, or changed, or goes itself."""
        inputs = request.inputs
        owner = Owner(inputs.stack_id, request.operation.urn)
        connection = request.operation.session.connection()
        _drop_what_was_left(request.operation.session)
        references_change(request.operation.session)
        uuid, incarnation = owner.incarnation()
        older = incarnations(connection, uuid)
        outputs = _define(connection, inputs, f"{inputs.name}-{incarnation}", uuid, older=older)
        sweep_replaced(request.operation.session, [reference.filter for reference in inputs.references])
        return Created(uuid, outputs)

    def read(self, request: ReadRequest[FilterInputs, FilterOutputs]) -> Read[FilterInputs, FilterOutputs] | None:
        """What the filter is now: the recorded rules when its definition is the one that was written."""
        _drop_what_was_left(request.operation.session)
        filter = FILTER.read(request)
        if filter is None:
            return None
        recorded, before = request.inputs, request.outputs
        with explained(f"reading the packet filter {request.id}"):
            uuid, text = filter.UUIDString(), filter.XMLDesc(0)
            if recorded is None:
                inputs = _importable(filter, stack_pool(request.operation.session.connection(), uuid))
        outputs = _outputs(text, uuid, adopted=is_adopted(request), older=before.older if before else [])
        if recorded:
            same = before is not None and before.fingerprint == outputs.fingerprint
            inputs = recorded if same else _live_inputs(text, recorded)
        return Read(uuid, inputs, outputs)

    def list(self, request: ListRequest) -> Iterable[Listed]:
        """Packet filters, by name; those that libvirt brings are not ours."""
        return FILTER.list(request, _importable)

    def update(self, request: UpdateRequest[FilterInputs, FilterOutputs]) -> Updated[FilterOutputs]:
        """Write the rules anew, under the same name and UUID; libvirt applies them to running machines."""
        inputs = request.inputs
        connection = request.operation.session.connection()
        with admitted(self, request), explained(f"changing the packet filter '{inputs.name}'"):
            name = connection.nwfilterLookupByUUIDString(request.id).name()
            if not ours(request.id, inputs, request.outputs):
                raise foreign("packet filter", name)
            references_change(request.operation.session)
            with old_rules_held(request.operation.session.config.uri):
                outputs = _define(connection, inputs, name, request.id, before=request.outputs)
        sweep_replaced(request.operation.session, [name, *(reference.filter for reference in inputs.references)])
        return Updated(outputs)

    def delete(self, request: DeleteRequest[FilterInputs, FilterOutputs]) -> None:
        """Remove the filter.

        Raises:
            RetriableError: a machine or another filter still refers to it.
        """
        connection = request.operation.session.connection()
        _drop_what_was_left(request.operation.session)
        filter = FILTER.marked(connection, request.id)
        if filter is None:
            return
        name = filter.name()
        if not ours(request.id, request.inputs, request.outputs):
            raise foreign("packet filter", name)
        sweep_older(request.operation.session, request.outputs.older)
        # Libvirt minds only running machines; a stopped one, or another filter, could then not be started any more.
        if users := users_of(request.operation.session, name):
            if _is_replaced(connection, request.id):
                request.operation.report(f"left until {users} takes the filter that replaces it")
                return
            raise _in_use(name, users)
        try:
            filter.undefine()
        except libvirt.libvirtError as error:
            if is_absent(error):
                return
            if error.get_error_code() in (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_RESOURCE_BUSY):
                raise _in_use(name, "a running machine") from None
            raise explain(f"removing the packet filter '{name}'", error) from None


def _drop_what_was_left(session: Session) -> None:
    """Rules of runs that were killed while filters changed or machines started."""
    drop_left_copy(session.config.uri)
    drop_left_way(session.config.uri)


def _define(
    connection: Any,
    inputs: FilterInputs,
    name: str,
    uuid: str,
    before: FilterOutputs | None = None,
    *,
    older: Sequence[str] = (),
) -> FilterOutputs:
    with explained(f"writing the packet filter '{name}'"):
        made = connection.nwfilterDefineXML(xml_filter.render(inputs, name, uuid))
        with taken_back(lambda: made.undefine() if before is None else None):
            adopted = before is not None and before.adopted
            return _outputs(made.XMLDesc(0), uuid, adopted=adopted, older=before.older if before else older)


def _outputs(text: str, uuid: str, *, adopted: bool, older: Sequence[str]) -> FilterOutputs:
    name, fingerprint = xml_filter.parse(text)["name"], xml_filter.fingerprint(text)
    return FilterOutputs(name=name, uuid=uuid, fingerprint=fingerprint, adopted=adopted, older=list(older))


def _importable(filter: Any, pool: str = "") -> FilterInputs:
    """The inputs that describe a filter whoever made it; one of ours has the name of its incarnation behind a dash.

    Raises:
        UserError: they cannot.
    """
    name = filter.name()
    base = name.rpartition("-")[0] if is_marked(filter.UUIDString()) else ""
    values = xml_filter.parse(filter.XMLDesc(0)) | {"name": base or name, "pool": pool}
    return imported(FilterInputs, f"the packet filter '{name}'", values)


def _live_inputs(text: str, recorded: FilterInputs) -> FilterInputs:
    """The live definition, each unchanged rule in the spelling that was recorded."""
    values = xml_filter.parse(text)
    spelling = {xml_filter.canonical(rule): rule for rule in recorded.rules}
    values["rules"] = [spelling.get(xml_filter.canonical(rule), rule) for rule in values["rules"]]
    if recorded.priority is None:
        values["priority"] = None  # libvirt fills a default in
    return recorded.model_copy(update={**values, "name": recorded.name})


def _is_replaced(connection: Any, uuid: str) -> bool:
    """Whether there is another incarnation: then whatever uses this one is about to change over."""
    return any(other != uuid for other in incarnations(connection, uuid))


def _in_use(name: str, users: str) -> RetriableError:
    return RetriableError(
        f"the packet filter '{name}' is still in use by {users}", "run again once nothing refers to it"
    )
