"""Isolation: what must be kept apart, and how strictly. Everything not allowed is denied unless written otherwise."""

import enum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from provision.models.base import Model, Name
from provision.models.peers import Peer, Selector
from provision.packets import Service


class Level(enum.StrEnum):
    """How strict a policy is: `required` is enforced or refused, `preferred` is enforced or recorded as a downgrade."""

    REQUIRED = "required"
    PREFERRED = "preferred"


class Posture(enum.StrEnum):
    """What happens to traffic that no policy names."""

    DENY = "deny"
    ALLOW = "allow"


class Revoke(enum.StrEnum):
    """What happens to established flows when a policy no longer allows them."""

    KEEP = "keep"
    CUT = "cut"


class _Policy(Model):
    level: Annotated[Level, Field(description="required (enforce or refuse) or preferred (enforce or report).")] = (
        Level.REQUIRED
    )
    evidence: Annotated[
        list[Literal["translated", "accepted", "effective", "probed"]],
        Field(description="Kinds of evidence without which `provision verify` fails."),
    ] = []


class _MachinePolicy(_Policy):
    machines: Annotated[list[Selector], Field(min_length=1, description="The machines that it applies to.")]


class TrafficPolicy(_Policy):
    """Who may open connections to whom; answers to them pass (stateful)."""

    kind: Literal["traffic"]
    sources: Annotated[list[Peer], Field(alias="from", min_length=1, description="Who opens the connection.")]
    destinations: Annotated[list[Peer], Field(alias="to", min_length=1, description="Who answers it.")]
    allow: Annotated[list[Service], Field(description="Services that pass: tcp/80, udp/53, icmp.")] = []
    deny: Annotated[list[Service], Field(description="Services that do not, before any allow of a later order.")] = []
    order: Annotated[int | None, Field(ge=0, le=1000, description="Lower is decided first; needed with deny.")] = None
    revoke: Annotated[
        Revoke | None,
        Field(description="What removing an allow does to established flows; default: what the platform does."),
    ] = None

    @model_validator(mode="after")
    def _says_something(self) -> "TrafficPolicy":
        if not self.allow and not self.deny:
            raise ValueError("a traffic policy must allow or deny something; add 'allow: [tcp/80]', or another service")
        if self.deny and self.order is None:
            raise ValueError("a traffic policy with 'deny' needs 'order'; add 'order: 10': lower is decided first")
        return self


class AntiSpoofingPolicy(_MachinePolicy):
    """The machines cannot send with another's MAC, IP or ARP identity."""

    kind: Literal["anti_spoofing"]
    mac: Annotated[bool, Field(description="Hold them to their MAC address.")] = True
    ip: Annotated[bool, Field(description="Hold them to their IP addresses.")] = True
    arp: Annotated[bool, Field(description="Hold them to their addresses in ARP and neighbour discovery.")] = True


class PeerIsolationPolicy(_MachinePolicy):
    """The machines do not see each other's frames, even on one segment."""

    kind: Literal["peer_isolation"]


class NoInternetPolicy(_MachinePolicy):
    """The machines have no path to public addresses."""

    kind: Literal["no_internet"]


class NoHostAccessPolicy(_MachinePolicy):
    """The machines have no path to the hypervisor itself."""

    kind: Literal["no_host_access"]


class MetadataPolicy(_MachinePolicy):
    """The platform's metadata service is closed or hardened."""

    kind: Literal["metadata"]
    access: Annotated[Literal["closed", "token"], Field(description="closed, or only with a session token.")] = "closed"
    hop_limit: Annotated[int, Field(ge=1, le=64, description="Most hops of a metadata answer.")] = 1


class Topology(enum.StrEnum):
    """Failure and sharing domains of the physical platform."""

    CORE = "core"
    NUMA = "numa"
    HOST = "host"
    RACK = "rack"
    ZONE = "zone"


class SpreadPolicy(_MachinePolicy):
    """The machines do not share a core set, NUMA node, host, rack or zone."""

    kind: Literal["spread"]
    over: Annotated[Topology, Field(description="What they must not share.")] = Topology.HOST
    max_per: Annotated[int, Field(ge=1, description="Most machines on one.")] = 1


