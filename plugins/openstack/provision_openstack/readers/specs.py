"""What extra specs of a flavor say of policies and shares.

From Nova's guide ("Flavors", "Extra Specs", "CPU topologies", "Huge pages", "AMD SEV", "Secure Boot", "Emulated TPM").
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from provision.models import (
    DedicatedCpusPolicy,
    HideHypervisorPolicy,
    MemoryEncryptionPolicy,
    MemoryIsolationPolicy,
    SecureBootPolicy,
    Share,
)

Specs = Mapping[str, str]
Told = Iterator[tuple[bool, str]]

_TRUE = ("1", "t", "true", "on", "y", "yes")
_TECHNOLOGIES = {"amd-sev": "sev", "amd-sev-es": "sev-es", "amd-sev-snp": "sev-snp"}
_SMALL_KIB = 4
_PERIOD = 100_000
"""Microseconds over which the kernel shares CPUs out unless told otherwise; `quota:cpu_quota` is for each CPU."""


def said(policy: Any, specs: Specs) -> Told:
    """What a flavor says of a policy about hosts: whether it is as asked, and in words."""
    yield from SAID[type(policy)](policy, specs)


def capped(share: Share, specs: Specs, cpus: int) -> Told:
    """What a flavor says of limits of CPUs and disks."""
    if share.cpu is not None and share.cpu.cap is not None:
        period, quota = _number(specs, "quota:cpu_period"), _number(specs, "quota:cpu_quota")
        most = cpus * quota / period if period and quota and quota > 0 else None
        holds = period == _PERIOD and quota == int(share.cpu.cap * _PERIOD / max(1, cpus))
        yield holds, "CPU time without a limit" if most is None else f"at most {most:g} CPUs' worth of time"
    for wanted, name, words in (
        (None if share.disk is None else share.disk.iops, "quota:disk_total_iops_sec", "operations a second"),
        (None if share.disk is None else share.disk.throughput, "quota:disk_total_bytes_sec", "bytes a second"),
    ):
        if wanted is not None:
            found = _number(specs, name)
            text = f"a disk without a limit of {words}" if found is None else f"a disk with {found} {words}"
            yield found == int(wanted), text


def _cpus(policy: DedicatedCpusPolicy, specs: Specs) -> Told:
    yield _is(specs, "hw:cpu_policy", "dedicated")
    if policy.emulator:
        yield _is(specs, "hw:emulator_threads_policy", "isolate")
    if policy.numa:
        yield _is(specs, "hw:numa_nodes", "1")
    if policy.smt != "share":
        yield _is(specs, "hw:cpu_thread_policy", policy.smt)


def _memory(policy: MemoryIsolationPolicy, specs: Specs) -> Told:
    pages = specs.get("hw:mem_page_size", "")
    large = pages == "large" or _kib(pages) > _SMALL_KIB
    if policy.huge_pages or not policy.shared_pages:
        yield large, f"hw:mem_page_size={pages or 'not set'}"
    if policy.locked:
        yield _yes(specs, "hw:locked_memory")


def _encryption(policy: MemoryEncryptionPolicy, specs: Specs) -> Told:
    yield _yes(specs, "hw:mem_encryption")
    model = specs.get("hw:mem_encryption_model", "")
    if policy.technology != "any":
        yield _TECHNOLOGIES.get(model) == policy.technology, f"hw:mem_encryption_model={model or 'not set'}"


def _boot(policy: SecureBootPolicy, specs: Specs) -> Told:
    yield _is(specs, "os:secure_boot", "required")
    if policy.vtpm:
        yield _is(specs, "hw:tpm_version", "2.0")


def _hidden(policy: HideHypervisorPolicy, specs: Specs) -> Told:
    yield _yes(specs, "hw:hide_hypervisor_id")


def _is(specs: Specs, name: str, wanted: str) -> tuple[bool, str]:
    found = specs.get(name)
    return found == wanted, f"{name}={found or 'not set'}"


def _yes(specs: Specs, name: str) -> tuple[bool, str]:
    found = specs.get(name, "")
    return found.lower() in _TRUE, f"{name}={found or 'not set'}"


def _number(specs: Specs, name: str) -> int | None:
    text = specs.get(name, "")
    return int(text) if text.lstrip("+-").isdigit() else None


def _kib(text: str) -> int:
    """A page size as Nova reads it: KiB unless it has a unit."""
    digits = text.rstrip("kKmMgGiIbB")
    unit = text[len(digits) :].lower().removesuffix("b").removesuffix("i")
    return int(digits) * {"": 1, "k": 1, "m": 1 << 10, "g": 1 << 20}[unit] if digits.isdigit() else 0


SAID: Mapping[type, Callable[[Any, Specs], Told]] = {
    DedicatedCpusPolicy: _cpus,
    HideHypervisorPolicy: _hidden,
    MemoryEncryptionPolicy: _encryption,
    MemoryIsolationPolicy: _memory,
    SecureBootPolicy: _boot,
}
