"""What policies make of a machine: where it lies, how its CPUs, memory, disks and metadata are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from provision.models import (
    DedicatedCpusPolicy,
    DiskEncryptionPolicy,
    MemoryEncryptionPolicy,
    MetadataPolicy,
    PackPolicy,
    Policy,
    SecureBootPolicy,
    SingleTenancyPolicy,
    SpreadPolicy,
    Stack,
    Topology,
)
from provision.spi import EXISTING, Decision, Objection, enforced
from provision.spi.peers import selects
from provision_aws.translate.overrides import DedicatedHostOverride, MachineOverrides, of

P = TypeVar("P")

MOST_SPREAD, PARTITIONS = 7, 7
"""Machines of a spread placement group, and partitions of one, in a zone (EC2 User Guide, "Placement groups")."""

BURSTABLE = ("t1.", "t2.", "t3.", "t3a.", "t4g.")
_SNP = ("m6a.", "c6a.", "r6a.")


@dataclass(frozen=True)
class Parts:
    """What the policies of a stack make of its machines."""

    stack: Stack
    decisions: Mapping[str, Decision]
    facts: Mapping[str, Any]

    @cached_property
    def _enforced(self) -> list[tuple[str, Policy]]:
        return list(enforced(self.stack, self.decisions))

    def enforced(self, kind: type[P]) -> list[tuple[str, P]]:
        """Policies of a kind that are carried out."""
        return [(name, policy) for name, policy in self._enforced if isinstance(policy, kind)]

    def about(self, kind: type[P], entry: str) -> list[tuple[str, P]]:
        """Those that select an entry of machines."""
        return [
            (name, policy) for name, policy in self.enforced(kind)
            if selects(self.stack, getattr(policy, "machines"), entry)  # noqa: B009 - all but traffic have it
        ]  # fmt: skip

    # --- what they come to

    def key(self, entry: str) -> str | None:
        """The key that encrypts its disks; None for the account's own."""
        return next((policy.key for _, policy in self.about(DiskEncryptionPolicy, entry) if policy.key), None)

    def metadata(self, entry: str) -> dict[str, Any]:
        """The metadata service as it sees it: with a session token alone, or not at all."""
        policies = [policy for _, policy in self.about(MetadataPolicy, entry)]
        open_ = self.stack.isolation.services.metadata and all(policy.access == "token" for policy in policies)
        hops = min((policy.hop_limit for policy in policies), default=1)
        return {
            "http_endpoint": "enabled" if open_ else "disabled",
            "http_tokens": "required",
            "http_put_response_hop_limit": hops,
        }

    def requirements(self, entry: str) -> dict[str, Any]:
        """What its type must have for that."""
        made: dict[str, Any] = {"nitro": True}
        cpus = [policy for _, policy in self.about(DedicatedCpusPolicy, entry)]
        if cpus or any(policy.over is Topology.RACK for _, policy in self.about(PackPolicy, entry)):
            made["burstable"] = False
        if threads := self.threads(entry):
            made["threads_per_core"] = threads
        if self.about(MemoryEncryptionPolicy, entry):
            made["amd_sev_snp"] = True
        if any(policy.vtpm for _, policy in self.about(SecureBootPolicy, entry)):
            made["nitro_tpm"] = True
        return made

    def threads(self, entry: str) -> int | None:
        """Threads of a core that it must have; None when that does not matter."""
        said = {policy.smt for _, policy in self.about(DedicatedCpusPolicy, entry)}
        return 1 if "isolate" in said else 2 if "require" in said else None

    def cpu_options(self, entry: str) -> dict[str, Any] | None:
        """How the CPUs of its type are used."""
        made: dict[str, Any] = {}
        if self.threads(entry) == 1:
            made["threads_per_core"] = 1
        if self.about(MemoryEncryptionPolicy, entry):
            made["amd_sev_snp"] = "enabled"
        return made or None

    def tenancy(self, entry: str) -> str:
        """Who else is on its host."""
        if not self.about(SingleTenancyPolicy, entry):
            return "default"
        return "host" if self.host(entry) is not None else "dedicated"

    def host(self, entry: str) -> DedicatedHostOverride | None:
        """How it is on hosts of the stack's own; None when it is not."""
        return of(MachineOverrides, self.stack.machines[entry].overrides).dedicated_host

    def group(self, entry: str) -> tuple[str, SpreadPolicy | PackPolicy] | None:
        """The policy whose placement group it is in."""
        return next(iter(self._grouped(entry)), None)

    def _grouped(self, entry: str) -> Iterator[tuple[str, SpreadPolicy | PackPolicy]]:
        placing: list[tuple[str, SpreadPolicy | PackPolicy]] = [
            *self.about(SpreadPolicy, entry),
            *self.about(PackPolicy, entry),
        ]
        return (item for item in placing if item[1].over is not Topology.ZONE)

    def members(self, policy: SpreadPolicy | PackPolicy) -> list[str]:
        """Machine instances that a policy selects, in the order of the file."""
        return [
            name
            for entry, machine in self.stack.machines.items()
            if selects(self.stack, policy.machines, entry)
            for name in machine.names(entry)
        ]

    # --- what cannot be

    def objections(self) -> Iterator[Objection]:
        """What of the placing and sizes cannot be had together."""
        for name, spread in self.enforced(SpreadPolicy):
            yield from self._spread(name, spread)
        for entry in self.stack.machines:
            held = {name for name, _ in self._grouped(entry)}
            if len(held) > 1:
                first, second, *_ = sorted(held)
                yield Objection(
                    ("isolation", "policies", second),
                    f"machine '{entry}' would be in two placement groups, for policy '{first}' too, and EC2 puts a "
                    "machine into one",
                    "let one policy select it",
                )
            yield from self._size(entry)
            yield from self._hosts(entry)
        yield from self._images()

    def _spread(self, name: str, policy: SpreadPolicy) -> Iterator[Objection]:
        count = len(self.members(policy))
        path = ("isolation", "policies", name)
        if policy.over is Topology.ZONE:
            return
        most = MOST_SPREAD if policy.max_per == 1 else PARTITIONS * policy.max_per
        if count > most:
            yield Objection(
                path,
                f"a placement group of EC2 keeps at most {most} machines apart so in a zone, and the policy selects "
                f"{count}",
                f"write 'max_per: {-(-count // PARTITIONS)}', or make several policies of fewer machines",
            )

    def _size(self, entry: str) -> Iterator[Objection]:
        size = self.stack.machines[entry].size.get("aws")
        if size is None or size in (self.facts.get(EXISTING) or {}).get("types", {}):
            return  # of the latter EC2 has told what they have
        wanted = self.requirements(entry)
        path = ("machines", entry, "size", "aws")
        if wanted.get("burstable") is False and size.startswith(BURSTABLE):
            yield Objection(
                path, f"machines of the type {size} share cores by credits, and a policy wants others",
                "take a type of the families m, c or r, or leave 'size' out",
            )  # fmt: skip
        if wanted.get("amd_sev_snp") and not size.startswith(_SNP):
            yield Objection(
                path, f"the type {size} has no AMD SEV-SNP", "take one of m6a, c6a or r6a, or leave 'size' out"
            )

    def _hosts(self, entry: str) -> Iterator[Objection]:
        if self.host(entry) is None:
            return
        machine, path = self.stack.machines[entry], ("machines", entry, "overrides")
        if not self.about(SingleTenancyPolicy, entry):
            yield Objection(
                path,
                "a host of its own is a matter of isolation, and no policy asks for it",
                "add a policy of the kind 'single_tenancy' that selects it, or remove 'dedicated_host'",
            )
        if "aws" not in machine.size:
            yield Objection(path, "a host is for one family of types, which must be known", "write 'size: {aws: TYPE}'")
        if of(MachineOverrides, machine.overrides).spot is not None:
            yield Objection(path, "spot machines are on no dedicated hosts", "remove 'spot' or 'dedicated_host'")
        if any(True for _ in self._grouped(entry)):
            yield Objection(
                path,
                "EC2 puts machines on dedicated hosts into no placement groups, and a policy wants that",
                "remove 'dedicated_host', or have the policy select other machines",
            )

    def _images(self) -> Iterator[Objection]:
        known: Mapping[str, Any] = self.facts.get("uefi_images") or {}
        for name, policy in self.enforced(SecureBootPolicy):
            for entry, machine in self.stack.machines.items():
                if not selects(self.stack, policy.machines, entry):
                    continue
                image = self.stack.images.get(machine.image)
                source = image and (image.sources.get("aws") or image.sources.get("any"))
                identity = getattr(source, "name", "") if source and source.kind == "named" else ""
                told = known.get(identity, {})
                if not told.get("enrolled") or (policy.vtpm and not told.get("tpm")):
                    yield Objection(
                        ("isolation", "policies", name),
                        f"machine '{entry}' runs the image '{machine.image}', which is no image of the account that "
                        "starts by UEFI alone with keys enrolled" + (" and has a NitroTPM" if policy.vtpm else ""),
                        "register one (aws ec2 register-image --boot-mode uefi --uefi-data …"
                        + (" --tpm-support v2.0" if policy.vtpm else "")
                        + ") and name it: 'kind: named', 'name: ami-…'",
                    )
                    break