class PackPolicy(_MachinePolicy):
    """The machines are placed close together."""

    kind: Literal["pack"]
    over: Annotated[Topology, Field(description="What they are to share.")] = Topology.HOST


class SingleTenancyPolicy(_MachinePolicy):
    """No other tenant's machines run on the same host."""

    kind: Literal["single_tenancy"]


class DedicatedCpusPolicy(_MachinePolicy):
    """The machines have host cores of their own."""

    kind: Literal["dedicated_cpus"]
    emulator: Annotated[bool, Field(description="The emulator's threads have cores of their own too.")] = False
    numa: Annotated[bool, Field(description="CPUs and memory come from one NUMA node.")] = False
    smt: Annotated[
        Literal["share", "isolate", "require"],
        Field(description="Sibling threads: share, isolate or require."),
    ] = "share"


class MemoryIsolationPolicy(_MachinePolicy):
    """The machines' memory is not swapped, merged or split."""

    kind: Literal["memory"]
    locked: Annotated[bool, Field(description="Never swapped out.")] = False
    huge_pages: Annotated[bool, Field(description="Backed by huge pages.")] = False
    shared_pages: Annotated[bool, Field(description="May be merged with equal pages of other machines.")] = False


class DiskEncryptionPolicy(_MachinePolicy):
    """All disks of the machines are encrypted at rest."""

    kind: Literal["disk_encryption"]
    key: Annotated[str | None, Field(description="Key reference on the platform; default: one made and managed.")] = (
        None
    )


class SecureBootPolicy(_MachinePolicy):
    """The machines boot only signed code."""

    kind: Literal["secure_boot"]
    vtpm: Annotated[bool, Field(description="With a virtual TPM 2.0.")] = False


class MemoryEncryptionPolicy(_MachinePolicy):
    """The machines' memory is encrypted against the host."""

    kind: Literal["memory_encryption"]
    technology: Annotated[
        Literal["any", "sev", "sev-es", "sev-snp", "tdx"],
        Field(description="Which technology; any takes the best."),
    ] = "any"


class ConfinementPolicy(_MachinePolicy):
    """The hypervisor process of each machine is confined on its host."""

    kind: Literal["confinement"]
    mandatory_access_control: Annotated[bool, Field(description="By SELinux or AppArmor (sVirt).")] = True
    seccomp: Annotated[bool, Field(description="By a system-call filter.")] = True


class HideHypervisorPolicy(_MachinePolicy):
    """The guest is not told what it runs on, and cannot nest virtualisation."""

    kind: Literal["hide_hypervisor"]
    nested: Annotated[bool, Field(description="Whether the guest may run virtual machines of its own.")] = False


Policy = Annotated[
    TrafficPolicy
    | AntiSpoofingPolicy
    | PeerIsolationPolicy
    | NoInternetPolicy
    | NoHostAccessPolicy
    | MetadataPolicy
    | SpreadPolicy
    | PackPolicy
    | SingleTenancyPolicy
    | DedicatedCpusPolicy
    | MemoryIsolationPolicy
    | DiskEncryptionPolicy
    | SecureBootPolicy
    | MemoryEncryptionPolicy
    | ConfinementPolicy
    | HideHypervisorPolicy,
    Field(discriminator="kind"),
]


class InfrastructureServices(Model):
    """Traffic that the platform itself needs or offers; what is true here passes, what is false is closed."""

    dhcp: Annotated[bool, Field(description="DHCP to the network's own server.")] = False
    dns: Annotated[bool, Field(description="DNS to the network's own server.")] = False
    ntp: Annotated[bool, Field(description="Time service of the platform.")] = False
    metadata: Annotated[bool, Field(description="Metadata service of the platform.")] = False
    nd: Annotated[bool, Field(description="IPv6 neighbour discovery, without which IPv6 does not work.")] = True


class Isolation(Model):
    """The isolation of a stack. With nothing written: everything is denied."""

    default: Annotated[Posture, Field(description="deny, unless allow is written.")] = Posture.DENY
    services: Annotated[InfrastructureServices, Field(description="Infrastructure traffic.")] = InfrastructureServices()
    policies: Annotated[dict[Name, Policy], Field(description="Policies by name.")] = {}
