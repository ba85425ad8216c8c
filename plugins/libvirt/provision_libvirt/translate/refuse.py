"""What only the stack as a whole shows to be impossible: refused before anything is planned."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from provision.diagnostics import Diagnostic, Severity
from provision.errors import EnvironmentProblem, PolicyRefused, StackFileError, UserError
from provision.models import (
    BuiltinImage,
    FileImage,
    Internet,
    PeerKind,
    Posture,
    SingleTenancyPolicy,
    Stack,
    TrafficPolicy,
    UrlImage,
)
from provision.spi import TranslationRequest, enforced
from provision.spi.flows import End
from provision.spi.peers import PeerSet, peer_set
from provision_libvirt.cloud.fetch import kept
from provision_libvirt.cloud.header import virtual_size
from provision_libvirt.filtering import filter_problem
from provision_libvirt.translate.images import has_root, source_of
from provision_libvirt.translate.names import Names
from provision_libvirt.translate.objections import objections
from provision_libvirt.translate.services import connectionless


def refuse_impossible(request: TranslationRequest, places: Sequence[End]) -> None:
    """Check the whole stack.

    Raises:
        EnvironmentProblem: the hypervisor cannot filter packets, which even the default posture needs.
        PolicyRefused: a policy cannot be enforced as it stands.
        StackFileError: something else of the file would have to be ignored.
    """
    problem = filter_problem(request.capabilities)
    if problem is not None and places and request.stack.isolation.default is Posture.DENY:
        raise EnvironmentProblem(f"isolation is 'deny' by default, but {problem.reason}", problem.fix)
    refused = [*_datagrams(request, places), *_together(request), *_tenants(request)]
    if refused:
        raise PolicyRefused(refused)
    ignored = [*_ignored(request.stack), *_files(request)]
    if ignored:
        raise StackFileError(ignored)


def _datagrams(request: TranslationRequest, places: Sequence[End]) -> Iterator[Diagnostic]:
    """Datagrams to the outside from routed networks: libvirt does not follow connections in what is routed to a NIC.

    Answers can then only be told by address and port, so that whoever may be asked could also send unasked.
    """
    for name, policy in enforced(request.stack, request.decisions):
        if not isinstance(policy, TrafficPolicy):
            continue
        loose = [service for service in policy.allow if connectionless(service)]
        if request.stack.isolation.default is Posture.ALLOW:
            yield from _denied_datagrams(request, places, name, policy)
            continue
        if not loose:
            continue
        sources, targets = peer_set(request.stack, policy.sources), peer_set(request.stack, policy.destinations)
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
    request: TranslationRequest, places: Sequence[End], name: str, policy: TrafficPolicy
) -> Iterator[Diagnostic]:
    """Where everything passes by default, datagrams from beyond are answers or not: nobody can tell."""
    loose = [service for service in policy.deny if connectionless(service)]
    sources, targets = peer_set(request.stack, policy.sources), peer_set(request.stack, policy.destinations)
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
        if objection.warns:
            continue
        where = ".".join(map(str, objection.path))
        summary = f"'{where}' cannot be enforced on 'libvirt': {objection.reason}"
        yield Diagnostic(Severity.ERROR, summary, objection.fix, objection.path)


def _tenants(request: TranslationRequest) -> Iterator[Diagnostic]:
    """Machines of other stacks, which only their names tell before anything is made."""
    own = Names(request.project, request.stack_name).native("")
    others = [name for name in request.capabilities.facts.get("machines", ()) if not name.startswith(own)]
    for name, policy in enforced(request.stack, request.decisions):
        if others and isinstance(policy, SingleTenancyPolicy):
            yield Diagnostic(
                Severity.ERROR,
                f"policy '{name}' cannot be enforced on 'libvirt': the hypervisor has machines that are not this "
                f"stack's: {', '.join(others)}",
                "remove them, use a hypervisor of the stack's own, or remove the policy",
                ("isolation", "policies", name),
            )


def _routed_member(stack: Stack, sources: PeerSet, place: End) -> bool:
    return stack.networks[place.network].internet is Internet.ROUTED and any(
        sources.holds(place, family) for family in (4, 6)
    )


def _beyond(stack: Stack, targets: PeerSet) -> bool:
    """Whether some address outside the stack's networks is meant."""
    if targets.outside or targets.internet:
        return True
    for prefix in targets.prefixes:
        own = [net.cidr if prefix.version == 4 else net.cidr6 for net in stack.networks.values()]
        if not any(net is not None and prefix.subnet_of(net) for net in own):  # type: ignore[arg-type]
            return True
    return False


def _unresolved(stack: Stack) -> Iterator[Diagnostic]:
    """Outputs of other stacks as peers: whoever loads a stack to make it looks them up before."""
    for name, policy in stack.isolation.policies.items():
        if not isinstance(policy, TrafficPolicy):
            continue
        for key, peers in (("from", policy.sources), ("to", policy.destinations)):
            for index, peer in enumerate(peers):
                if peer.kind is PeerKind.REFERENCE:
                    yield Diagnostic(
                        Severity.ERROR,
                        f"'{peer}' was not looked up in this run, so its prefixes are not known",
                        "write the CIDR itself",
                        ("isolation", "policies", name, key, index),
                    )


def _ignored(stack: Stack) -> Iterator[Diagnostic]:
    for entry, machine in stack.machines.items():
        if machine.root is not None and not has_root(source_of(stack, machine.image)):
            yield Diagnostic(
                Severity.ERROR,
                f"machine '{entry}' has a 'root' disk, but its image '{machine.image}' runs from memory and has none",
                "remove 'root', or use 'disks:' for data",
                ("machines", entry, "root"),
            )


def _files(request: TranslationRequest) -> Iterator[Diagnostic]:
    """Images in local files, and downloads that are here already: what is no disk, and roots smaller than them."""
    sizes: dict[str, int | Diagnostic | None] = {}
    for entry, machine in request.stack.machines.items():
        if machine.image not in sizes:
            sizes[machine.image] = _size(request, machine.image)
            if isinstance(found := sizes[machine.image], Diagnostic):
                yield found
        size, root = sizes[machine.image], machine.root
        if isinstance(size, int) and root is not None and root.size is not None and root.size < size:
            yield Diagnostic(
                Severity.ERROR,
                f"the root disk of machine '{entry}' is smaller than its image '{machine.image}', which has "
                f"{-(-size // (1 << 20))} MiB",
                f"write 'size: {-(-size // (1 << 20))}MiB' or more, or leave it out",
                ("machines", entry, "root", "size"),
            )


def _size(request: TranslationRequest, name: str) -> int | Diagnostic | None:
    """What a machine sees of an image in bytes; None when that is not known yet, and what is wrong with it."""
    source = source_of(request.stack, name)
    if isinstance(source, BuiltinImage):
        built = (request.capabilities.facts.get("images") or {}).get(source.name)
        return int(built["size"]) if built else None
    path: Path | None = None
    if isinstance(source, FileImage):
        path = Path(request.directory, source.path)
    elif isinstance(source, UrlImage):
        path = kept(source.sha256)
    if path is None or not isinstance(source, FileImage | UrlImage):
        return None
    try:
        return virtual_size(path, source.format, name)
    except UserError as problem:
        return Diagnostic(Severity.ERROR, problem.summary, problem.fix, ("images", name, "sources"))
    except OSError:
        return None  # said where its digest is taken
