"""Evidence that no packet gives: what EC2 tells of a machine. What its hosts do nobody outside of Amazon sees."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from provision.models import (
    AntiSpoofingPolicy,
    DedicatedCpusPolicy,
    DiskEncryptionPolicy,
    MemoryEncryptionPolicy,
    MetadataPolicy,
    NoHostAccessPolicy,
    NoInternetPolicy,
    PackPolicy,
    PeerIsolationPolicy,
    SecureBootPolicy,
    Share,
    SingleTenancyPolicy,
    SpreadPolicy,
    TrafficPolicy,
)
from provision.spi import DeployedMachine, EvidenceRequest, Shown
from provision.spi.evidence import shown_by
from provision_aws.evidence.hardware import (
    dedicated_cpus,
    disk_encryption,
    limits,
    memory_encryption,
    metadata,
    secure_boot,
    tenancy,
)
from provision_aws.evidence.look import Look
from provision_aws.evidence.packets import filtered, unspoofed
from provision_aws.evidence.placing import apart, together
from provision_aws.session import Session

__all__ = ["evidence"]

_ANSWERS: Mapping[type, Callable[[Look, Any], Iterator[Shown]]] = {
    AntiSpoofingPolicy: unspoofed,
    DedicatedCpusPolicy: dedicated_cpus,
    DiskEncryptionPolicy: disk_encryption,
    MemoryEncryptionPolicy: memory_encryption,
    MetadataPolicy: metadata,
    NoHostAccessPolicy: filtered,
    NoInternetPolicy: filtered,
    PeerIsolationPolicy: filtered,
    SecureBootPolicy: secure_boot,
    Share: limits,
    SingleTenancyPolicy: tenancy,
    TrafficPolicy: filtered,
}
_TOGETHER: Mapping[type, Callable[[Look, Any, Sequence[DeployedMachine]], Iterator[Shown]]] = {
    PackPolicy: together,
    SpreadPolicy: apart,
}
"""Policies about several machines, which are looked at beside each other."""


def evidence(session: Session, request: EvidenceRequest) -> Sequence[Sequence[Shown]]:
    """What is shown of each policy or share that is asked about.

    Raises:
        provision.errors.PlatformError: the machine is not there, or EC2 does not answer.
    """
    return shown_by(Look.at(session, request.machine, request.shared), request, _ANSWERS, _TOGETHER)
