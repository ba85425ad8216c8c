"""A whole stack as a graph of native resources."""

from collections import defaultdict
from collections.abc import Iterator

from provision.diagnostics import Diagnostic, Severity
from provision.errors import PolicyRefused, StackFileError
from provision.spi import GraphBuilder, ResourceGraph, TranslationRequest
from provision.spi.flows import End, ends
from provision_aws.resources.instance_model import MOST_USER_DATA
from provision_aws.translate import endpoints
from provision_aws.translate.groups import Groups
from provision_aws.translate.machines import Machines
from provision_aws.translate.names import Names
from provision_aws.translate.networks import Networks
from provision_aws.translate.objections import found, layout_of, planned
from provision_aws.translate.parts import Parts
from provision_aws.translate.userdata import packed


def translate(request: TranslationRequest) -> ResourceGraph:
    """Native resources of a stack.

    Raises:
        PolicyRefused: a policy cannot be enforced, as only the addresses of the machines show.
        StackFileError: something else of the file cannot be had.
    """
    _refuse(request)
    stack, names, builder = request.stack, Names(request.project, request.stack_name), GraphBuilder()
    if not stack.networks:
        return builder.build()
    held = ends(stack, request.addresses)
    facts = request.capabilities.facts
    exclusive = bool(facts.get("exclusive_groups"))
    networks = Networks(stack, names, builder, layout_of(stack, request.capabilities), exclusive)
    networks.add()
    endpoints.add(networks, str(facts["region"]))
    for name in stack.isolation.policies:
        builder.component("Policy", f"isolation/{name}")
    rules = planned(stack, request.capabilities, request.decisions, held, request.elsewhere)
    groups = Groups(rules, names, builder, networks, tuple(stack.isolation.policies))
    groups.add()
    parts = Parts(stack, request.decisions, facts)
    machines = Machines(request, names, builder, networks, groups, parts)
    by_machine: dict[str, list[End]] = defaultdict(list)
    for end in held:
        by_machine[end.machine].append(end)
    for entry, machine in stack.machines.items():
        for name in machine.names(entry):
            machines.add(name, entry, machine, by_machine[name])
    return builder.build()


def _refuse(request: TranslationRequest) -> None:
    refused = list(_objections(request))
    if any(one.path[:2] == ("isolation", "policies") for one in refused):
        raise PolicyRefused(refused)
    if refused:
        raise StackFileError(refused)


def _objections(request: TranslationRequest) -> Iterator[Diagnostic]:
    scope = (request.project, request.stack_name)
    for objection in found(request.stack, request.capabilities, request.decisions, request.addresses, scope=scope):
        if objection.warns:
            continue  # negotiation has told it
        where = ".".join(map(str, objection.path))
        summary = f"'{where}' cannot be enforced on 'aws': {objection.reason}"
        yield Diagnostic(Severity.ERROR, summary, objection.fix, objection.path)
    for entry, machine in request.stack.machines.items():
        for name in machine.names(entry):
            data = request.user_data.get(name)
            if data is not None and packed(data) is None:
                yield Diagnostic(
                    Severity.ERROR,
                    f"the user data of machine '{name}' is more than the {MOST_USER_DATA} bytes that EC2 takes, though "
                    "it was compressed",
                    "fetch files at first boot instead of writing them into the user data",
                    ("machines", entry, "user_data"),
                )
                break
