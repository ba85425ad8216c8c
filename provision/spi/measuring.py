"""Limits that are shown by machines which are made busy."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from provision.spi.evidence import EvidenceRequest, Shown
from provision.spi.probes import ProbeChannel


@runtime_checkable
class CanMeasure(Protocol):
    """Without it nobody shows that a limit holds by making a machine busy, and reports say so."""

    def measure(self, session: Any, channel: ProbeChannel, request: EvidenceRequest) -> Sequence[Sequence[Shown]]:
        """Make a machine want more than its limits allow, for some seconds each, and see what it gets.

        Gives for each thing asked, in that order, evidence of kind `PROBED`; empty where it limits nothing. `holds` is
        None unless it is shown that the machine wanted more: what an idle machine, or one on a busy host, does not
        take proves no limit. Nothing that the machine keeps is changed.

        Raises:
            provision.errors.ProvisionError: the machine cannot be made busy.
        """
