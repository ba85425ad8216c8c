"""Evidence that no packet gives: what libvirt records of a running machine, and what its host applies to it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from provision.models import (
    AntiSpoofingPolicy,
    ConfinementPolicy,
    DedicatedCpusPolicy,
    DiskEncryptionPolicy,
    HideHypervisorPolicy,
    MemoryIsolationPolicy,
    MetadataPolicy,
    NoHostAccessPolicy,
    NoInternetPolicy,
    PeerIsolationPolicy,
    SecureBootPolicy,
    Share,
    TrafficPolicy,
)
from provision.spi import EvidenceRequest, Shown
from provision_libvirt.evidence.cpus import dedicated
from provision_libvirt.evidence.disks import disk_encryption
from provision_libvirt.evidence.limits import limits
from provision_libvirt.evidence.look import Look
from provision_libvirt.evidence.packets import filtered
from provision_libvirt.evidence.ports import isolated
from provision_libvirt.evidence.protection import confinement, hidden, memory, secure_boot
from provision_libvirt.session import Session

__all__ = ["evidence"]

_ANSWERS: Mapping[type, Callable[[Look, Any], Iterator[Shown]]] = {
    AntiSpoofingPolicy: filtered,
    ConfinementPolicy: confinement,
    DedicatedCpusPolicy: dedicated,
    DiskEncryptionPolicy: disk_encryption,
    HideHypervisorPolicy: hidden,
    MemoryIsolationPolicy: memory,
    MetadataPolicy: filtered,
    NoHostAccessPolicy: filtered,
    NoInternetPolicy: filtered,
    PeerIsolationPolicy: isolated,
    SecureBootPolicy: secure_boot,
    Share: limits,
    TrafficPolicy: filtered,
}


def evidence(session: Session, request: EvidenceRequest) -> Sequence[Sequence[Shown]]:
    """What is shown of each policy or share that is asked about.

    Raises:
        PlatformError: the machine is not there, or its description cannot be read.
    """
    look = Look.at(session, request.machine, request.shared)
    found: list[list[Shown]] = []
    for asked in request.asked:
        answer = _ANSWERS.get(type(asked))
        found.append([] if answer is None else list(answer(look, asked)))
    return found
