"""The whole translation, in the order in which the parts need each other."""

from collections import defaultdict
from collections.abc import Iterable

from provision.diagnostics import Diagnostic, Severity
from provision.errors import StackFileError
from provision.spi import GraphBuilder, Objection, ResourceGraph, TranslationRequest
from provision.spi.flows import End, ends
from provision.spi.peers import instances
from provision_openstack.translate.groups import Groups
from provision_openstack.translate.images import Images
from provision_openstack.translate.machines import Machines, add_limits
from provision_openstack.translate.names import Names
from provision_openstack.translate.networks import add_networks
from provision_openstack.translate.objections import objections
from provision_openstack.translate.placing import Placing
from provision_openstack.translate.quotas import counts
from provision_openstack.translate.referring import taken


def translate(request: TranslationRequest) -> ResourceGraph:
    """Native resources of the stack: networks, groups with their rules, images, ports, volumes and servers.

    Raises:
        StackFileError: the stack as a whole cannot be made on this cloud.
        UserError: something of the stack file cannot be read.
    """
    stack = request.stack
    _refuse(objections(stack, request.capabilities, request.decisions))
    names = Names(request.project, request.stack_name)
    builder = GraphBuilder()
    for name in stack.isolation.policies:
        builder.component("Policy", f"isolation/{name}")
    places = ends(stack, request.addresses)
    own = {f"{one.machine}/{one.index}": names.native(one.machine, f"nic-{one.index}") for one in places}
    _refuse(taken(stack, request.capabilities, request.addresses, own))
    networks = add_networks(stack, names, request.capabilities, builder)
    groups = Groups(request, names, builder)
    groups.add()
    placing = Placing()
    placing.add(request, names, builder)
    images = Images(stack, names, request.directory, builder)
    limits = add_limits(request, names, builder)
    factory = Machines(request, names, builder, networks, groups, images, placing, limits)
    by_machine: dict[str, list[End]] = defaultdict(list)
    for nic in places:
        by_machine[nic.machine].append(nic)
    for name, entry, machine in instances(stack):
        factory.add(name, entry, machine, by_machine[name])
    graph = builder.build()
    _refuse(counts(graph, request.capabilities, names))
    return graph


def _refuse(found: Iterable[Objection]) -> None:
    refused = [Diagnostic(Severity.ERROR, one.reason, one.fix, one.path) for one in found if not one.warns]
    if refused:
        raise StackFileError(refused)
