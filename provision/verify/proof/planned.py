"""The proof of a stack file before anything is made: what its translation would let pass."""

from collections.abc import Mapping
from typing import Any

from provision.diagnostics import DiagnosticSink
from provision.errors import UserError
from provision.loader import Loaded
from provision.spi import CanReadRules, Capabilities, Provider, Verdict
from provision.translate import AssignedAddress, Scope, address_inputs, allocate, negotiate, place, translate
from provision.verify.proof.compare import Proof, prove


def prove_planned(
    loaded: Loaded,
    provider: Provider[Any, Any],
    capabilities: Capabilities,
    scope: Scope,
    recorded: Mapping[str, AssignedAddress],
) -> Proof:
    """Translate the stack as `up` would, and compare the native rules with the file.

    Args:
        loaded: the stack file.
        provider: the plugin of its platform.
        capabilities: what the platform said of itself.
        scope: where the stack belongs.
        recorded: addresses that the stack's interfaces have already.

    Raises:
        UserError: the plugin cannot read rules back.
        StackFileError: the platform does not agree to the stack, or its addresses cannot be given.
    """
    if not isinstance(provider, CanReadRules):
        raise UserError(
            f"the plugin '{provider.name}' cannot read its native rules back",
            "no evidence of kind 'translated' can be had on it; run `provision verify` without --static",
        )
    sink = DiagnosticSink(loaded.source_map)
    stack = place(loaded.stack, sink)[0].stack
    decisions = negotiate(stack, provider, capabilities, sink)
    assigned, failures = allocate(address_inputs(stack, scope), recorded)
    if failures:
        raise UserError(
            f"addresses cannot be given: {failures[0].property}: {failures[0].reason}", "run provision preview"
        )
    made = translate(stack, provider, capabilities, decisions, assigned, scope, sink)
    downgraded = [name for name, decision in decisions.items() if decision.verdict is Verdict.DOWNGRADE]
    return prove(stack, made.addresses, made.graph, capabilities, provider, without=downgraded)
