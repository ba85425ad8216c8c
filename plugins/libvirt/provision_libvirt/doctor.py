"""What this machine and its hypervisor need, found or missing, and how to get it."""

import contextlib
import grp
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import libvirt

from provision.errors import ProvisionError
from provision.spi import Capabilities, FeatureUse, Finding
from provision_libvirt import capabilities, usermode
from provision_libvirt.config import LibvirtConfig
from provision_libvirt.lab import kvm_verdict
from provision_libvirt.place import is_own_host, is_session, lab_directory
from provision_libvirt.session import Session
from provision_libvirt.support import supports
from provision_libvirt.translate.hostpart import huge_pages

_PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "dnsmasq": "dnsmasq-base",
    "iptables": "iptables",
    "ip6tables": "iptables",
    "ebtables": "ebtables",
}
_POLICIES = {
    "CPU weights": "sharing.shares.cpu.weight",
    "CPU caps": "sharing.shares.cpu.cap",
    "memory limits": "sharing.shares.memory.maximum",
    "network card limits": "sharing.shares.nic.inbound",
    "CPUs of its own": "isolation.policies.dedicated_cpus",
    "locked memory": "isolation.policies.memory.locked",
    "confinement": "isolation.policies.confinement",
    "hidden hypervisor": "isolation.policies.hide_hypervisor",
    "secure boot": "isolation.policies.secure_boot",
    "TPM": "isolation.policies.secure_boot.vtpm",
    "encrypted disks": "isolation.policies.disk_encryption",
    "encrypted memory": "isolation.policies.memory_encryption",
}
_SBIN = os.pathsep.join(("/usr/sbin", "/sbin", "/usr/local/sbin"))
_LEAST_MEMORY_MIB = 1024
_LEAST_DISK_MIB = 2048
_RP_FILTER = Path("/proc/sys/net/ipv4/conf/all/rp_filter")


def diagnose(config: LibvirtConfig) -> Sequence[Finding]:
    """Every finding, in the order in which one would mend them; never raises."""
    findings = [*_guarded("programs", _programs), *_guarded("accelerator", _accelerator)]
    findings += _guarded("permissions", lambda: _permissions(config.uri))
    try:
        session = Session(config)
    except ProvisionError as problem:
        return [*findings, Finding("libvirt", False, problem.summary, problem.fix)]
    try:
        for subject, look in (
            ("libvirt", _hypervisor),
            ("mode", _mode),
            ("packet filters", _filters),
            ("storage", _storage),
            ("memory", _memory),
            ("policies", _policies),
        ):
            findings += _guarded(subject, lambda look=look: look(session))  # type: ignore[misc]
    finally:
        session.close()
    return findings


