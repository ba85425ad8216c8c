"""What of a machine's part of its host is enforced: CPU time, memory, disks, network cards, cores of its own."""

from collections.abc import Callable, Mapping
from typing import Any

from provision.models import ConfinementPolicy
from provision.spi import ENFORCED, Capabilities, Evidence, FeatureUse, Support, unsupported
from provision_libvirt.resources.xml_protection import MANDATORY

SEEN = Support(True, evidence=frozenset({Evidence.ACCEPTED, Evidence.EFFECTIVE}))
Answer = Callable[[FeatureUse, Capabilities], Support]

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
    "secure_boot": True,
    "tpm_backends": ["emulator"],
    "memory_encryption": ["sev", "tdx"],
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
    "sharing.pools.cpu_overcommit",
    "sharing.pools.memory_overcommit",
    "sharing.shares.disk.iops",
    "sharing.shares.disk.throughput",
    "sharing.shares.machines",
    "sharing.shares.memory.balloon",
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


def _minimum(use: FeatureUse, capabilities: Capabilities) -> Support:
    return unsupported(
        "libvirt guarantees no part of a QEMU machine's memory (its min_guarantee is for other hypervisors)",
        "remove 'minimum'; a policy of kind 'memory' with 'locked: true' keeps all of it there",
    )


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


def _rule(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value == "warn":
        return unsupported("the libvirt plugin holds a pool's limit or refuses", "write 'rule: refuse'")
    return ENFORCED


def _location(use: FeatureUse, capabilities: Capabilities) -> Support:
    return unsupported("a stack has one hypervisor", "remove 'location': the pool is that hypervisor")


def _dedicated(use: FeatureUse, capabilities: Capabilities) -> Support:
    if not capabilities.facts.get("topology"):
        return unsupported("the hypervisor does not tell which CPUs it has", "see: virsh capabilities")
    return SEEN


def _memory(use: FeatureUse, capabilities: Capabilities) -> Support:
    return SEEN


def _locked(use: FeatureUse, capabilities: Capabilities) -> Support:
    return (no_locking(capabilities) if use.value else None) or ENFORCED


def _huge_pages(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value and capabilities.facts.get("huge_pages_mounted") is False:
        return unsupported(
            "the hypervisor has no file system of huge pages mounted",
            "on the hypervisor: mount -t hugetlbfs hugetlbfs /dev/hugepages, and restart libvirt",
        )
    return ENFORCED


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


def _hidden(use: FeatureUse, capabilities: Capabilities) -> Support:
    if capabilities.facts.get("accelerator") != "kvm":
        return unsupported(
            "machines are emulated here, and an emulated CPU says so (CPUID leaf 0x40000000), which libvirt cannot "
            "switch off",
            "use a hypervisor with working KVM",
        )
    return SEEN


def _secure_boot(use: FeatureUse, capabilities: Capabilities) -> Support:
    if not capabilities.facts.get("secure_boot"):
        return unsupported(
            "the hypervisor has no UEFI firmware with secure boot (virsh domcapabilities names none)",
            "on the hypervisor: apt-get install ovmf",
        )
    return SEEN


def _vtpm(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value and "emulator" not in (capabilities.facts.get("tpm_backends") or ()):
        return unsupported(
            "the hypervisor cannot emulate a TPM (swtpm is not installed there)",
            "on the hypervisor: apt-get install swtpm swtpm-tools, and restart libvirt",
        )
    return ENFORCED


def _disk_encryption(use: FeatureUse, capabilities: Capabilities) -> Support:
    if use.value and not capabilities.facts.get("secrets"):
        return unsupported(
            "the hypervisor's libvirt keeps no keys (its secret driver is not there)",
            "apt-get install libvirt-daemon-system on the hypervisor, or encrypt in the guest",
        )
    return SEEN if use.feature.startswith("isolation.") else ENFORCED


def _key(use: FeatureUse, capabilities: Capabilities) -> Support:
    return unsupported(
        "each disk has a key of its own, which is made with it and kept by the hypervisor's libvirt", "remove 'key'"
    )


def _memory_encryption(use: FeatureUse, capabilities: Capabilities) -> Support:
    technology = getattr(use.value, "technology", "any")
    offered = capabilities.facts.get("memory_encryption") or []
    wanted = ["sev", "tdx"] if technology == "any" else [technology.partition("-")[0]]
    if not set(wanted).intersection(offered):
        names = " nor ".join({"sev": "AMD SEV", "tdx": "Intel TDX"}[name] for name in wanted)
        return unsupported(
            f"the hypervisor offers {'neither ' if len(wanted) > 1 else 'no '}{names} (virsh domcapabilities: not "
            "supported); its CPU, kernel and firmware must all have it",
            "use a hypervisor on such hardware",
        )
    return unsupported("starting machines with encrypted memory: this release of the libvirt plugin does not do it yet")


ANSWERS: Mapping[str, Answer] = {
    "isolation.policies.disk_encryption": _disk_encryption,
    "isolation.policies.disk_encryption.key": _key,
    "machines.disks.encrypted": _disk_encryption,
    "machines.root.encrypted": _disk_encryption,
    "isolation.policies.confinement": _confinement,
    "isolation.policies.hide_hypervisor": _hidden,
    "isolation.policies.memory_encryption": _memory_encryption,
    "isolation.policies.secure_boot": _secure_boot,
    "isolation.policies.secure_boot.vtpm": _vtpm,
    "isolation.policies.dedicated_cpus": _dedicated,
    "isolation.policies.memory": _memory,
    "isolation.policies.memory.huge_pages": _huge_pages,
    "isolation.policies.memory.locked": _locked,
    "sharing.pools.location": _location,
    "sharing.pools.rule": _rule,
    "sharing.shares.cpu.cap": _cap,
    "sharing.shares.cpu.weight": _weight,
    "sharing.shares.memory.maximum": _maximum,
    "sharing.shares.memory.minimum": _minimum,
    "sharing.shares.nic.inbound": _bandwidth,
    "sharing.shares.nic.outbound": _bandwidth,
}
