"""A private hypervisor's machine, started anew."""

import contextlib
import subprocess
import time
from pathlib import Path

REBOOT = """
kill -9 $(pgrep -f qemu-system) $(pgrep -x dnsmasq) 2>/dev/null
kill -9 $(cat /run/libvirtd.pid) $(pgrep -x virtlogd)
while pgrep -r D,R,S,T -f qemu-system >/dev/null; do sleep 0.1; done
for bridge in $(ip -o link show type bridge | cut -d: -f2); do ip link del $bridge; done
for tool in iptables ip6tables; do for table in filter nat mangle; do $tool -t $table -F; $tool -t $table -X; done; done
for table in nat filter; do ebtables -t $table -F; ebtables -t $table -X; done
rm -f /run/libvirtd.pid /run/virtlogd.pid
find /run/libvirt -mindepth 1 -maxdepth 1 -exec rm -rf {} +
"""
"""What a reboot leaves of a host: no process, nothing in the kernel, nothing in /run. The disk stays."""
_SETTLED_SECONDS = 11.0  # the lab takes a daemon for broken that does not live for ten seconds
_PATIENCE_SECONDS = 120.0


def reboot(directory: Path, first: int) -> None:
    """Start the machine of a lab anew, by its first process; comes back when libvirt's new daemon has begun."""
    file = directory / "run/libvirtd.pid"
    end = time.monotonic() + _PATIENCE_SECONDS
    while not file.exists() or time.time() - file.stat().st_mtime < _SETTLED_SECONDS:
        assert time.monotonic() < end, "no daemon"
        time.sleep(0.1)
    before = file.read_text()
    subprocess.run(["kill", "-STOP", str(first)], check=True)  # so that nothing starts before all has ended
    try:
        inside = ["nsenter", "--target", str(first), "--mount", "--pid", "--net", "--", "sh"]
        subprocess.run(inside, input=REBOOT, text=True, capture_output=True, timeout=60, check=False)
    finally:
        subprocess.run(["kill", "-CONT", str(first)], check=True)
    while True:
        with contextlib.suppress(OSError):
            if file.read_text() not in ("", before):
                return
        assert time.monotonic() < end, "no new daemon"
        time.sleep(0.1)
