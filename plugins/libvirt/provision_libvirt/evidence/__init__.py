"""Evidence that no packet gives: what libvirt records of a running machine, and what its host applies to it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from provision.models import (
    AntiSpoofingPolicy,
    ConfinementPolicy,
    DedicatedCpusPolicy,
    DiskEncryptionPolicy,
    HideHypervisorPolicy,
    MemoryEncryptionPolicy,
    MemoryIsolationPolicy,
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
from provision_libvirt.evidence.cpus import dedicated
from provision_libvirt.evidence.disks import disk_encryption
from provision_libvirt.evidence.limits import limits
from provision_libvirt.evidence.look import Look
from provision_libvirt.evidence.neighbours import apart, together
from provision_libvirt.evidence.packets import closed_to_host, filtered
from provision_libvirt.evidence.ports import isolated
from provision_libvirt.evidence.protection import confinement, hidden, memory, memory_encryption, secure_boot
from provision_libvirt.evidence.tenancy import alone
from provision_libvirt.session import Session

__all__ = ["evidence"]

_ANSWERS: Mapping[type, Callable[[Look, Any], Iterator[Shown]]] = {
    AntiSpoofingPolicy: filtered,
    ConfinementPolicy: confinement,
    DedicatedCpusPolicy: dedicated,
    DiskEncryptionPolicy: disk_encryption,
    HideHypervisorPolicy: hidden,
    MemoryEncryptionPolicy: memory_encryption,
    MemoryIsolationPolicy: memory,
    MetadataPolicy: filtered,
    NoHostAccessPolicy: closed_to_host,
    NoInternetPolicy: filtered,
    PeerIsolationPolicy: isolated,
    SecureBootPolicy: secure_boot,
    Share: limits,
    SingleTenancyPolicy: alone,
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
        PlatformError: the machine is not there, or its description cannot be read.
    """
    return shown_by(Look.at(session, request), request, _ANSWERS, _TOGETHER)
