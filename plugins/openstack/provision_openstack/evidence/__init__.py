"""Evidence that no packet gives: what OpenStack's API tells of a machine. What its host does only operators see."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from provision.models import (
    AntiSpoofingPolicy,
    DedicatedCpusPolicy,
    DiskEncryptionPolicy,
    HideHypervisorPolicy,
    MemoryEncryptionPolicy,
    MemoryIsolationPolicy,
    MetadataPolicy,
    NoHostAccessPolicy,
    NoInternetPolicy,
    PackPolicy,
    SecureBootPolicy,
    Share,
    SpreadPolicy,
    TrafficPolicy,
)
from provision.spi import DeployedMachine, EvidenceRequest, Shown
from provision.spi.evidence import shown_by
from provision_openstack.evidence.hardware import disk_encryption, limits, of_flavor
from provision_openstack.evidence.look import Look
from provision_openstack.evidence.packets import filtered, metadata, unspoofed
from provision_openstack.evidence.placing import apart, together
from provision_openstack.session import Session

__all__ = ["evidence"]

_ANSWERS: Mapping[type, Callable[[Look, Any], Iterator[Shown]]] = {
    AntiSpoofingPolicy: unspoofed,
    DedicatedCpusPolicy: of_flavor,
    DiskEncryptionPolicy: disk_encryption,
    HideHypervisorPolicy: of_flavor,
    MemoryEncryptionPolicy: of_flavor,
    MemoryIsolationPolicy: of_flavor,
    MetadataPolicy: metadata,
    NoHostAccessPolicy: filtered,
    NoInternetPolicy: filtered,
    SecureBootPolicy: of_flavor,
    Share: limits,
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
        provision.errors.PlatformError: the machine is not there, or OpenStack does not answer.
    """
    return shown_by(Look.at(session, request.machine, request.shared), request, _ANSWERS, _TOGETHER)
