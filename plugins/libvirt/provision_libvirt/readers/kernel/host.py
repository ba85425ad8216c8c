"""What the hypervisor's machine says of its packet rules, addresses and routes, in the daemon's network namespace."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision_libvirt.hostview import HostView
from provision_libvirt.readers.kernel.tables import Table, tables

_SECONDS = 20.0
_DUMPS = {4: "iptables-save", 6: "ip6tables-save", 0: "ebtables-save"}
_CALLS = {4: "bridge-nf-call-iptables", 6: "bridge-nf-call-ip6tables"}
_OWN_TABLES = {"filter", "nat", "mangle", "raw", "security", "broute"}


class Unreadable(Exception):
    """The kernel's tables cannot be read; the message says why, in words that may follow `because`."""


@dataclass(frozen=True)
class KernelState:
    """What was read.

    Attributes:
        tables: by IP version (0: frames of bridges), tables by name.
        calls: IP versions for which bridged packets are shown to the tables of routed ones.
        addresses: of every device, as `ip -json address` shows them.
        routes: by IP version, as `ip -json route` shows them.
        masters: by device, the bridge that it is a port of.
        isolated: devices that are isolated ports.
        others: tables of packet rules that are read by no dump, in words.
    """

    tables: Mapping[int, Mapping[str, Table]]
    calls: frozenset[int]
    addresses: Sequence[Mapping[str, Any]]
    routes: Mapping[int, Sequence[Mapping[str, Any]]]
    masters: Mapping[str, str]
    isolated: frozenset[str]
    others: tuple[str, ...] = ()


def kernel_state(view: HostView) -> KernelState:
    """Read it all.

    Raises:
        Unreadable: that needs root or a tool that is not there.
    """
    if os.geteuid() != 0:
        raise Unreadable("the kernel's tables may not be read from here (that needs root)")
    runner = _Runner(view)
    calls = frozenset(family for family, name in _CALLS.items() if runner.setting(f"net/bridge/{name}") == "1")
    try:
        found = {family: tables(runner.run(command)) for family, command in _DUMPS.items()}
        addresses = json.loads(runner.run("ip", "-json", "address"))
        routes = {family: json.loads(runner.run("ip", f"-{family}", "-json", "route") or "[]") for family in (4, 6)}
    except ValueError as error:
        raise Unreadable(f"the kernel's tables are not understood: {error}") from None
    masters, isolated = _ports(view.root / "sys/class/net")
    return KernelState(found, calls, addresses, routes, masters, isolated, tuple(_others(runner)))


@dataclass(frozen=True)
class _Runner:
    """Runs commands where the daemon has its network."""

    view: HostView

    def run(self, *command: str, needed: bool = True) -> str:
        """What a command prints.

        Raises:
            Unreadable: it is not there or fails; nothing is raised and printed when it is not `needed`.
        """
        path = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin:/sbin"
        program = shutil.which(command[0], path=path)
        inside = shutil.which("nsenter", path=path)
        try:
            if program is None or (self._network is not None and inside is None):
                raise Unreadable(f"{command[0] if program is None else 'nsenter'} is not installed here")
            words = [program, *command[1:]]
            if self._network is not None and inside is not None:
                words = [inside, f"--net={self._network}", *words]
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=_SECONDS, check=False,
                env={**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"},
            )  # fmt: skip
            if done.returncode:
                raise Unreadable(f"{command[0]} failed: {done.stderr.strip().partition(chr(10))[0]}")
        except (OSError, subprocess.SubprocessError) as error:
            if needed:
                raise Unreadable(f"{command[0]} failed: {error}") from None
            return ""
        except Unreadable:
            if needed:
                raise
            return ""
        return done.stdout

    def setting(self, name: str) -> str:
        """A setting of the kernel's network, empty when there is none of that name."""
        return self.run("cat", f"/proc/sys/{name}", needed=False).strip()

    @property
    def _network(self) -> Path | None:
        """The network namespace of a private hypervisor; None for this machine's own."""
        return None if self.view.root == Path("/") else self.view.root.parent / "ns/net"


def _ports(devices: Path) -> tuple[dict[str, str], frozenset[str]]:
    masters: dict[str, str] = {}
    isolated: set[str] = set()
    for device in sorted(devices.iterdir()) if devices.is_dir() else ():
        port = device / "brport"
        try:
            masters[device.name] = os.path.basename(os.readlink(port / "bridge"))
            if (port / "isolated").read_text().strip() == "1":
                isolated.add(device.name)
        except OSError:  # no port of a bridge, or a kernel without that flag
            continue
    return masters, frozenset(isolated)


def _others(runner: _Runner) -> list[str]:
    """Tables beside those that were read: they can only stop what those let pass, but what, is not known."""
    found = []
    for line in runner.run("nft", "list", "tables", needed=False).splitlines():
        words = line.split()
        if len(words) == 3 and not (words[1] in ("ip", "ip6", "bridge", "arp") and words[2] in _OWN_TABLES):
            found.append(f"the kernel's table '{words[1]} {words[2]}' is not understood")
    if "nf_tables" in runner.run("iptables", "--version", needed=False):
        for name, family in (("ip_tables_names", "ip"), ("ip6_tables_names", "ip6")):
            old = runner.run("cat", f"/proc/self/net/{name}", needed=False).split()
            found += [f"the kernel's older table '{family} {one}' is not understood" for one in old]
    return found
