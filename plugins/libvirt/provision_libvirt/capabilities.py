"""What the live hypervisor can do, asked once per run."""

import contextlib
import json
import subprocess
import urllib.parse
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import libvirt

from provision.errors import ProvisionError
from provision.spi import Capabilities
from provision_libvirt import cloud, hostcaps, hostview, micro, testdriver, usermode
from provision_libvirt.lab import kvm_verdict
from provision_libvirt.lab.peer import LAB_SIDE, LAB_SIDE6
from provision_libvirt.ownership import is_marked
from provision_libvirt.place import is_own_host, is_session, lab_directory
from provision_libvirt.resources.bridges import made_by_stacks
from provision_libvirt.session import Session, explained

_BRIDGE_SETTINGS = Path("/proc/sys/net/bridge")


def ask(session: Session) -> Capabilities:
    """Every fact that negotiation and translation use.

    Raises:
        EnvironmentProblem: the hypervisor cannot be reached.
        PlatformError: it does not answer what every hypervisor must.
    """
    connection = session.connection()
    uri = session.config.uri
    with explained("asking the hypervisor what it can do"):
        model, memory_mib, cpus = connection.getInfo()[:3]
        facts: dict[str, Any] = {
            "libvirt_version": version(connection.getLibVersion()),
            "qemu_version": version(connection.getVersion()),
            "architecture": model,
            "host_cpus": cpus,
            "host_memory_mib": memory_mib,
        }
    facts["nwfilter"] = has_filters(connection)
    for setting in ("iptables", "ip6tables"):
        facts[f"bridge_nf_call_{setting}"] = bridge_filtering(uri, setting)
    facts["host_addresses"] = host_addresses(connection, uri)
    facts |= host_facts(connection, uri) | usermode.facts(uri)
    facts |= {"sole_use": session.config.sole_use, **machines_there(connection)}
    try:
        facts["micro_digest"] = micro.build().digest
    except ProvisionError as problem:  # only a stack that uses the image needs it
        facts["micro_digest"], facts["micro_problem"] = None, problem.summary
    built = {name: cloud.find(name) for name in cloud.IMAGES}
    facts["images"] = {name: {"digest": it.digest, "size": it.size} for name, it in built.items() if it}
    return Capabilities("libvirt", facts, identity(connection))


def identity(connection: Any) -> str:
    """Which hypervisor it is, however it is reached: the UUID of its host; a user's own has the user's name to it."""
    with explained("asking the hypervisor who it is"):
        uuid = ElementTree.fromstring(connection.getCapabilities()).findtext("host/uuid") or ""
        path = urllib.parse.urlsplit(connection.getURI()).path
    return f"{uuid}{path}" if is_session(connection.getURI()) and uuid else uuid


def host_facts(connection: Any, uri: str) -> dict[str, Any]:
    """What tells which policies about a machine's part of its host the hypervisor can carry out."""
    kind, reason = accelerator(connection, uri)
    facts = {"accelerator": kind, "accelerator_reason": reason, "secrets": keeps_secrets(connection)}
    return facts | hostcaps.ask(connection, kind) | hostview.facts(uri)


def machines_there(connection: Any) -> dict[str, list[str]]:
    """Names of the hypervisor's machines, and of those among them that no stack made."""
    with explained("asking the hypervisor which machines it has"):
        found = sorted((domain.name(), domain.UUIDString()) for domain in connection.listAllDomains(0))
    return {
        "machines": [name for name, _ in found],
        "unmarked_machines": [name for name, uuid in found if not is_marked(uuid)],
    }


def version(number: int) -> str:
    """A version as libvirt encodes it: 9000001 is 9.0.1."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def accelerator(connection: Any, uri: str) -> tuple[str, str]:
    """`kvm`, `qemu`, or `test` where nothing runs; and why.

    What libvirt says of KVM is only a claim: on this machine itself a guest is booted to find out. A private hypervisor
    hides KVM when it does not work, and of a remote one nothing better than the claim can be had.
    """
    if connection.getType().lower() == testdriver.DRIVER:
        return testdriver.DRIVER, "libvirt's test driver runs no guests"
    try:
        connection.getDomainCapabilities(None, None, None, "kvm", 0)
    except libvirt.libvirtError:
        return "qemu", "the hypervisor offers no KVM"
    if is_own_host(uri):
        verdict = kvm_verdict()
        return ("kvm" if verdict.usable else "qemu"), verdict.reason
    return "kvm", "the hypervisor offers KVM"


def has_filters(connection: Any) -> bool:
    """Whether libvirt's packet filter driver is there."""
    try:
        connection.numOfNWFilters()
    except libvirt.libvirtError:
        return False
    return True


def keeps_secrets(connection: Any) -> bool:
    """Whether libvirt's driver for secrets is there, which keeps the keys of encrypted disks."""
    try:
        connection.numOfSecrets()
    except libvirt.libvirtError:
        return False
    return True


def bridge_filtering(uri: str, setting: str) -> bool | None:
    """Whether bridged packets are shown to `iptables` or `ip6tables`; None when it cannot be seen from here.

    A private hypervisor has a network namespace of its own, in which the setting is on when it is begun; what it shares
    with the machine is whether the kernel's module is loaded.
    """
    file = _BRIDGE_SETTINGS / f"bridge-nf-call-{setting}"
    if lab_directory(uri) is not None:
        return file.exists()
    if not is_own_host(uri):
        return None
    with contextlib.suppress(OSError):
        return file.read_text().strip() == "1"
    return False


def host_addresses(connection: Any, uri: str) -> list[str]:
    """The hypervisor's lasting addresses, not those on stacks' networks, as far as they can be seen from here."""
    if lab_directory(uri) is not None:
        return [LAB_SIDE, LAB_SIDE6]
    if not is_own_host(uri):
        return []
    with contextlib.suppress(libvirt.libvirtError):
        return sorted(_lasting(made_by_stacks(connection)))
    return []


def _lasting(bridges: frozenset[str]) -> Iterator[str]:
    try:
        done = subprocess.run(["ip", "-j", "address"], capture_output=True, text=True, timeout=10, check=True)
        links: Sequence[dict[str, Any]] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return
    for link in links:
        if link.get("ifname") in bridges:
            continue
        for entry in link.get("addr_info", ()):
            address = ip_address(entry.get("local", "127.0.0.1"))
            if not (address.is_loopback or address.is_link_local or entry.get("temporary")):
                yield str(address)
