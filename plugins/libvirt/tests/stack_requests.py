"""Requests for translation from stacks written as data, with addresses in the order of the file."""

from collections import Counter
from typing import Any

from provision.models import Stack
from provision.spi import Capabilities, Decision, NicAddress, TranslationRequest, Verdict

FACTS: dict[str, Any] = {
    "accelerator": "qemu",
    "bridge_nf_call_ip6tables": True,
    "bridge_nf_call_iptables": True,
    "host_addresses": ["198.51.100.1", "2001:db8::1"],
    "closes_host": True,
    "micro_digest": "a" * 64,
    "images": {"debian": {"digest": "d" * 64, "size": 2 << 30}},
    "nwfilter": True,
    "host_cpus": 8,
    "host_memory_mib": 16384,
    "topology": [
        {
            "id": node,
            "memory_mib": 8192,
            "huge_pages": {"2048": 64, "1048576": 0},
            "cpus": [{"id": cpu, "siblings": f"{cpu % 4},{cpu % 4 + 4}"} for cpu in cpus],
        }
        for node, cpus in enumerate([(0, 1, 4, 5), (2, 3, 6, 7)])
    ],
    "cgroup_version": 2,
    "cgroup_controllers": ["cpu", "cpuset", "io", "memory", "pids"],
    "shaping_missing": "",
    "may_lock_memory": True,
    "huge_pages_mounted": True,
    "secrets": True,
    "seccomp": True,
    "security_models": ["apparmor", "dac"],
    "secure_boot": True,
    "tpm_backends": ["passthrough", "emulator"],
    "memory_encryption": [],
}


def addresses(stack: Stack) -> dict[str, tuple[NicAddress, ...]]:
    """`.10`, `.11`, … on each network unless the file says otherwise."""
    used: Counter[str] = Counter()
    found: dict[str, tuple[NicAddress, ...]] = {}
    for entry, machine in stack.machines.items():
        for index in range(machine.instances):
            nics = []
            for nic in machine.nics:
                network = stack.networks[nic.network]
                place = 10 + used[nic.network]
                used[nic.network] += 1
                number = list(stack.networks).index(nic.network)
                nics.append(
                    NicAddress(
                        nic.network,
                        nic.mac or f"02:00:00:00:{number:02x}:{place:02x}",
                        str(nic.address or network.cidr[place]) if network.cidr else None,
                        str(nic.address6 or network.cidr6[place]) if network.cidr6 else None,
                    )
                )
            found[entry if machine.count is None else f"{entry}-{index}"] = tuple(nics)
    return found


def request(document: dict[str, Any], directory: str = ".", **facts: Any) -> TranslationRequest:
    """A request for the stack that `document` describes, with every policy enforced."""
    stack = Stack.model_validate({"version": 1, **document})
    texts = {
        name: machine.user_data
        for entry, machine in stack.machines.items()
        for name in ([entry] if machine.count is None else [f"{entry}-{i}" for i in range(machine.instances)])
        if machine.user_data is not None
    }
    return TranslationRequest(
        stack=stack,
        project="shop",
        stack_name="dev",
        capabilities=Capabilities("libvirt", FACTS | facts),
        decisions={n: Decision(n, p.kind, Verdict.ENFORCE) for n, p in stack.isolation.policies.items()},
        addresses=addresses(stack),
        directory=directory,
        user_data=texts,
    )
