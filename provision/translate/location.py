"""Where a stack is made: its locations, each a platform with its configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provision.diagnostics import DiagnosticSink
from provision.errors import StackFileError
from provision.models import Stack

DEFAULT_LOCATION = "default"


@dataclass(frozen=True)
class PlacedStack:
    """What is made at one location.

    Attributes:
        location: its name; `default` when the file names none.
        platform: name of the provider plugin.
        stack: the part of the stack that is made there.
        config: what the file says of the plugin's configuration there.
    """

    location: str
    platform: str
    stack: Stack
    config: Mapping[str, Any] = field(default_factory=dict)


def place(stack: Stack, sink: DiagnosticSink) -> tuple[PlacedStack, ...]:
    """The parts of a stack by location.

    This release makes one: several are refused, rather than made somewhere that the file does not say.

    Raises:
        StackFileError: no platform is chosen, or the stack needs several locations.
    """
    used = {machine.location for machine in stack.machines.values()}
    used |= {network.location for network in stack.networks.values()}
    names = list(dict.fromkeys(name for name in stack.locations if name in used)) or list(stack.locations)[:1]
    if len(names) > 1 or (names and None in used and len(stack.locations) > 1):
        sink.error(
            ("locations",),
            f"one stack in several locations ({', '.join(stack.locations)}) is not supported by this release",
            "make one stack per location, and exchange addresses with 'references:'",
            key=True,
        )
        raise StackFileError(tuple(sink), sink.source_map)
    if names:
        location = stack.locations[names[0]]
        return (PlacedStack(names[0], location.platform, stack, location.config),)
    if stack.platform is None:
        sink.error(
            (),
            "no platform is chosen",
            "write 'platform: NAME' in the stack file, or run: pulumi config set provision:platform NAME",
        )
        raise StackFileError(tuple(sink), sink.source_map)
    return (PlacedStack(DEFAULT_LOCATION, stack.platform, stack),)
