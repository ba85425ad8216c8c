"""What the documentation says of this plugin's policies, beside what `support` answers."""

from collections.abc import Iterator, Mapping
from typing import Any

LACKS: Mapping[str, Any] = {"amd_sev_snp": False}
"""Facts of regions that lack something: each on its own shows what is refused there."""

ENFORCED_BY: Mapping[str, str] = {
    "traffic": "security groups, one for each peer of a policy; peers of the stack are referred to by their group, and "
    "what EC2 lets out by itself is taken away",
    "anti_spoofing": "the VPC itself, for every network card (source and destination check), whether asked for or not",
    "peer_isolation": "security groups; a VPC has no segment that machines could share",
    "no_internet": "security groups: taken out of what other policies allow",
    "no_host_access": "nothing is there to reach: hosts of EC2 have no address (as Amazon states)",
    "metadata": "options of the metadata service: off, or with a session token alone (IMDSv2) and few hops",
    "spread": "placement groups: `spread`, or `partition` where several may share; `zone`: counted by address",
    "pack": "placement groups: `cluster` for a rack; `zone`: all machines of a network are in one",
    "single_tenancy": "dedicated tenancy of the machine; with `dedicated_host` among its overrides on hosts of the "
    "stack's own",
    "dedicated_cpus": "types that do not share cores by credits (as Amazon states); `smt: isolate` by one thread for "
    "each core, together with their number",
    "disk_encryption": "EBS encryption of all disks, also where nobody asks; `key` names the key (KMS)",
    "secure_boot": "images of the account that start by UEFI with keys enrolled; NitroTPM",
    "memory_encryption": "AMD SEV-SNP of the machine, on types that have it",
    "memory": "",
    "confinement": "",
    "hide_hypervisor": "",
}
"""By kind of policy: what of EC2 carries it out."""

TOGETHER: Mapping[str, tuple[str, ...]] = {
    "traffic": (
        "more groups for a network card, or rules for a group, than the account's quotas allow",
        "a `deny` within `any` or `icmp`: groups only allow, and what is left is no service that a rule could name",
        "`any`, or a protocol by number, from a network with 'internet: nat' to beyond the stack: NAT gateways carry "
        "tcp, udp and icmp",
        "a prefix of IPv6 alone that stands for machines of the stack",
        "no peer but `host` on one side",
    ),
    "metadata": ("`closed`, and the machine has `user_data`, `cloud_init` or `ssh_keys`: it reads them there",),
    "spread": (
        "more machines than a placement group keeps apart: 7, or 7 times `max_per`",
        "`over: zone`, and too many machines have addresses of one zone",
        "a machine that two policies would put into two placement groups",
    ),
    "dedicated_cpus": ("a type is named that shares cores by credits, such as t3",),
    "single_tenancy": ("a dedicated host, and a policy that puts the machine into a placement group",),
    "memory_encryption": ("a type is named that is none of m6a, c6a and r6a",),
    "secure_boot": ("the image is none of the account's own that starts by UEFI with keys enrolled",),
}
"""By kind of policy: what is refused of a stack as a whole (`translate.objections`)."""


def lacking(best: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The facts of regions that lack one thing each."""
    for name, value in LACKS.items():
        yield {**best, name: value}