def _guarded(subject: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(look())
    except (ProvisionError, libvirt.libvirtError, OSError) as problem:
        found.append(Finding(subject, False, f"cannot be looked at: {problem}"))
    return found


def _programs() -> Iterator[Finding]:
    path = os.environ.get("PATH", os.defpath) + os.pathsep + _SBIN
    for program, package in _PROGRAMS.items():
        place = shutil.which(program, path=path)
        if place is None:
            fix = f"apt-get install --no-install-recommends {package} (needed only for a hypervisor on this machine)"
            yield Finding(program, False, "not installed", fix)
        else:
            yield Finding(program, True, place)


def _accelerator() -> Iterator[Finding]:
    verdict = kvm_verdict()
    fix = "" if verdict.usable else "guests run without KVM, many times slower; use a machine with working KVM"
    yield Finding("accelerator", True if verdict.usable else None, verdict.reason, fix)


def _permissions(uri: str) -> Iterator[Finding]:
    if os.geteuid() == 0 or not is_own_host(uri) or is_session(uri):
        return
    try:
        allowed = grp.getgrnam("libvirt").gr_gid in os.getgroups()
    except KeyError:
        yield Finding("permissions", None, "there is no group 'libvirt' on this machine", "run as root")
        return
    if allowed:
        yield Finding("permissions", True, "this user is in the group 'libvirt'")
    else:
        yield Finding(
            "permissions", False, "this user is not in the group 'libvirt'",
            "run: sudo usermod -aG libvirt $USER, then log in again",
        )  # fmt: skip


def _hypervisor(session: Session) -> Iterator[Finding]:
    connection = session.connection()
    library = capabilities.version(connection.getLibVersion())
    emulator = capabilities.version(connection.getVersion())
    where = session.config.uri
    if connection.getLibVersion() < 8_000_000:
        yield Finding("libvirt", None, f"{library} with QEMU {emulator} at {where}", "tried with libvirt 9.0 and later")
    else:
        yield Finding("libvirt", True, f"{library} with QEMU {emulator} at {where}")


def _mode(session: Session) -> Iterator[Finding]:
    """Which of libvirt's two modes it is: what can be had at all depends on it."""
    if is_session(session.config.uri):
        yield Finding(
            "mode", None, "session: a user's own hypervisor, with user-mode networking and without packet filters",
            "for stacks with isolation or several machines on a network, use qemu:///system",
        )  # fmt: skip
    else:
        yield Finding("mode", True, "system: networks, packet filters and limits can be had")


def _filters(session: Session) -> Iterator[Finding]:
    uri = session.config.uri
    if is_session(uri):
        return
    if not capabilities.has_filters(session.connection()):
        yield Finding(
            "packet filters", False, "libvirt's nwfilter driver is not there",
            "apt-get install libvirt-daemon-system, and use the system connection (qemu:///system)",
        )  # fmt: skip
        return
    yield Finding("packet filters", True, "libvirt's nwfilter driver answers")
    for setting in ("iptables", "ip6tables"):
        name = f"net.bridge.bridge-nf-call-{setting}"
        on = capabilities.bridge_filtering(uri, setting)
        if on:
            yield Finding(name, True, "bridged packets are filtered")
        elif on is None:
            yield Finding(name, None, "cannot be seen from here", f"on the hypervisor: sysctl {name} must say 1")
        else:
            yield Finding(
                name, False, "bridged packets pass the filters by",
                f"modprobe br_netfilter && sysctl -w {name}=1",
            )  # fmt: skip
    if is_own_host(uri):
        with contextlib.suppress(OSError):
            strict = _RP_FILTER.read_text().strip() != "0"
            fix = "" if strict else "sysctl -w net.ipv4.conf.all.rp_filter=1"
            detail = "packets from outside with an inside address are " + ("dropped" if strict else "let in")
            yield Finding("net.ipv4.conf.all.rp_filter", True if strict else None, detail, fix)


def _policies(session: Session) -> Iterator[Finding]:
    """What policies and limits this hypervisor cannot carry out: a stack without them needs none of it."""
    uri = session.config.uri
    facts = capabilities.host_facts(session.connection(), uri) | usermode.facts(uri)
    known = Capabilities("libvirt", facts)
    for subject, feature in _POLICIES.items():
        said = supports(FeatureUse(feature, (), True), known)
        yield Finding(subject, True if said.enforced else None, said.reason or "can be had", said.fix)
    pages = {size: count for size, count in sorted(huge_pages(known).items()) if count}
    detail = ", ".join(f"{count} of {size // 1024} MiB" for size, count in pages.items())
    fix = "" if pages else "for policies with 'huge_pages: true': sysctl -w vm.nr_hugepages=NUMBER"
    yield Finding("huge pages", True if pages else None, detail or "none are set aside", fix)


def _storage(session: Session) -> Iterator[Finding]:
    path = session.pool_path
    directory = lab_directory(session.config.uri)
    if directory is None and not is_own_host(session.config.uri):
        yield Finding("storage", None, f"{path} on the hypervisor cannot be seen from here")
        return
    seen = directory or Path(path)
    while not seen.exists():
        seen = seen.parent
    free_mib = shutil.disk_usage(seen).free >> 20
    enough = free_mib >= _LEAST_DISK_MIB
    fix = "" if enough else f"free {_LEAST_DISK_MIB} MiB, or set provision-libvirt:poolPath to a larger disk"
    yield Finding("storage", True if enough else None, f"{free_mib} MiB free under {path}", fix)


def _memory(session: Session) -> Iterator[Finding]:
    stats: dict[str, Any] = session.connection().getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS, 0)
    free_mib = sum(stats.get(key, 0) for key in ("free", "buffers", "cached")) >> 10
    enough = free_mib >= _LEAST_MEMORY_MIB
    fix = "" if enough else "stop other machines, or give the stack's machines less memory"
    yield Finding("memory", True if enough else None, f"{free_mib} MiB free on the hypervisor", fix)
