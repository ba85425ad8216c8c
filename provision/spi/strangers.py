"""Machines of others on the networks of a stack."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from provision.spi.probes import DeployedMachine, NativeState


@dataclass(frozen=True)
class Stranger:
    """A machine on a network of a stack that is none of the stack's machines.

    Attributes:
        network: `NativeState.name` of the network's native resource.
        what: it in words, with the name that people know it by: `the machine 'x'`.
    """

    network: str
    what: str


@runtime_checkable
class SeesStrangers(Protocol):
    """Without it `provision drift` does not look for machines of others on the networks of a stack."""

    def strangers(
        self, session: Any, networks: Sequence[NativeState], machines: Sequence[DeployedMachine]
    ) -> Sequence[Stranger]:
        """Every machine with an interface on one of these networks that is none of `machines`, whoever made it.

        What a platform itself has on a network, such as its DHCP server or a gateway, is no stranger.

        Args:
            session: with the platform.
            networks: native resources that the stack made there and that belong to no machine; they hold its networks.
            machines: those that the stack made there.

        Raises:
            provision.errors.PlatformError: the platform does not answer.
        """
