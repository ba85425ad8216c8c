"""What of a machine's part of its host is enforced: CPU time, memory, disks, network cards, cores of its own."""

from collections.abc import Callable, Mapping
from typing import Any

from provision.models import ConfinementPolicy, Topology
from provision.spi import ENFORCED, Capabilities, Evidence, FeatureUse, Support, unsupported
from provision_libvirt.resources.xml_protection import MANDATORY

SEEN = Support(True, evidence=frozenset({Evidence.ACCEPTED, Evidence.EFFECTIVE}))
Answer = Callable[[FeatureUse, Capabilities], Support]
Problem = Callable[[Capabilities], Support | None]
"""Why a host cannot do something; None when it can."""

ENCRYPTION_TECHNOLOGIES = ("sev-snp", "tdx", "sev-es", "sev")
"""Technologies that encrypt memory, the best first."""

BEST: Mapping[str, Any] = {
    "accelerator": "kvm",
    "cgroup_version": 2,
    "cgroup_controllers": ["cpu", "cpuset", "io", "memory"],
    "shaping_missing": "",
    "may_lock_memory": True,
    "huge_pages_mounted": True,
    "secrets": True,
    "seccomp": True,
    "security_models": ["apparmor", "dac"],
    "firmware": ["bios", "efi"],
    "secure_boot": True,
    "tpm_backends": ["emulator"],
    "memory_encryption": ["sev", "sev-es", "sev-snp", "tdx"],
    "sole_use": True,
    "unmarked_machines": [],
    "topology": [{"id": 0, "memory_mib": 65536, "huge_pages": {"2048": 8192}, "cpus": [{"id": 0, "siblings": "0"}]}],
}
"""Facts of a host that lacks nothing."""

ENFORCED_FIELDS = frozenset({
    "isolation.policies.confinement.machines",
    "isolation.policies.confinement.mandatory_access_control",
    "isolation.policies.confinement.seccomp",
    "isolation.policies.disk_encryption.machines",
    "isolation.policies.hide_hypervisor.machines",
    "isolation.policies.hide_hypervisor.nested",
    "isolation.policies.secure_boot.machines",
    "isolation.policies.dedicated_cpus.emulator",
    "isolation.policies.dedicated_cpus.machines",
    "isolation.policies.dedicated_cpus.numa",
    "isolation.policies.dedicated_cpus.smt",
    "isolation.policies.memory.machines",
    "isolation.policies.memory.shared_pages",
    "isolation.policies.memory_encryption.machines",
    "isolation.policies.memory_encryption.technology",
    "isolation.policies.pack.machines",
    "isolation.policies.pack.over",
    "isolation.policies.single_tenancy.machines",
    "isolation.policies.spread.machines",
    "isolation.policies.spread.max_per",
    "isolation.policies.spread.over",
    "sharing.pools.cpu_overcommit",
    "sharing.pools.memory_overcommit",
    "sharing.pools.rule",
    "sharing.shares.disk.iops",
    "sharing.shares.disk.throughput",
    "sharing.shares.machines",
    "sharing.shares.memory.balloon",
    "sharing.shares.memory.minimum",
    "sharing.shares.memory.page_sharing",
})  # fmt: skip
"""Fields that need nothing, or nothing beyond what their policy needs as a whole; stacks as a whole are looked at by
`translate.objections`."""


def missing_controller(capabilities: Capabilities, name: str) -> Support | None:
    """Why nothing can be limited by a controller of control groups; None when it can, or cannot be seen from here.

    Libvirt itself starts no machine with a limit for which there is no controller.
    """
    controllers = capabilities.facts.get("cgroup_controllers")
    if controllers is None or name in controllers:
        return None
    version = capabilities.facts.get("cgroup_version")
    return unsupported(
        f"the hypervisor's kernel has no '{name}' controller in its control groups (version {version})",
        "on the hypervisor: boot without cgroup_disable, and let its service manager hand the controller on",
    )


def no_locking(capabilities: Capabilities) -> Support | None:
    """Why no limit of locked memory can be raised; None when it can, or cannot be seen from here."""
    if capabilities.facts.get("may_lock_memory") is False:
        return unsupported(
            "libvirt must raise the limit of locked memory of such a machine, and the hypervisor's daemon may not "
            "(it runs without CAP_SYS_RESOURCE)",
            "run the hypervisor's libvirt with that capability",
        )
    return None


def _weight(use: FeatureUse, capabilities: Capabilities) -> Support:
    if capabilities.facts.get("cgroup_version") is None:
        return unsupported(
            "weights count differently in the two versions of control groups, and which one the hypervisor has cannot "
            "be seen from here",
            "run on the hypervisor itself, or write 'cap' instead",
        )
    return missing_controller(capabilities, "cpu") or ENFORCED


