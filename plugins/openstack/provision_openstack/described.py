"""What the documentation says of this plugin's policies, beside what `support` answers."""

from collections.abc import Iterator, Mapping
from typing import Any

LACKS: Mapping[str, Any] = {
    "extensions": ["security-group"],
    "encrypted_types": None,
    "microversions": {"compute": "2.60", "block-storage": "3.44"},
}
"""Facts of clouds that lack something: each on its own shows what is refused there."""

_FLAVOR = "a flavor that has the extra specs for it"

ENFORCED_BY: Mapping[str, str] = {
    "traffic": "security groups, one for each peer of a policy; peers of the stack are referred to by their group, "
    "ranges by address groups, and what Neutron lets out by itself is taken away",
    "anti_spoofing": "port security without allowed address pairs, on every port, whether asked for or not",
    "peer_isolation": "",
    "no_internet": "security groups: taken out of what other policies allow",
    "no_host_access": "security groups: no rule leads to the cloud's routers, or beyond the stack",
    "metadata": "a config drive, and no rule that leads to the service's address",
    "spread": "server groups: `anti-affinity` with `max_per`, `soft-anti-affinity` for `level: preferred`",
    "pack": "server groups: `affinity`, `soft-affinity` for `level: preferred`",
    "single_tenancy": "",
    "dedicated_cpus": f"{_FLAVOR} (`hw:cpu_policy`, `hw:cpu_thread_policy`, `hw:emulator_threads_policy`, "
    "`hw:numa_nodes`)",
    "memory": f"{_FLAVOR} (`hw:mem_page_size`, `hw:locked_memory`)",
    "disk_encryption": "types of volumes that encrypt, for all disks, also the first; Cinder makes the keys",
    "secure_boot": f"{_FLAVOR} (`os:secure_boot`, `hw:tpm_version`)",
    "memory_encryption": f"{_FLAVOR} (`hw:mem_encryption`, `hw:mem_encryption_model`)",
    "confinement": "",
    "hide_hypervisor": f"{_FLAVOR} (`hw:hide_hypervisor_id`)",
}
"""By kind of policy: what of OpenStack carries it out."""

_NO_FLAVOR = "the project sees no flavor with these extra specs and the machine's size"
_NO_UEFI = "the image does not say that it starts by UEFI (`hw_firmware_type`)"

TOGETHER: Mapping[str, tuple[str, ...]] = {
    "traffic": (
        "a `deny` within `any` or `icmp`: groups only allow, and what is left is no service that a rule could name",
        "no peer but `host`, or addresses of a single link (169.254.0.0/16, fe80::/10), on one side",
        "over a network with `stateless_groups`: no policy lets what may answer pass",
        "more groups or rules than the project's quotas allow",
    ),
    "no_host_access": ("a traffic policy lets the machine and addresses beyond the stack meet",),
    "spread": ("a machine that two policies would put into two server groups",),
    "pack": ("a machine that two policies would put into two server groups",),
    "dedicated_cpus": (_NO_FLAVOR,),
    "memory": (
        "neither `huge_pages` nor `shared_pages`: whether hosts merge equal pages is for their operators",
        _NO_FLAVOR,
    ),
    "disk_encryption": ("a disk is of a type that does not encrypt",),
    "secure_boot": (_NO_FLAVOR, _NO_UEFI),
    "memory_encryption": (_NO_FLAVOR, _NO_UEFI),
    "hide_hypervisor": ("without `nested: true`: what guests may nest is set for all of a host", _NO_FLAVOR),
}
"""By kind of policy: what is refused of a stack as a whole (`translate.objections`)."""


def lacking(best: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The facts of clouds that lack one thing each."""
    for name, value in LACKS.items():
        yield {**best, name: value}
