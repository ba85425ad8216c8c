"""What the stack file expects of one packet exchange."""

from dataclasses import dataclass

from provision.packets import Service
from provision.verify.endpoints import Endpoint, Family
from provision.verify.intent import Verdict


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the file says of one packet exchange.

    Attributes:
        witness: whether the destination is a machine or peer of ours that answers there; else only its own system can.
    """

    source: Endpoint
    destination: Endpoint
    service: Service
    family: Family
    verdict: Verdict
    witness: bool

    @property
    def address(self) -> str:
        """Where the probe goes."""
        return str(self.destination.address(self.family))
