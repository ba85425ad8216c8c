"""The whole translation, in the order in which the parts need each other."""

from collections import defaultdict

from provision.spi import GraphBuilder, ResourceGraph, TranslationRequest
from provision.spi.flows import End, ends
from provision.spi.peers import instances
from provision_libvirt.resources import Pool
from provision_libvirt.translate.filters import Filters
from provision_libvirt.translate.hostpart import HostParts
from provision_libvirt.translate.images import Images
from provision_libvirt.translate.machines import Machines, disposable
from provision_libvirt.translate.names import Names
from provision_libvirt.translate.networks import add_networks
from provision_libvirt.translate.refuse import refuse_impossible
from provision_libvirt.usermode import is_user


def translate(request: TranslationRequest) -> ResourceGraph:
    """Native resources of the stack: a pool, images, networks, filters, seeds, disks and domains.

    Raises:
        EnvironmentProblem: the hypervisor cannot filter packets.
        PolicyRefused: a policy cannot be enforced.
        UserError: something else of the stack file cannot be made.
    """
    stack = request.stack
    nics = ends(stack, request.addresses)
    refuse_impossible(request, nics)
    names = Names(request.project, request.stack_name)
    builder = GraphBuilder()
    for name in stack.isolation.policies:
        builder.component("Policy", f"isolation/{name}")
    machines = {name: machine for name, _, machine in instances(stack)}
    pool = builder.add(Pool, "pool", {"name": names.prefix, "disposable": disposable(stack, names, machines)})
    networks = (
        {} if is_user(request.capabilities) else add_networks(stack, names, nics, builder, pool, request.capabilities)
    )
    filters = Filters(
        stack,
        names,
        builder,
        nics,
        request.decisions,
        tuple(request.capabilities.facts.get("host_addresses", ())),
        pool,
        tuple(map(str, request.elsewhere)),
    )
    images = Images(stack, names, request.capabilities, request.directory, builder, pool)
    parts = HostParts(stack, request.capabilities, request.decisions)
    factory = Machines(request, names, builder, pool, networks, filters, images, parts)
    by_machine: dict[str, list[End]] = defaultdict(list)
    for nic in nics:
        by_machine[nic.machine].append(nic)
    for name, entry, machine in instances(stack):
        factory.add(name, entry, machine, by_machine[name])
    return builder.build()
