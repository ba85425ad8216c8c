"""The addresses that a stack's interfaces have, or will be given, without a word to a platform."""

from collections.abc import Mapping, Sequence

from provision.diagnostics import DiagnosticSink, SourceMap
from provision.errors import ProvisionError
from provision.models import Stack
from provision.spi import NicAddress, registry
from provision.translate import AssignedAddress, Scope, address_inputs, allocate, nic_addresses, place


def foreseen(
    stack: Stack, source_map: SourceMap, recorded: Mapping[str, AssignedAddress]
) -> Mapping[str, Sequence[NicAddress]]:
    """Addresses per machine instance, as `up` would give them: beside those that platforms keep for themselves.

    What cannot be given is told elsewhere, as is a plugin that is not there; only MACs hang on the scope.

    Args:
        stack: the stack file.
        source_map: where what stands in it.
        recorded: addresses that the interfaces have already.
    """
    scope = Scope("", "")
    try:
        placed = place(stack, DiagnosticSink(source_map))
        given = [(one.stack, registry.load(one.platform)) for one in placed]
    except ProvisionError:
        assigned, _ = allocate(address_inputs(stack, scope), recorded)
        return nic_addresses(stack, assigned)
    found: dict[str, AssignedAddress] = {}
    for part, provider in given:
        found |= allocate(address_inputs(part, scope, provider), recorded)[0]
    return nic_addresses(stack, found)
