"""Policies and limits about hosts as extra specs of flavors: users of a cloud choose flavors, and make none."""

from collections.abc import Iterator, Mapping

from provision.models import (
    DedicatedCpusPolicy,
    HideHypervisorPolicy,
    Machine,
    MemoryEncryptionPolicy,
    MemoryIsolationPolicy,
    Policy,
    SecureBootPolicy,
    Share,
    Stack,
)
from provision.spi import Decision, enforced
from provision.spi.peers import selected

MODELS: Mapping[str, str] = {"sev": "amd-sev", "sev-es": "amd-sev-es"}
"""Nova's names of technologies that encrypt memory; it knows no others (Nova's `hw:mem_encryption_model`)."""

PERIOD = 100_000
"""Microseconds over which the time of CPUs is shared out."""

_BY_FLAVOR = (
    DedicatedCpusPolicy
    | HideHypervisorPolicy
    | MemoryEncryptionPolicy
    | MemoryIsolationPolicy
    | SecureBootPolicy
)  # fmt: skip


def specs(policy: Policy) -> dict[str, str]:
    """Extra specs that a policy asks for."""
    found: dict[str, str] = {}
    if isinstance(policy, DedicatedCpusPolicy):
        found["hw:cpu_policy"] = "dedicated"
        if policy.emulator:
            found["hw:emulator_threads_policy"] = "isolate"
        if policy.numa:
            found["hw:numa_nodes"] = "1"
        if policy.smt != "share":
            found["hw:cpu_thread_policy"] = policy.smt
    if isinstance(policy, MemoryIsolationPolicy):
        if policy.huge_pages:
            found["hw:mem_page_size"] = "large"
        if policy.locked:
            found["hw:locked_memory"] = "true"
    if isinstance(policy, MemoryEncryptionPolicy):
        found["hw:mem_encryption"] = "true"
        if policy.technology in MODELS:
            found["hw:mem_encryption_model"] = MODELS[policy.technology]
    if isinstance(policy, SecureBootPolicy):
        found["os:secure_boot"] = "required"
        if policy.vtpm:
            found["hw:tpm_version"] = "2.0"
    if isinstance(policy, HideHypervisorPolicy):
        found["hw:hide_hypervisor_id"] = "true"
    return found


def limits(share: Share, machine: Machine) -> dict[str, str]:
    """Extra specs that a share asks for a machine of the CPUs that the file says."""
    found: dict[str, str] = {}
    if share.cpu is not None and share.cpu.cap is not None:
        found["quota:cpu_period"] = str(PERIOD)
        found["quota:cpu_quota"] = str(int(share.cpu.cap * PERIOD / machine.cpus))  # Nova's is for each virtual CPU
    if share.disk is not None and share.disk.iops is not None:
        found["quota:disk_total_iops_sec"] = str(share.disk.iops)
    if share.disk is not None and share.disk.throughput is not None:
        found["quota:disk_total_bytes_sec"] = str(int(share.disk.throughput))
    return found


def asking(stack: Stack, decisions: Mapping[str, Decision]) -> Iterator[tuple[str, Policy, list[str]]]:
    """Policies that ask for extra specs and are enforced, each with the entries of its machines."""
    for name, policy in enforced(stack, decisions):
        if isinstance(policy, _BY_FLAVOR):
            yield name, policy, selected(stack, policy.machines)


def specs_of(stack: Stack, decisions: Mapping[str, Decision], entry: str) -> dict[str, str]:
    """Extra specs that all policies and shares together ask for a machine."""
    found: dict[str, str] = {}
    for _, policy, entries in asking(stack, decisions):
        if entry in entries:
            found |= specs(policy)
    for share in stack.sharing.shares.values():
        if entry in selected(stack, share.machines):
            found |= limits(share, stack.machines[entry])
    return found
