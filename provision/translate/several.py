"""A stack at all its locations: each platform is asked, a policy has one verdict, and one graph comes out."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from provision.addressing import AssignedAddress
from provision.diagnostics import DiagnosticSink
from provision.errors import PolicyRefused, StackFileError, UserError
from provision.spi import (
    Capabilities,
    Component,
    Decision,
    NicAddress,
    Provider,
    ResourceGraph,
    Verdict,
)
from provision.translate.drift import check_drift
from provision.translate.location import PlacedStack, joined
from provision.translate.negotiate import negotiate
from provision.translate.plan import Scope, Translation, nic_addresses, translate

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Agreement:
    """One location whose platform has agreed to everything that will be made there."""

    placed: PlacedStack
    provider: Provider[Any, Any]
    capabilities: Capabilities
    decisions: Mapping[str, Decision]


@dataclass(frozen=True)
class Whole:
    """A stack at all its locations, translated.

    Attributes:
        graph: native resources of all locations.
        by_location: the same by location, as their plugins made them.
        at: by name of native resource in `graph`, its location.
        outputs: what the stack exports.
        addresses: per machine instance, its NICs in order.
    """

    graph: ResourceGraph
    by_location: Mapping[str, Translation]
    at: Mapping[str, str]
    outputs: Mapping[str, Any]
    addresses: Mapping[str, tuple[NicAddress, ...]]


def at_once(work: Callable[[A], B], items: Sequence[A]) -> list[B]:
    """Do `work` for all items in parallel; the failure of an earlier one is raised rather than that of a later one."""
    if len(items) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(len(items), 16), "location") as pool:
        futures = [pool.submit(work, item) for item in items]
    return [future.result() for future in futures]


def agreements(
    asked: Sequence[tuple[PlacedStack, Provider[Any, Any], Capabilities]], sink: DiagnosticSink
) -> list[Agreement]:
    """Have the platform of every location agree to what is made there, and find one verdict for each policy.

    Raises:
        PolicyRefused: a platform cannot enforce a required policy; carries everything found at all locations.
        StackFileError: one cannot do something else that the file asks for; carries everything found.
        UserError: two locations are the same hypervisor.
    """
    _apart(asked)
    found: list[Mapping[str, Decision]] = []
    failures: list[StackFileError] = []
    for placed, provider, capabilities in asked:
        own = DiagnosticSink(sink.source_map)
        try:
            said = negotiate(
                placed.stack, provider, capabilities, own, objections=placed.objections, where=placed.where
            )
            found.append(said)
        except StackFileError as failure:
            failures.append(failure)
        for item in own:
            sink.add(item)
    if asked and not check_drift(asked[0][0].stack.drift, [provider for _, provider, _ in asked], sink):
        failures.append(StackFileError(tuple(sink), sink.source_map))
    if failures:
        refused = any(isinstance(failure, PolicyRefused) for failure in failures)
        raise (PolicyRefused if refused else StackFileError)(tuple(sink), sink.source_map)
    settled = _settled([placed for placed, _, _ in asked], found)
    return [Agreement(*one, decisions) for one, decisions in zip(asked, settled, strict=True)]


def _apart(asked: Sequence[tuple[PlacedStack, Provider[Any, Any], Capabilities]]) -> None:
    known: dict[tuple[str, str], str] = {}
    for placed, provider, capabilities in asked:
        if not capabilities.identity:
            continue
        first = known.setdefault((provider.name, capabilities.identity), placed.location)
        if first != placed.location:
            raise UserError(
                f"the locations '{first}' and '{placed.location}' are the same: both lead to {capabilities.identity}",
                "give what belongs together one location, or correct the configuration of one of them",
            )


def _settled(
    placed: Sequence[PlacedStack], decisions: Sequence[Mapping[str, Decision]]
) -> Sequence[Mapping[str, Decision]]:
    """The decisions of all locations: a policy that one of them does not enforce is enforced by none.

    Otherwise it would hold between some machines that it speaks of and not between others, which no report could say in
    one word.
    """
    lost: dict[str, str] = {}
    for one, said in zip(placed, decisions, strict=True):
        for name, decision in said.items():
            if decision.verdict is Verdict.DOWNGRADE:
                reason = decision.reason if one.alone else f"in '{one.location}': {decision.reason}"
                lost[name] = f"{lost[name]}; {reason}" if name in lost else reason
    return [
        {
            name: replace(one, verdict=Verdict.DOWNGRADE, reason=lost[name], evidence=frozenset())
            if name in lost
            else one
            for name, one in said.items()
        }
        for said in decisions
    ]


def translate_all(
    agreed: Sequence[Agreement], assigned: Mapping[str, AssignedAddress], scope: Scope, sink: DiagnosticSink
) -> Whole:
    """Native resources of all locations, and the outputs of the stack.

    Args:
        agreed: every location.
        assigned: addresses by key of interface, of all locations.
        scope: where the stack belongs.
        sink: where findings go.

    Raises:
        StackFileError: user data or outputs cannot be filled in.
        PluginError: a plugin's graph does not keep to the interface.
    """
    everywhere = {name: nics for one in agreed for name, nics in nic_addresses(one.placed.stack, assigned).items()}
    made: dict[str, Translation] = {}
    graphs: list[ResourceGraph] = []
    at: dict[str, str] = {}
    for one in agreed:
        placed = one.placed.exact(everywhere)
        done = translate(
            placed.stack,
            one.provider,
            one.capabilities,
            one.decisions,
            assigned,
            scope,
            sink,
            everywhere=everywhere,
            elsewhere=placed.elsewhere,
        )
        made[placed.location] = done
        graphs.append(placed.graph(done.graph))
        at |= {node.name: placed.location for node in graphs[-1].nodes}
    outputs = next(iter(made.values())).outputs if made else {}
    return Whole(joined([*graphs, *_unreachable(agreed)]), made, at, outputs, everywhere)


def _unreachable(agreed: Sequence[Agreement]) -> Sequence[ResourceGraph]:
    """Components of the policies that need nothing: their packets have no way at all."""
    layout = agreed[0].placed.layout if agreed else None
    if layout is None or not layout.unreachable:
        return ()
    policies = layout.stack.isolation.policies
    said = {"verdict": Verdict.ENFORCE.value, "reason": "", "evidence": []}
    return (
        ResourceGraph(
            tuple(
                Component(
                    "Policy",
                    f"isolation/{name}",
                    {"kind": policies[name].kind, "level": policies[name].level.value, **said},
                )
                for name in policies
                if name in layout.unreachable
            ),
            (),
        ),
    )
