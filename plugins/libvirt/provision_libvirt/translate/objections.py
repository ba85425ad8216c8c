"""What of a stack one host cannot do together, though it could do each field of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from pydantic import SecretStr

from provision.models import (
    BuiltinImage,
    DiskEncryptionPolicy,
    Firmware,
    Internet,
    Machine,
    MemoryEncryptionPolicy,
    MemoryIsolationPolicy,
    NoHostAccessPolicy,
    PeerIsolationPolicy,
    Power,
    Revoke,
    SecureBootPolicy,
    Share,
    SpreadPolicy,
    Stack,
    Topology,
    TrafficPolicy,
    UserData,
)
from provision.spi import Capabilities, Decision, Objection
from provision.spi.peers import instances
from provision_libvirt import usermode
from provision_libvirt.cloud import IMAGES, build_command
from provision_libvirt.translate.hardware import EMULATOR_MIB
from provision_libvirt.translate.hostpart import HostParts, huge_page_kib, huge_pages
from provision_libvirt.translate.images import LEAST_MEMORY_MIB, has_root, source_of
from provision_libvirt.translate.reach import Reaching
from provision_libvirt.translate.steps import MOST, Steps


def objections(
    stack: Stack, capabilities: Capabilities, decisions: Mapping[str, Decision] | None = None
) -> Iterator[Objection]:
    """Everything of the stack that cannot be had together on this host."""
    if usermode.is_user(capabilities):
        yield from usermode.objections(stack)
    yield from _Objections(HostParts(stack, capabilities, decisions or {})).found()


@dataclass(frozen=True)
class _Objections:
    parts: HostParts

    @property
    def stack(self) -> Stack:
        return self.parts.stack

    @property
    def capabilities(self) -> Capabilities:
        return self.parts.capabilities

    def found(self) -> Iterator[Objection]:
        for policy, reason in self.parts.placing.refused.items():
            yield Objection(
                ("isolation", "policies", policy), reason, "use fewer or smaller machines, or a larger host"
            )
        yield from Reaching(self.stack, self.parts.enforced(TrafficPolicy)).objections()
        yield from self._said_twice()
        yield from self._memory_objections()
        yield from self._least_memory_objections()
        yield from self._pool_objections()
        yield from self._boot_objections()
        yield from self._firmware_objections()
        yield from self._image_objections()
        yield from self._built_objections()
        yield from self._first_boot_objections()
        yield from self._apart_objections()
        yield from self._seed_objections()
        yield from self._traffic_objections()
        yield from self._host_objections()
        yield from self._peer_objections()

    def _peer_objections(self) -> Iterator[Objection]:
        """Isolated ports of a bridge are isolated from all others that are: there are no groups of them."""
        groups = [(name, self.parts.selected[name]) for name, _ in self.parts.enforced(PeerIsolationPolicy)]
        if len(groups) < 2:
            return
        for network in self.stack.networks:
            here = {
                entry
                for entry, machine in self.stack.machines.items()
                if any(nic.network == network for nic in machine.nics) and any(entry in them for _, them in groups)
            }
            if any(here <= them for _, them in groups):
                continue
            apart = next(
                ((one, other) for one, other in combinations(sorted(here), 2)
                 if not any({one, other} <= them for _, them in groups)),
                None,
            )  # fmt: skip
            if apart is not None:
                name = next(name for name, them in reversed(groups) if here & them)
                yield Objection(
                    ("isolation", "policies", name),
                    f"on network '{network}' machines '{apart[0]}' and '{apart[1]}' would be kept apart too, though no "
                    "policy says so: the isolated ports of a bridge are isolated from each other, all of them",
                    "use one such policy for all of them, or a network for each group",
                )

    def _traffic_objections(self) -> Iterator[Objection]:
        """What is too much where order matters."""
        steps = Steps.of(self.parts.enforced(TrafficPolicy))
        if not steps.needed:
            return
        if steps.count > MOST:
            last = max(steps.deny, key=lambda name: steps.deny[name])
            yield Objection(
                ("isolation", "policies", last, "order"),
                f"by 'order', the policies change {steps.count - 1} times between deny and allow, and libvirt's packet "
                f"filter has room for {MOST - 1} times",
                "give policies that deny an order of their own, before those that allow",
            )
        for name, policy in self.parts.enforced(TrafficPolicy):
            if policy.revoke is Revoke.CUT:
                yield Objection(
                    ("isolation", "policies", name, "revoke"),
                    f"policy '{next(iter(steps.deny))}' denies, and libvirt's packet filter lets a 'deny' that is new "
                    "stop new connections only",
                    "leave 'revoke' out, or take services out of 'allow' instead of a 'deny'",
                )

    def _host_objections(self) -> Iterator[Objection]:
        """The hypervisor's addresses must be known to be closed."""
        if self.capabilities.facts.get("host_addresses"):
            return
        for name, _ in self.parts.enforced(NoHostAccessPolicy):
            for entry in sorted(self.parts.selected[name] & self.stack.machines.keys()):
                nics = self.stack.machines[entry].nics
                out = [nic.network for nic in nics if self.stack.networks[nic.network].internet is not Internet.NONE]
                if out:
                    yield Objection(
                        ("isolation", "policies", name),
                        f"machine '{entry}' has a way out by network '{out[0]}', and the addresses of a remote "
                        "hypervisor beyond the stack's networks are not known here",
                        "use networks with 'internet: none', or run provision on the hypervisor itself",
                    )
                    break

    def _seed_objections(self) -> Iterator[Objection]:
        """Encryption of all disks of machines with secrets on one that cannot be encrypted."""
        for name, _ in self.parts.enforced(DiskEncryptionPolicy):
            for entry in sorted(self.parts.selected[name]):
                if self.stack.machines[entry].user_data is not None:
                    yield Objection(
                        ("isolation", "policies", name),
                        f"machine '{entry}' has 'user_data', which it reads from a disk that is not encrypted",
                        "remove 'user_data', or write 'encrypted: true' at each disk that holds data",
                    )
                    break

    def _boot_objections(self) -> Iterator[Objection]:
        """Machines that no firmware boots, where firmware is what makes the policy hold."""
        for kind, lack, what in (
            (SecureBootPolicy, "whose kernel is not signed", "a signed boot loader"),
            (MemoryEncryptionPolicy, "whose kernel no firmware measures", "a boot loader"),
        ):
            for name, _ in self.parts.enforced(kind):
                for entry in sorted(self.parts.selected[name]):
                    image = self.stack.machines[entry].image
                    if isinstance(source_of(self.stack, image), BuiltinImage):
                        yield Objection(
                            ("isolation", "policies", name),
                            f"machine '{entry}' runs the image '{image}', {lack}",
                            f"use an image with {what}, or select other machines",
                        )
                        break

    def _firmware_objections(self) -> Iterator[Objection]:
        """Firmware that cannot start the image, or cannot do what a policy needs."""
        for entry, machine in self.stack.machines.items():
            path, source = ("machines", entry, "firmware"), source_of(self.stack, machine.image)
            if machine.firmware is Firmware.UEFI and isinstance(source, BuiltinImage):
                yield Objection(
                    path,
                    f"the image '{machine.image}' comes with a bare kernel that UEFI does not start",
                    "remove 'firmware', or use an image with a boot loader for UEFI",
                )
            for name, _ in self.parts.policies(SecureBootPolicy, entry):
                if machine.firmware is Firmware.BIOS:
                    yield Objection(
                        path, f"policy '{name}' needs UEFI, which alone looks at signatures", "write 'firmware: uefi'"
                    )

    def _image_objections(self) -> Iterator[Objection]:
        """Machines with less memory than their image needs to start at all."""
        for entry, machine in self.stack.machines.items():
            source = source_of(self.stack, machine.image)
            least = LEAST_MEMORY_MIB.get(source.name) if isinstance(source, BuiltinImage) else None
            if least is not None and machine.memory.mib < least:
                yield Objection(
                    ("machines", entry, "memory"),
                    f"the image '{machine.image}' does not start with less than {least} MiB",
                    f"write 'memory: {least}MiB' or more",
                )

    def _first_boot_objections(self) -> Iterator[Objection]:
        """What only cloud-init reads, for machines of an image that has none."""
        for entry, machine in self.stack.machines.items():
            if has_root(source_of(self.stack, machine.image)):
                continue
            data = machine.user_data.text if isinstance(machine.user_data, UserData) else machine.user_data
            text = data.get_secret_value() if isinstance(data, SecretStr) else data or ""
            for key, asked in (
                ("cloud_init", machine.cloud_init is not None),
                ("ssh_keys", bool(machine.ssh_keys)),
                ("user_data", text.startswith(("#", "Content-Type:", "MIME-Version:")) and not text.startswith("#!")),
            ):
                if asked:
                    yield Objection(
                        ("machines", entry, key),
                        f"the image '{machine.image}' has no cloud-init, and would ignore it",
                        "use the image 'debian', or write 'user_data' that begins with '#!/bin/sh'",
                    )

    def _built_objections(self) -> Iterator[Objection]:
        """Images that take minutes to build, and so are built when a person says so."""
        built = self.capabilities.facts.get("images") or {}
        for entry, machine in self.stack.machines.items():
            source = source_of(self.stack, machine.image)
            if isinstance(source, BuiltinImage) and source.name in IMAGES and source.name not in built:
                yield Objection(
                    ("machines", entry, "image"),
                    f"the image '{source.name}' has not been built on this machine",
                    f"run: {build_command(source.name)}",
                )

    def _apart_objections(self) -> Iterator[Objection]:
        """One hypervisor is one host."""
        for name, policy in self.parts.enforced(SpreadPolicy):
            members = sum(1 for _, entry, _ in instances(self.stack) if entry in self.parts.selected[name])
            if policy.over is Topology.HOST and members > policy.max_per:
                yield Objection(
                    ("isolation", "policies", name),
                    f"one hypervisor is one host, and the policy wants at most {policy.max_per} of its {members} "
                    "machines on one",
                    "write 'over: numa' or 'over: core' to keep them apart on the host, or use several hypervisors",
                )

    def _said_twice(self) -> Iterator[Objection]:
        """Limits of one machine by several shares: which of them was meant nobody knows."""
        for entry in self.stack.machines:
            said: dict[tuple[str, str], str] = {}
            for name, share in self.parts.shares_of(entry):
                for part in ("cpu", "memory", "disk", "nic"):
                    model = getattr(share, part)
                    for key in sorted(model.model_fields_set) if model is not None else ():
                        if getattr(model, key) is None:
                            continue
                        other = said.setdefault((part, key), name)
                        if other != name:
                            yield Objection(
                                ("sharing", "shares", name, part, key),
                                f"machine '{entry}' has its '{part}.{key}' from share '{other}' already",
                                f"take '{key}' out of one of them, or select other machines",
                            )

    def _memory_objections(self) -> Iterator[Objection]:
        for entry, machine in self.stack.machines.items():
            for name, share in self.parts.shares_of(entry):
                yield from self._share_memory(name, share, entry, machine)
        for name, policy in self.parts.enforced(MemoryIsolationPolicy):
            if policy.huge_pages:
                yield from self._huge_objections(name)

    def _share_memory(self, name: str, share: Share, entry: str, machine: Machine) -> Iterator[Objection]:
        if share.memory is None:
            return
        path = ("sharing", "shares", name, "memory")
        if share.memory.minimum is not None and share.memory.minimum > machine.memory:
            yield Objection(
                (*path, "minimum"),
                f"machine '{entry}' has {machine.memory} of memory, less than {share.memory.minimum}",
                f"write 'memory: {share.memory.minimum}' for the machine, or lower the minimum",
            )
        least = machine.memory.mib + EMULATOR_MIB
        if share.memory.maximum is not None and share.memory.maximum.mib < least:
            yield Objection(
                (*path, "maximum"),
                f"machine '{entry}' has {machine.memory.mib} MiB of memory and its emulator needs {EMULATOR_MIB} MiB "
                f"more; under a limit of {share.memory.maximum.mib} MiB the hypervisor's kernel would end it",
                f"write at least 'maximum: {least}MiB', or give the machine less memory",
            )
        if share.memory.page_sharing:
            for policy_name, policy in self.parts.policies(MemoryIsolationPolicy, entry):
                if not policy.shared_pages:
                    yield Objection(
                        (*path, "page_sharing"),
                        f"policy '{policy_name}' forbids it for machine '{entry}'",
                        "remove 'page_sharing', or write 'shared_pages: true' in the policy",
                    )

    def _least_memory_objections(self) -> Iterator[Objection]:
        """What is always to be there must be there for all machines together."""
        host = self.capabilities.facts.get("host_memory_mib")
        needed, last = 0, ""
        for _, entry, machine in instances(self.stack):
            for name, share in self.parts.shares_of(entry):
                if machine.power is Power.RUNNING and share.memory is not None and share.memory.minimum is not None:
                    needed, last = needed + share.memory.minimum.mib + EMULATOR_MIB, name
        if host is not None and needed > host:
            yield Objection(
                ("sharing", "shares", last, "memory", "minimum"),
                f"the running machines of the stack are always to have {needed} MiB, their emulators included, and "
                f"the hypervisor has {host} MiB",
                "lower the minimum, use fewer machines, or a larger host",
            )

    def _huge_objections(self, name: str) -> Iterator[Objection]:
        path = ("isolation", "policies", name)
        size = huge_page_kib(self.capabilities, self.parts.huge_mib)
        if size is None:
            pages = huge_pages(self.capabilities)
            has = ", ".join(f"{count} of {kib // 1024} MiB" for kib, count in sorted(pages.items()) if kib >= 1024)
            yield Objection(
                path,
                f"the stack's machines need {self.parts.huge_mib} MiB in huge pages, and the hypervisor has set aside "
                f"{has or 'none'}",
                f"on the hypervisor: sysctl -w vm.nr_hugepages={-(-self.parts.huge_mib // 2)}",
            )
            return
        yield from self._node_objections(name, size)
        for entry in sorted(self.parts.selected[name]):
            memory = self.stack.machines[entry].memory.mib
            if memory * 1024 % size:
                yield Objection(
                    path,
                    f"the memory of machine '{entry}' ({memory} MiB) is no multiple of the hypervisor's huge pages "
                    f"({size // 1024} MiB)",
                    f"write 'memory: {-(-memory * 1024 // size) * size // 1024}MiB'",
                )

    def _node_objections(self, name: str, size: int) -> Iterator[Objection]:
        """Huge pages of machines whose memory must come from one NUMA node."""
        needed: dict[int, int] = {}
        for machine, entry, described in instances(self.stack):
            own = self.parts.placing.own.placed.get(machine)
            if own is not None and own.node is not None and entry in self.parts.selected[name]:
                needed[own.node] = needed.get(own.node, 0) + described.memory.mib
        for node in self.capabilities.facts.get("topology") or ():
            count, need = int(node["huge_pages"].get(str(size), 0)), needed.get(int(node["id"]), 0)
            if need * 1024 > count * size:
                yield Objection(
                    ("isolation", "policies", name),
                    f"machines on NUMA node {node['id']} need {need} MiB in huge pages, and it has {count} of "
                    f"{size // 1024} MiB",
                    "set more aside on that node (/sys/devices/system/node), or write 'numa: false'",
                )

    def _pool_objections(self) -> Iterator[Objection]:
        running = [machine for _, _, machine in instances(self.stack) if machine.power is Power.RUNNING]
        asked = {
            "cpu_overcommit": (sum(machine.cpus for machine in running), "host_cpus", "virtual CPUs", "CPUs"),
            "memory_overcommit": (
                sum(machine.memory.mib for machine in running), "host_memory_mib", "MiB of memory", "MiB",
            ),
        }  # fmt: skip
        for name, pool in self.stack.sharing.pools.items():
            for key, (need, fact, what, unit) in asked.items():
                factor, has = getattr(pool, key), self.capabilities.facts.get(fact)
                if factor is not None and has is not None and need > factor * has:
                    yield Objection(
                        ("sharing", "pools", name, key),
                        f"the running machines have {need} {what}, and {factor:g} times the hypervisor's {has} {unit} "
                        f"are {factor * has:g}",
                        "use fewer or smaller machines, a larger host, or a larger factor",
                        warns=pool.rule == "warn",
                    )