def _cap(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value < 0.01:
        return unsupported("the kernel's least is 0.01 of a CPU", "write 'cap: 0.01' or more")
    return missing_controller(capabilities, "cpu") or ENFORCED


def _maximum(use: FeatureUse, capabilities: Capabilities) -> Support:
    return missing_controller(capabilities, "memory") or no_locking(capabilities) or ENFORCED


def _bandwidth(use: FeatureUse, capabilities: Capabilities) -> Support:
    missing = capabilities.facts.get("shaping_missing")
    if missing is None:
        return unsupported(
            "whether the hypervisor's kernel can limit network cards cannot be seen from here (that needs root on it, "
            "with the programs tc and unshare)",
            "run on the hypervisor itself as root, or remove the limit",
        )
    if missing:
        return unsupported(
            f"the hypervisor's kernel lacks parts of its traffic control that libvirt needs: {missing}",
            "on the hypervisor: a kernel with sch_htb, sch_sfq, sch_ingress, cls_fw, cls_u32 and act_police",
        )
    if use.value is not True and use.value < 8000:
        return unsupported("libvirt's least is 8 kbit/s", "write '8kbit/s' or more")
    return ENFORCED


def no_topology(capabilities: Capabilities) -> Support | None:
    """Why no machine can be held to CPUs or NUMA nodes; None when it can."""
    if not capabilities.facts.get("topology"):
        return unsupported("the hypervisor does not tell which CPUs it has", "see: virsh capabilities")
    return None


def no_huge_pages(capabilities: Capabilities) -> Support | None:
    """Why no memory can be made of huge pages; None when it can, or cannot be seen from here."""
    if capabilities.facts.get("huge_pages_mounted") is False:
        return unsupported(
            "the hypervisor has no file system of huge pages mounted",
            "on the hypervisor: mount -t hugetlbfs hugetlbfs /dev/hugepages, and restart libvirt",
        )
    return None


def _confinement(use: FeatureUse, capabilities: Capabilities) -> Support:
    policy = use.value if isinstance(use.value, ConfinementPolicy) else None
    models = capabilities.facts.get("security_models") or ()
    if (policy is None or policy.mandatory_access_control) and not set(models).intersection(MANDATORY):
        return unsupported(
            "the hypervisor's libvirt confines QEMU by no mandatory access control (its security drivers: "
            f"{', '.join(models) or 'none'})",
            "on the hypervisor: a kernel with AppArmor or SELinux, and that driver in /etc/libvirt/qemu.conf; "
            "or write 'mandatory_access_control: false'",
        )
    if policy is None or policy.seccomp:
        if capabilities.facts.get("seccomp") is None:
            return unsupported(
                "whether the hypervisor filters the system calls of QEMU cannot be seen from here",
                "run on the hypervisor itself as root, or write 'seccomp: false'",
            )
        if not capabilities.facts["seccomp"]:
            return unsupported(
                "the hypervisor does not filter the system calls of QEMU (seccomp_sandbox in /etc/libvirt/qemu.conf "
                "is 0, or its kernel has no seccomp)",
                "on the hypervisor: seccomp_sandbox = 1, and restart libvirt; or write 'seccomp: false'",
            )
    return SEEN


def always_told(capabilities: Capabilities) -> Support | None:
    """Why a guest always learns that it has a hypervisor; None when that can be hidden."""
    if capabilities.facts.get("accelerator") != "kvm":
        return unsupported(
            "machines are emulated here, and an emulated CPU says so (CPUID leaf 0x40000000), which libvirt cannot "
            "switch off",
            "use a hypervisor with working KVM",
        )
    return None


def no_secure_boot(capabilities: Capabilities) -> Support | None:
    """Why no machine can be held to signed code; None when it can."""
    if not capabilities.facts.get("secure_boot"):
        return unsupported(
            "the hypervisor has no UEFI firmware with secure boot (virsh domcapabilities names none)",
            "on the hypervisor: apt-get install ovmf",
        )
    return None


def no_tpm(capabilities: Capabilities) -> Support | None:
    """Why no machine can have a TPM; None when it can."""
    if "emulator" not in (capabilities.facts.get("tpm_backends") or ()):
        return unsupported(
            "the hypervisor cannot emulate a TPM (swtpm is not installed there)",
            "on the hypervisor: apt-get install swtpm swtpm-tools, and restart libvirt",
        )
    return None


def no_keys(capabilities: Capabilities) -> Support | None:
    """Why no disk can be encrypted; None when it can."""
    if not capabilities.facts.get("secrets"):
        return unsupported(
            "the hypervisor's libvirt keeps no keys (its secret driver is not there)",
            "apt-get install libvirt-daemon-system on the hypervisor, or encrypt in the guest",
        )
    return None


def _key(use: FeatureUse, capabilities: Capabilities) -> Support:
    return unsupported(
        "each disk has a key of its own, which is made with it and kept by the hypervisor's libvirt", "remove 'key'"
    )


def _memory_encryption(use: FeatureUse, capabilities: Capabilities) -> Support:
    asked = getattr(use.value, "technology", "any")
    if encryption_technology(capabilities, asked) is not None:
        return SEEN
    offered = capabilities.facts.get("memory_encryption") or ()
    if asked != "any" and offered:
        return unsupported(
            f"the hypervisor offers no {asked.upper()} (virsh domcapabilities names {', '.join(offered)})",
            "write 'technology: any', or use a hypervisor on such hardware",
        )
    names = "neither AMD SEV nor Intel TDX" if asked == "any" else f"no {asked.upper()}"
    return unsupported(
        f"the hypervisor offers {names} (virsh domcapabilities: not supported); its CPU, kernel and firmware must all "
        "have it",
        "use a hypervisor on such hardware",
    )


def encryption_technology(capabilities: Capabilities, asked: str) -> str | None:
    """How the hypervisor encrypts memory when `asked` is (`any`: the best that it has); None when it cannot."""
    offered = capabilities.facts.get("memory_encryption") or ()
    wanted = ENCRYPTION_TECHNOLOGIES if asked == "any" else (asked,)
    return next((name for name in wanted if name in offered), None)


def _spread(use: FeatureUse, capabilities: Capabilities) -> Support:
    over = getattr(use.value, "over", Topology.NUMA)
    if over in (Topology.RACK, Topology.ZONE):
        return unsupported(
            f"libvirt does not know in which {over} a hypervisor stands",
            "write 'over: numa' or 'over: core' to keep the machines apart on one hypervisor",
        )
    return (no_topology(capabilities) if over is not Topology.HOST else None) or SEEN


def _pack(use: FeatureUse, capabilities: Capabilities) -> Support:
    on_part = getattr(use.value, "over", Topology.HOST) in (Topology.CORE, Topology.NUMA)
    return (no_topology(capabilities) if on_part else None) or SEEN


def _single_tenancy(use: FeatureUse, capabilities: Capabilities) -> Support:
    if not capabilities.facts.get("sole_use"):
        return unsupported(
            "libvirt gives its host to nobody: whoever else may use the hypervisor can start machines there",
            "when the hypervisor is this stack's alone, say so: pulumi config set provision-libvirt:soleUse true",
        )
    others = capabilities.facts.get("unmarked_machines") or ()
    if others:
        return unsupported(
            f"the hypervisor has machines that no stack made: {', '.join(others)}",
            "remove them, or use a hypervisor of the stack's own",
        )
    return SEEN


def _if_on(problem: Problem) -> Answer:
    """The answer for a switch: when it is on, what is in the way, if anything."""
    return lambda use, capabilities: (problem(capabilities) if use.value else None) or ENFORCED


def _unless(problem: Problem) -> Answer:
    """The answer for a policy as a whole."""
    return lambda use, capabilities: problem(capabilities) or SEEN


def _seen(use: FeatureUse, capabilities: Capabilities) -> Support:
    return SEEN


ANSWERS: Mapping[str, Answer] = {
    "isolation.policies.disk_encryption": _unless(no_keys),
    "isolation.policies.disk_encryption.key": _key,
    "machines.disks.encrypted": _if_on(no_keys),
    "machines.root.encrypted": _if_on(no_keys),
    "isolation.policies.confinement": _confinement,
    "isolation.policies.hide_hypervisor": _unless(always_told),
    "isolation.policies.memory_encryption": _memory_encryption,
    "isolation.policies.pack": _pack,
    "isolation.policies.secure_boot": _unless(no_secure_boot),
    "isolation.policies.secure_boot.vtpm": _if_on(no_tpm),
    "isolation.policies.single_tenancy": _single_tenancy,
    "isolation.policies.spread": _spread,
    "isolation.policies.dedicated_cpus": _unless(no_topology),
    "isolation.policies.memory": _seen,
    "isolation.policies.memory.huge_pages": _if_on(no_huge_pages),
    "isolation.policies.memory.locked": _if_on(no_locking),
    "sharing.shares.cpu.cap": _cap,
    "sharing.shares.cpu.weight": _weight,
    "sharing.shares.memory.maximum": _maximum,
    "sharing.shares.nic.inbound": _bandwidth,
    "sharing.shares.nic.outbound": _bandwidth,
}
