"""Translation while the engine starts the plugin: with the addresses that its address plan will most likely give.

The plan gives what is recorded, and what is new by a rule that holds here too, so the guess is wrong only when somebody
else changed the record meanwhile. Translation is pure: a guess that was wrong is thrown away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provision.diagnostics import DiagnosticSink, SourceMap
from provision.translate import Agreement, AssignedAddress, Scope, Whole, address_inputs, allocate, translate_all


@dataclass(frozen=True)
class Translated:
    """A stack with these addresses, and what was found in it on the way."""

    assigned: Mapping[str, AssignedAddress]
    whole: Whole
    sink: DiagnosticSink


def translated(
    agreed: Sequence[Agreement], assigned: Mapping[str, AssignedAddress], scope: Scope, source_map: SourceMap
) -> Translated:
    """The native resources of all locations.

    Raises:
        ProvisionError: the stack says what cannot be made.
    """
    sink = DiagnosticSink(source_map)
    return Translated(assigned, translate_all(agreed, assigned, scope, sink), sink)


def foreseen(
    agreed: Sequence[Agreement], recorded: Mapping[str, AssignedAddress], scope: Scope, source_map: SourceMap
) -> Translated | None:
    """The same with the addresses that are expected; None when it fails, which the translation proper will tell.

    Args:
        agreed: locations whose platforms have agreed.
        recorded: addresses that interfaces have already.
        scope: of the stack.
        source_map: of the stack file.
    """
    assigned: dict[str, AssignedAddress] = {}
    try:
        for location in agreed:
            assigned |= allocate(address_inputs(location.placed.stack, scope, location.provider), recorded)[0]
        return translated(agreed, assigned, scope, source_map)
    except Exception:
        return None
