"""The proof of a stack file before anything is made: what its translation would let pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from provision.diagnostics import DiagnosticSink
from provision.errors import UserError
from provision.loader import Loaded
from provision.models import Stack
from provision.spi import CanReadRules, Capabilities, Evidence, NicAddress, Provider, ResourceGraph, Verdict
from provision.translate import (
    Agreement,
    AssignedAddress,
    Scope,
    Whole,
    address_inputs,
    agreements,
    allocate,
    place,
    translate_all,
)
from provision.verify.proof.compare import Proof, prove


@dataclass(frozen=True)
class Part:
    """What is made in one location, and what the file says of packets that can get there: the arguments of `prove`."""

    stack: Stack
    addresses: Mapping[str, Sequence[NicAddress]]
    graph: ResourceGraph
    capabilities: Capabilities
    reader: CanReadRules
    without: Sequence[str] = ()
    everywhere: Mapping[str, Sequence[NicAddress]] | None = None
    here: frozenset[str] | None = None

    def having(self, graph: ResourceGraph) -> "Part":
        """The same with other native resources."""
        return replace(self, graph=graph)

    def prove(self) -> Proof:
        """Compare it with the file."""
        return prove(
            self.stack,
            self.addresses,
            self.graph,
            self.capabilities,
            self.reader,
            without=self.without,
            everywhere=self.everywhere,
            here=self.here,
        )


def prove_planned(
    loaded: Loaded,
    provider: Provider[Any, Any],
    capabilities: Capabilities,
    scope: Scope,
    recorded: Mapping[str, AssignedAddress],
    sites: Mapping[str, tuple[Provider[Any, Any], Capabilities]] | None = None,
) -> Proof:
    """Translate the stack as `up` would, and compare the native rules with the file.

    Takes the arguments of `planned`, and raises the same errors.
    """
    return joined([part.prove() for part in planned(loaded, provider, capabilities, scope, recorded, sites)])


def planned(
    loaded: Loaded,
    provider: Provider[Any, Any],
    capabilities: Capabilities,
    scope: Scope,
    recorded: Mapping[str, AssignedAddress],
    sites: Mapping[str, tuple[Provider[Any, Any], Capabilities]] | None = None,
) -> Sequence[Part]:
    """Translate the stack as `up` would.

    Args:
        loaded: the stack file.
        provider: the plugin of its platform.
        capabilities: what the platform said of itself.
        scope: where the stack belongs.
        recorded: addresses that the stack's interfaces have already.
        sites: of a stack in several locations, the plugin and the capabilities of each.

    Raises:
        UserError: a plugin cannot read rules back.
        StackFileError: a platform does not agree to the stack, or its addresses cannot be given.
    """
    sink = DiagnosticSink(loaded.source_map)
    asked = [
        (placed, *(sites or {}).get(placed.location, (provider, capabilities))) for placed in place(loaded.stack, sink)
    ]
    for _, one, _ in asked:
        if not isinstance(one, CanReadRules):
            raise UserError(
                f"the plugin '{one.name}' cannot read its native rules back",
                "no evidence of kind 'translated' can be had on it; run `provision verify` without --static",
            )
    agreed = agreements(asked, sink)
    assigned: dict[str, AssignedAddress] = {}
    for placed, one, _ in asked:
        given, failures = allocate(address_inputs(placed.stack, scope, one), recorded)
        if failures:
            raise UserError(
                f"addresses cannot be given: {failures[0].property}: {failures[0].reason}", "run provision preview"
            )
        assigned |= given
    made = translate_all(agreed, assigned, scope, sink)
    return [_part(loaded.stack, one, made) for one in agreed]


def _part(stack: Stack, agreed: Agreement, made: Whole) -> Part:
    reader, placed = agreed.provider, agreed.placed
    assert isinstance(reader, CanReadRules)
    done = made.by_location[placed.location]
    without = [name for name, decision in agreed.decisions.items() if decision.verdict is Verdict.DOWNGRADE]
    if placed.layout is None:
        return Part(stack, done.addresses, done.graph, agreed.capabilities, reader, without)
    return Part(
        placed.layout.seen(placed.location),
        done.addresses,
        done.graph,
        agreed.capabilities,
        reader,
        without,
        everywhere=placed.layout.reached(placed.location, made.addresses),
        here=frozenset(placed.stack.networks),
    )


def joined(proofs: Sequence[Proof]) -> Proof:
    """The proofs of all locations as one."""
    if len(proofs) == 1:
        return proofs[0]
    return Proof(
        tuple(item for proof in proofs for item in proof.differences),
        tuple(dict.fromkeys(item for proof in proofs for item in proof.unmodelled)),
        sum(proof.machines for proof in proofs),
        max((proof.policies for proof in proofs), default=0),
        min((proof.kind for proof in proofs), key=list(Evidence).index, default=Evidence.TRANSLATED),
    )
