"""What the documentation says of this plugin's policies, beside what `support` answers."""

from collections.abc import Iterator, Mapping
from typing import Any

LACKS: Mapping[str, Any] = {
    "nwfilter": False,
    "bridge_nf_call_iptables": False,
    "accelerator": "qemu",
    "topology": [],
    "may_lock_memory": False,
    "huge_pages_mounted": False,
    "secrets": False,
    "seccomp": False,
    "security_models": ["none", "dac"],
    "secure_boot": False,
    "tpm_backends": [],
    "memory_encryption": [],
    "sole_use": False,
    "unmarked_machines": ["somebody-elses"],
    "libvirt_version": "6.0.0",
}
"""Facts of hosts that lack something: each on its own shows what is refused there."""

ENFORCED_BY: Mapping[str, str] = {
    "traffic": "nwfilter on each network card; the peers of a policy are one filter, which cards refer to",
    "anti_spoofing": "the card's own filter: its MAC, addresses and ARP, whether asked for or not",
    "peer_isolation": "isolated ports of the bridge",
    "no_internet": "nwfilter, before every rule that lets something pass",
    "no_host_access": "nwfilter, for the hypervisor's addresses; the kernel's table `mangle`, for those that it gets "
    "later; on networks without a way out it has none",
    "metadata": "nwfilter, for 169.254.169.254; the seed is a disk",
    "spread": "pins to NUMA nodes (memory too) or to sets of whole cores that have none in common; `host`: counted",
    "pack": "pins to one NUMA node (memory too) or one set of cores; others: one hypervisor is in one of each",
    "single_tenancy": "the configuration `provision-libvirt:soleUse`, which says so; other machines there are refused",
    "dedicated_cpus": "a CPU for each virtual one, pinned, chosen by cores, siblings and NUMA nodes; all others of the "
    "stack are pinned away",
    "memory": "memory backing of the domain: huge pages, locked, not merged",
    "disk_encryption": "LUKS in qcow2, with a key made for each disk that only the hypervisor's libvirt keeps",
    "secure_boot": "UEFI firmware with enrolled keys and system management mode; swtpm",
    "memory_encryption": "launch security of the domain: SEV, SEV-ES, SEV-SNP or TDX, whatever is the best there",
    "confinement": "security label of the domain (sVirt); the emulator's sandbox, looked at in its process",
    "hide_hypervisor": "CPU features of the domain",
}
"""By kind of policy: what of libvirt and QEMU carries it out."""

TOGETHER: Mapping[str, tuple[str, ...]] = {
    "traffic": (
        "one of its peers has no way to any on the other side, such as into a network with 'internet: nat'",
        "datagrams from a routed network to beyond the stack, whose answers cannot be told from unasked ones",
        "more than 47 changes between deny and allow by order",
        "an output of another stack among its peers that is no prefix",
    ),
    "peer_isolation": ("two of them on one network, of which neither selects all machines",),
    "no_host_access": ("a way out, and a hypervisor elsewhere, or on which `provision` is not root",),
    "spread": (
        "more machines than the nodes, cores or the one host have room for",
        "`over: rack` or `zone`: libvirt does not know where a hypervisor stands",
    ),
    "pack": ("no NUMA node has the memory of all together", "one of the machines has cores of its own"),
    "dedicated_cpus": ("fewer free CPUs, cores or memory of one NUMA node than are asked for",),
    "memory": ("fewer huge pages set aside than the machines need, or memory that is no multiple of their size",),
    "disk_encryption": ("a machine has user data, which it reads from a disk that is not encrypted",),
    "secure_boot": ("the image `micro`, whose kernel is not signed",),
    "memory_encryption": ("the image `micro`, whose kernel no firmware measures",),
    "single_tenancy": ("machines on the hypervisor that are not this stack's",),
}
"""By kind of policy: what is refused of a stack as a whole (`translate.objections`, `translate.refuse`)."""


def lacking(best: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The facts of hosts that lack one thing each."""
    for name, value in LACKS.items():
        yield {**best, name: value}
