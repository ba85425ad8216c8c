"""What closes the hypervisor's further addresses to a network after a new start of the hypervisor.

Libvirt starts networks, and machines with `autostart`, by itself then, and the kernel has none of the rules that
`host_closed` made. So for each such network there is a file of ours among libvirt's hooks, which holds these rules and
needs nothing else of us: libvirt calls it before the network starts, and does not start it when that fails. Where there
can be no such file libvirt does not start the network by itself, and so no machine on it.
"""

import contextlib
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provision_libvirt.hostview import HostView
from provision_libvirt.resources.bridges import made_by_stacks

FOLDER = Path("etc/libvirt/hooks/network.d")
_SINCE = 6_005_000  # of libvirt, that there may be several
_OURS = re.compile(r"provision-(pv[0-9a-f]{10})")


def file_of(bridge: str) -> Path:
    """The file of a network, below the host's `/`."""
    return FOLDER / f"provision-{bridge}"


def keep(view: HostView, connection: Any, bridge: str, text: str) -> bool | None:
    """Put the file there; gives whether it was not there as it is now, or None when there can be none.

    Files of networks that are not there any more, which killed runs have left, go.

    Raises:
        libvirt.libvirtError: libvirt does not answer.
    """
    if connection.getLibVersion() < _SINCE:
        return None
    try:
        file = view.root / file_of(bridge)
        _clear(view, connection, file)
        if is_kept(view, bridge, text):
            return False
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch = file.with_name(f".{file.name}")
        scratch.write_text(text)
        scratch.chmod(0o755)
        os.replace(scratch, file)
    except OSError:
        return None
    return True


def is_kept(view: HostView, bridge: str, text: str) -> bool:
    """Whether the file is there as it was written, so that libvirt calls it."""
    file = view.root / file_of(bridge)
    try:
        return file.read_text() == text and os.access(file, os.X_OK)
    except (OSError, UnicodeDecodeError):
        return False


def forget(view: HostView, bridge: str) -> None:
    """Remove the file of a network that goes, or that is not closed any more."""
    with contextlib.suppress(OSError):
        (view.root / file_of(bridge)).unlink(missing_ok=True)


def bridges(view: HostView) -> set[str]:
    """Bridges of the networks that have a file."""
    return set(_bridges(view))


def _bridges(view: HostView) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for file in (view.root / FOLDER).iterdir():
            if (found := _OURS.fullmatch(file.name)) is not None:
                yield found[1]


def _clear(view: HostView, connection: Any, own: Path) -> None:
    absent = {
        bridge
        for bridge in _bridges(view)
        if file_of(bridge).name != own.name and not (view.root / "sys/class/net" / bridge).exists()
    }
    for bridge in absent - made_by_stacks(connection) if absent else ():
        forget(view, bridge)


def script(network: str, bridge: str, rules: dict[str, str], jumps: list[str]) -> str:
    """The file.

    Args:
        network: its name.
        bridge: its bridge.
        rules: for each tool (`iptables`, `ip6tables`) what its `-restore` reads, without jumps.
        jumps: rules that lead there, as `-A HOOK …`.
    """
    lines = [
        "#!/bin/sh",
        f"# Made by provision with the network {network}, and removed with it. Before libvirt starts the network,",
        "# it closes to it those addresses of this machine that no packet filter names. If that cannot be done the",
        f"# network does not start. Without this file: iptables -t mangle -S | grep provision-{bridge}",
        f'[ "$1" = {shlex.quote(network)} ] && [ "$2" = start ] || exit 0',
        "PATH=/usr/sbin:/sbin:/usr/bin:/bin; export PATH",
        "set -e",
    ]
    for tool, text in rules.items():
        lines += [f"{tool}-restore --wait --noflush <<'END'", text.rstrip("\n"), "END"]
        for jump in jumps:
            call, rule = f"{tool} --wait -t mangle", jump.removeprefix("-A ")
            lines.append(f"{call} -C {rule} 2>/dev/null || {call} -I {rule}")
    return "\n".join([*lines, ""])
