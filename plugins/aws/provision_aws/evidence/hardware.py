"""What a machine runs on: CPUs, memory, firmware, disks, and its metadata service."""

from collections.abc import Iterator
from typing import Any

from provision.models import (
    DedicatedCpusPolicy,
    DiskEncryptionPolicy,
    MemoryEncryptionPolicy,
    MetadataPolicy,
    SecureBootPolicy,
    Share,
    SingleTenancyPolicy,
)
from provision.spi import Shown
from provision.spi.evidence import accepted, instead, number
from provision_aws.evidence.look import Look, told

_BURSTABLE = ("t1.", "t2.", "t3.", "t3a.", "t4g.")
"""Families that share cores by credits (EC2 User Guide, "Burstable performance instances")."""

_ALONE = ("dedicated", "host")
_MIB = 1 << 20


def tenancy(look: Look, policy: SingleTenancyPolicy) -> Iterator[Shown]:
    """Whether EC2 keeps other accounts off its host."""
    found = look.part("Placement").get("Tenancy") or "default"
    holds = found in _ALONE
    yield accepted(holds, f"tenancy {found}" + instead(holds, " or ".join(_ALONE)))
    yield look.unseen()


def dedicated_cpus(look: Look, policy: DedicatedCpusPolicy) -> Iterator[Shown]:
    """Whether its type has cores of its own, and no thread beside its own on them."""
    kind = str(look.live["InstanceType"])
    own = not kind.startswith(_BURSTABLE)
    yield accepted(own, f"type {kind}, " + ("whose cores are its own" if own else "which shares cores by credits"))
    if policy.smt != "share":
        wanted = 1 if policy.smt == "isolate" else 2
        threads = look.part("CpuOptions").get("ThreadsPerCore")
        yield accepted(
            threads == wanted, f"threads per core: {told(threads)}" + instead(threads == wanted, str(wanted))
        )
    yield look.unseen()


def memory_encryption(look: Look, policy: MemoryEncryptionPolicy) -> Iterator[Shown]:
    """Whether EC2 says that its memory is encrypted; that it is in truth only the guest's own attestation shows."""
    found = look.part("CpuOptions").get("AmdSevSnp")
    yield accepted(found == "enabled", f"AMD SEV-SNP: {told(found)}" + instead(found == "enabled", "enabled"))
    yield look.unseen()


def secure_boot(look: Look, policy: SecureBootPolicy) -> Iterator[Shown]:
    """Whether it started by UEFI, and has a TPM; which keys are enrolled is in its image."""
    mode = look.live.get("CurrentInstanceBootMode") or look.live.get("BootMode")
    yield accepted(mode == "uefi", f"started by {told(mode)}" + instead(mode == "uefi", "uefi"))
    if policy.vtpm:
        tpm = look.live.get("TpmSupport")
        yield accepted(tpm == "v2.0", f"NitroTPM: {told(tpm)}" + instead(tpm == "v2.0", "v2.0"))
    yield look.unseen()


def metadata(look: Look, policy: MetadataPolicy) -> Iterator[Shown]:
    """Whether its metadata service is off, or answers only those who have a token."""
    options = look.part("MetadataOptions")
    endpoint, tokens = options.get("HttpEndpoint"), options.get("HttpTokens")
    if policy.access == "closed":
        yield accepted(endpoint == "disabled", f"metadata service {told(endpoint)}" + _instead(endpoint, "disabled"))
    elif endpoint != "disabled":
        yield accepted(tokens == "required", f"session tokens: {told(tokens)}" + _instead(tokens, "required"))
        hops = options.get("HttpPutResponseHopLimit")
        near = isinstance(hops, int) and hops <= policy.hop_limit
        yield accepted(near, f"hop limit {told(hops)}" + instead(near, f"at most {policy.hop_limit}"))
    else:
        yield accepted(True, "metadata service disabled")
    if options.get("State") == "pending":
        yield accepted(None, "EC2 is still applying the options of its metadata service")
    yield look.unseen()


def disk_encryption(look: Look, policy: DiskEncryptionPolicy) -> Iterator[Shown]:
    """Whether each of its disks is encrypted, and by the key that is asked for."""
    wrong = []
    for device, volume in look.volumes:
        key = "" if volume is None else str(volume.get("KmsKeyId") or "")
        if volume is None or not volume.get("Encrypted"):
            wrong.append(f"{device} not encrypted")
        elif policy.key is not None and not _same_key(look, key, policy.key):
            wrong.append(f"{device} encrypted by {told(key)} instead of {policy.key}")
    seen = f"{number(len(look.volumes), 'disk')} encrypted" + (f" by {policy.key}" if policy.key else "")
    yield accepted(not wrong, "; ".join(wrong) or (seen if look.volumes else "it has no disk"))
    yield look.unseen()


def limits(look: Look, share: Share) -> Iterator[Shown]:
    """Whether its disks are as fast as they may be, and no faster."""
    if share.disk is None:
        return
    for field, wanted, unit in (
        ("Iops", share.disk.iops, "operations a second"),
        ("Throughput", None if share.disk.throughput is None else round(share.disk.throughput / _MIB), "MiB a second"),
    ):
        if wanted is not None:
            found = {device: None if volume is None else volume.get(field) for device, volume in look.volumes}
            wrong = [f"{device} {told(value)}" for device, value in found.items() if value != wanted]
            text = f"{', '.join(wrong)} instead of {wanted} {unit}" if wrong else f"disks with {wanted} {unit}"
            yield accepted(not wrong, text)
    yield look.unseen()


def _instead(found: Any, wanted: str) -> str:
    return instead(found == wanted, wanted)


def _same_key(look: Look, arn: str, wanted: str) -> bool:
    """Whether an ARN is that of the key that somebody wrote as an id, an ARN or an alias."""
    if wanted.startswith("alias/") or ":alias/" in wanted:
        from provision_aws.keys import resolved

        return resolved(look.session, wanted) == arn
    return arn.rpartition("/")[2] == wanted.rpartition("/")[2]
