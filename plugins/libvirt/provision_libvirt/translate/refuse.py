"""What only the stack as a whole shows to be impossible: refused before anything is planned."""

from collections.abc import Iterator

from provision.diagnostics import Diagnostic, Severity
from provision.errors import EnvironmentProblem, PolicyRefused, StackFileError
from provision.models import FileImage, Internet, Posture, Stack, TrafficPolicy
from provision.spi import TranslationRequest, Verdict
from provision_libvirt.filtering import filter_problem
from provision_libvirt.translate.images import source_of
from provision_libvirt.translate.objections import objections
from provision_libvirt.translate.services import connectionless
from provision_libvirt.translate.sides import NicPlace, Side, side, way_out


def refuse_impossible(request: TranslationRequest, places: list[NicPlace]) -> None:
    """Check the whole stack.

    Raises:
        EnvironmentProblem: the hypervisor cannot filter packets, which even the default posture needs.
        PolicyRefused: a policy cannot be enforced as it stands.
        StackFileError: something else of the file would have to be ignored.
    """
    problem = filter_problem(request.capabilities)
    if problem is not None and places and request.stack.isolation.default is Posture.DENY:
        raise EnvironmentProblem(f"isolation is 'deny' by default, but {problem.reason}", problem.fix)
    refused = [*_datagrams(request, places), *_together(request)]
    if refused:
        raise PolicyRefused(refused)
    ignored = list(_ignored(request.stack))
    if ignored:
        raise StackFileError(ignored)


def _datagrams(request: TranslationRequest, places: list[NicPlace]) -> Iterator[Diagnostic]:
    """Datagrams to the outside from routed networks: libvirt does not follow connections in what is routed to a NIC.

    Answers can then only be told by address and port, so that whoever may be asked could also send unasked.
    """
    for name, policy in request.stack.isolation.policies.items():
        decision = request.decisions.get(name)
        if not isinstance(policy, TrafficPolicy) or (decision and decision.verdict is Verdict.DOWNGRADE):
            continue
        loose = [service for service in policy.allow if connectionless(service)]
        if request.stack.isolation.default is Posture.ALLOW:
            yield from _denied_datagrams(request, places, name, policy)
            continue
        if not loose:
            continue
        sources, targets = side(request.stack, policy.sources), side(request.stack, policy.destinations)
        if not _beyond(request.stack, targets):
            continue
        network = next((place.network for place in places if _routed_member(request.stack, sources, place)), None)
        if network is not None:
            yield Diagnostic(
                Severity.ERROR,
                f"policy '{name}' cannot be enforced on 'libvirt': '{loose[0]}' from the routed network '{network}' to "
                "beyond the stack would also let datagrams in that nobody asked for, because libvirt does not follow "
                "connections in packets that the hypervisor routes to a machine",
                f"write 'internet: nat' for network '{network}', or let the machine ask a machine of the stack instead",
                ("isolation", "policies", name, "to"),
            )


def _denied_datagrams(
    request: TranslationRequest, places: list[NicPlace], name: str, policy: TrafficPolicy
) -> Iterator[Diagnostic]:
    """Where everything passes by default, datagrams from beyond are answers or not: nobody can tell."""
    loose = [service for service in policy.deny if connectionless(service)]
    sources, targets = side(request.stack, policy.sources), side(request.stack, policy.destinations)
    if not loose or not _beyond(request.stack, sources):
        return
    network = next((place.network for place in places if _routed_member(request.stack, targets, place)), None)
    if network is not None:
        yield Diagnostic(
            Severity.ERROR,
            f"policy '{name}' cannot be enforced on 'libvirt': '{loose[0]}' from beyond the stack to the routed "
            f"network '{network}' cannot be told from answers to what its machines ask there, which pass by 'default: "
            "allow', because libvirt does not follow connections in packets that the hypervisor routes to a machine",
            f"write 'internet: nat' for network '{network}', or 'default: deny' and what is allowed",
            ("isolation", "policies", name, "deny"),
        )


def _together(request: TranslationRequest) -> Iterator[Diagnostic]:
    """What negotiation objects to already, for whoever translates without it."""
    for objection in objections(request.stack, request.capabilities, request.decisions):
        where = ".".join(map(str, objection.path))
        summary = f"'{where}' cannot be enforced on 'libvirt': {objection.reason}"
        yield Diagnostic(Severity.ERROR, summary, objection.fix, objection.path)


def _routed_member(stack: Stack, sources: Side, place: NicPlace) -> bool:
    return way_out(stack, place.network) is Internet.ROUTED and any(sources.holds(place, family) for family in (4, 6))


def _beyond(stack: Stack, targets: Side) -> bool:
    """Whether some address outside the stack's networks is meant."""
    if targets.outside or targets.internet:
        return True
    for prefix in targets.prefixes:
        own = [net.cidr if prefix.version == 4 else net.cidr6 for net in stack.networks.values()]
        if not any(net is not None and prefix.subnet_of(net) for net in own):  # type: ignore[arg-type]
            return True
    return False


def _ignored(stack: Stack) -> Iterator[Diagnostic]:
    for entry, machine in stack.machines.items():
        if machine.root is not None and not isinstance(source_of(stack, machine.image), FileImage):
            yield Diagnostic(
                Severity.ERROR,
                f"machine '{entry}' has a 'root' disk, but its image '{machine.image}' runs from memory and has none",
                "remove 'root', or use 'disks:' for data",
                ("machines", entry, "root"),
            )
