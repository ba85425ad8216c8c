"""`nwfilter:Filter`: packet rules that libvirt puts into the kernel for each NIC that refers to them."""

import contextlib
from typing import Any

import libvirt

from provision.errors import RetriableError
from provision.spi import (
    Checked,
    CheckRequest,
    Created,
    CreateRequest,
    DeleteRequest,
    Read,
    ReadRequest,
    Replacement,
    ResourceType,
    Updated,
    UpdateRequest,
)
from provision_libvirt.ownership import Owner, same_owner
from provision_libvirt.resources import xml_filter
from provision_libvirt.resources.common import foreign, found, name_for_life, ours
from provision_libvirt.resources.filter_model import FilterInputs, FilterOutputs
from provision_libvirt.resources.filter_users import descriptions, references_change, sweep_replaced, users_of
from provision_libvirt.resources.xml_domain import used_filters
from provision_libvirt.session import Session, explain, explained, is_absent


class Filter(ResourceType[FilterInputs, FilterOutputs, Session]):
    """A packet filter. New rules reach running machines at once.

    A filter in use cannot be removed, so a new one is made first: each has a random incarnation in name and UUID, and
    is never adopted, since what is found may be the live one.
    """

    token = "nwfilter:Filter"
    Inputs = FilterInputs
    Outputs = FilterOutputs
    replacement = Replacement.CREATE_FIRST

    def check(self, request: CheckRequest) -> Checked:
        """Keep the name on the hypervisor."""
        return name_for_life(request)

    def create(self, request: CreateRequest[FilterInputs]) -> Created[FilterOutputs]:
        """Make a new incarnation, then remove those that interrupted runs left and nothing uses."""
        inputs = request.inputs
        owner = Owner(inputs.stack_id, request.operation.urn)
        connection = request.operation.session.connection()
        references_change(request.operation.session)
        uuid, incarnation = owner.incarnation()
        outputs = _define(connection, inputs, f"{inputs.name}-{incarnation}", uuid)
        with contextlib.suppress(libvirt.libvirtError):  # what stays is found again by the next create
            _remove_unused(connection, owner, uuid)
        return Created(uuid, outputs)

    def read(self, request: ReadRequest[FilterInputs, FilterOutputs]) -> Read[FilterInputs, FilterOutputs] | None:
        """What the filter is now: the recorded rules when its definition is the one that was written."""
        connection = request.operation.session.connection()
        doing = f"reading the packet filter {request.id}"
        filter = found(connection.nwfilterLookupByUUIDString, request.id, doing)
        if filter is None:
            return None
        with explained(doing):
            text = filter.XMLDesc(0)
        outputs = _outputs(text, request.id)
        recorded, before = request.inputs, request.outputs
        if recorded and before and before.fingerprint == outputs.fingerprint:
            return Read(request.id, recorded, outputs)
        return Read(request.id, _live_inputs(text, recorded), outputs)

    def update(self, request: UpdateRequest[FilterInputs, FilterOutputs]) -> Updated[FilterOutputs]:
        """Write the rules anew, under the same name and UUID; libvirt applies them to running machines."""
        inputs = request.inputs
        connection = request.operation.session.connection()
        with explained(f"changing the packet filter '{inputs.name}'"):
            name = connection.nwfilterLookupByUUIDString(request.id).name()
        if not ours(request.id, inputs):
            raise foreign("packet filter", name)
        references_change(request.operation.session)
        updated = Updated(_define(connection, inputs, name, request.id))
        sweep_replaced(
            request.operation.session,
            [reference.filter for reference in request.old_inputs.references],
            [reference.filter for reference in inputs.references],
        )
        return updated

    def delete(self, request: DeleteRequest[FilterInputs, FilterOutputs]) -> None:
        """Remove the filter.

        Raises:
            RetriableError: a machine or another filter still refers to it.
        """
        connection = request.operation.session.connection()
        filter = found(connection.nwfilterLookupByUUIDString, request.id, f"looking for the packet filter {request.id}")
        if filter is None:
            return
        name = filter.name()
        if not ours(request.id, request.inputs):
            raise foreign("packet filter", name)
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


def _define(connection: Any, inputs: FilterInputs, name: str, uuid: str) -> FilterOutputs:
    with explained(f"writing the packet filter '{name}'"):
        made = connection.nwfilterDefineXML(xml_filter.render(inputs, name, uuid))
        return _outputs(made.XMLDesc(0), uuid)


def _outputs(text: str, uuid: str) -> FilterOutputs:
    return FilterOutputs(name=xml_filter.parse(text)["name"], uuid=uuid, fingerprint=xml_filter.fingerprint(text))


def _live_inputs(text: str, recorded: FilterInputs | None) -> FilterInputs:
    """The live definition, each unchanged rule in the spelling that was recorded."""
    values = xml_filter.parse(text)
    values["name"] = values["name"].rpartition("-")[0] or values["name"]
    if recorded is None:
        return FilterInputs.model_construct(stack_id="", pool="", **values)
    spelling = {xml_filter.canonical(rule): rule for rule in recorded.rules}
    values["rules"] = [spelling.get(xml_filter.canonical(rule), rule) for rule in values["rules"]]
    if recorded.priority is None:
        values["priority"] = None  # libvirt fills a default in
    return recorded.model_copy(update={**values, "name": recorded.name})


def _remove_unused(connection: Any, owner: Owner, current: str) -> None:
    others = [
        filter
        for filter in connection.listAllNWFilters()
        if owner.owns(filter.UUIDString()) and filter.UUIDString() != current
    ]
    if not others:
        return
    used = used_filters(
        [domain.XMLDesc(flags) for domain in connection.listAllDomains() for flags in descriptions(domain)]
        + [filter.XMLDesc(0) for filter in connection.listAllNWFilters()]
    )
    for filter in others:
        if filter.name() not in used:
            with contextlib.suppress(libvirt.libvirtError):
                filter.undefine()


def _is_replaced(connection: Any, uuid: str) -> bool:
    """Whether there is another incarnation: then whatever uses this one is about to change over."""
    with explained("looking for packet filters"):
        others = [filter.UUIDString() for filter in connection.listAllNWFilters()]
    return any(other != uuid and same_owner(other, uuid) for other in others)


def _in_use(name: str, users: str) -> RetriableError:
    return RetriableError(
        f"the packet filter '{name}' is still in use by {users}", "run again once nothing refers to it"
    )
