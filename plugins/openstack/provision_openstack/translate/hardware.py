"""Policies about hosts as extra specs, which a flavor must have: users of a cloud choose flavors and make none."""

from collections.abc import Iterator, Mapping

from provision.models import DedicatedCpusPolicy, MemoryEncryptionPolicy, Policy, SecureBootPolicy, Stack
from provision.spi import Decision, Verdict
from provision_openstack.translate.peers import selected

MODELS: Mapping[str, str] = {"sev": "amd-sev", "sev-es": "amd-sev-es"}
"""Nova's names of technologies that encrypt memory; it knows no others (Nova's `hw:mem_encryption_model`)."""


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
    if isinstance(policy, MemoryEncryptionPolicy):
        found["hw:mem_encryption"] = "true"
        if policy.technology in MODELS:
            found["hw:mem_encryption_model"] = MODELS[policy.technology]
    if isinstance(policy, SecureBootPolicy):
        found["os:secure_boot"] = "required"
        if policy.vtpm:
            found["hw:tpm_version"] = "2.0"
    return found


def asking(stack: Stack, decisions: Mapping[str, Decision]) -> Iterator[tuple[str, Policy, list[str]]]:
    """Policies that ask for extra specs and are enforced, each with the entries of its machines."""
    for name, policy in stack.isolation.policies.items():
        decision = decisions.get(name)
        downgraded = decision is not None and decision.verdict is Verdict.DOWNGRADE
        if not downgraded and isinstance(policy, DedicatedCpusPolicy | MemoryEncryptionPolicy | SecureBootPolicy):
            yield name, policy, selected(stack, policy.machines)


def specs_of(stack: Stack, decisions: Mapping[str, Decision], entry: str) -> dict[str, str]:
    """Extra specs that all policies together ask for a machine."""
    found: dict[str, str] = {}
    for _, policy, entries in asking(stack, decisions):
        if entry in entries:
            found |= specs(policy)
    return found
