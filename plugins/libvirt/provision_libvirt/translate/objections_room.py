"""What of memory and CPUs the host does not have, for the machines of a stack together."""

from collections.abc import Iterator

from provision.models import Machine, MemoryIsolationPolicy, Power, Share
from provision.spi import Objection
from provision.spi.peers import instances
from provision_libvirt.translate.hardware import EMULATOR_MIB
from provision_libvirt.translate.hostpart import OfHost, huge_page_kib, huge_pages
from provision_libvirt.translate.overrides import PLATFORM, overrides_of


class RoomObjections(OfHost):
    """About shares, huge pages and what pools allow."""

    def found(self) -> Iterator[Objection]:
        """All of them."""
        yield from self._memory_objections()
        yield from self._least_memory_objections()
        yield from self._pool_objections()
        yield from self._more_cpus_objections()

    def _more_cpus_objections(self) -> Iterator[Objection]:
        """Room for virtual CPUs of machines that have fewer, where that cannot be given."""
        for name, entry, machine in instances(self.stack):
            most, path = overrides_of(machine).max_cpus, ("machines", entry, "overrides", PLATFORM, "max_cpus")
            if most is not None and most < machine.cpus:
                yield Objection(path, f"it is less than 'cpus: {machine.cpus}'", f"write 'max_cpus: {machine.cpus}'")
            elif most is not None and most > machine.cpus and name in self.parts.placing.own.placed:
                yield Objection(
                    path,
                    f"each virtual CPU of machine '{name}' has one of the hypervisor's own, chosen when it starts",
                    "remove 'max_cpus', or leave the machine out of the policies that give it CPUs of its own",
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
