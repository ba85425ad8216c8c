"""Cores of a machine's own: pinned in libvirt, held to by threads, and nobody else there."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from provision.models import DedicatedCpusPolicy
from provision.spi import Shown
from provision.spi.evidence import accepted, instead, number
from provision_libvirt.effective import Effective
from provision_libvirt.evidence.look import Look
from provision_libvirt.ownership import same_stack
from provision_libvirt.resources import cpusets
from provision_libvirt.session import explained


def dedicated(look: Look, policy: DedicatedCpusPolicy) -> Iterator[Shown]:
    """Whether each vCPU has the core that it was given, and nobody else of the stack may run there."""
    pins = [cpusets.read(text) for text in look.live["vcpu_pins"] or ()]
    emulator = cpusets.read(look.live["emulator_pin"] or "")
    asked = [cpusets.read(text) for text in look.recorded.get("vcpu_pins") or ()]
    asked_emulator = cpusets.read(look.recorded.get("emulator_pin") or "")
    node = look.live["numa_node"]
    single = len(pins) == look.live["vcpus"] and all(len(pin) == 1 for pin in pins)
    apart = not policy.emulator or emulator.isdisjoint(frozenset().union(*pins))
    right = single and apart and pins == asked and emulator == asked_emulator and (node is not None or not policy.numa)
    placed = f"{_pinned(pins)}, emulator to {_cpus(emulator)}"
    yield accepted(
        right, placed + instead(right, f"{_pinned(asked)}, emulator to {_cpus(asked_emulator)}")
        + (f", memory of NUMA node {node}" if node is not None else ""),
    )  # fmt: skip

    def runs(now: Effective) -> tuple[bool, str]:
        as_pinned = list(now.vcpu_cpus) == asked and now.emulator_cpus == asked_emulator and bool(asked)
        others = _others_on(look, frozenset().union(*asked)) if as_pinned else ()
        bound = not policy.numa or now.numa_nodes == frozenset({node})
        seen = (
            f"{_pinned(now.vcpu_cpus, 'held to')}, emulator to {_cpus(now.emulator_cpus)}: seen on "
            f"{number(len(now.vcpu_cpus), 'vCPU thread')} and the emulator's"
        )
        if as_pinned:
            seen += f", and {', '.join(others)} may run there too" if others else ", no other machine runs there"
        else:
            seen += instead(False, f"{_pinned(asked)}, emulator to {_cpus(asked_emulator)}")
        if policy.numa:
            seen += ", memory bound to NUMA node " + (cpusets.written(now.numa_nodes) if now.numa_nodes else "none")
        return as_pinned and not others and bound, seen

    yield look.applied(runs)


def _others_on(look: Look, own: frozenset[int]) -> list[str]:
    """Running machines of the stack that may use some of these CPUs."""
    found = []
    with explained("looking at the other machines"):
        domains = [(one.name(), one.UUIDString()) for one in look.connection.listAllDomains()]
    for name, uuid in domains:
        if name == look.domain.name() or not same_stack(uuid, look.domain.UUIDString()):
            continue
        process = look.view.emulator(name) if look.view is not None else None
        if process is not None and own & _allowed(process):
            found.append(name)
    return sorted(found)


def _allowed(process: Path) -> frozenset[int]:
    """CPUs on which any thread of a process may run; none when it ended."""
    found: frozenset[int] = frozenset()
    try:
        for task in (process / "task").iterdir():
            for line in (task / "status").read_text().splitlines():
                if line.startswith("Cpus_allowed_list:"):
                    found |= cpusets.read(line.partition(":")[2])
    except OSError:
        return found
    return found


def _pinned(pins: Sequence[frozenset[int]], verb: str = "pinned to") -> str:
    if not pins:
        return "no vCPU pinned"
    vcpus = ",".join(map(str, range(len(pins))))
    return f"vCPU{'s' if len(pins) > 1 else ''} {vcpus} {verb} " + ", ".join(cpusets.written(pin) for pin in pins)


def _cpus(cpus: frozenset[int]) -> str:
    return cpusets.written(cpus) or "any"
