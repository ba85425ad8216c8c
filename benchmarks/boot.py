"""How long the micro guest boots under `provision up`, beside QEMU alone with the same kernel, memory, seed and cards.

    python benchmarks/boot.py [--rounds R]

Both from the start of the QEMU process to the line on the console by which the guest says that it is ready; what comes
before (libvirt's preparations) and after is the matter of guests.py. In turns. Target: at most 1.3 times.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

from guests import Arms, laboratory
from provision_libvirt import micro
from provision_libvirt.micro.image import CMDLINE, READY_MARK

TARGET = 1.3
SECONDS = 300.0


def alone(seed: Path, mac: str) -> float:
    """Seconds that QEMU needs without libvirt."""
    image = micro.build()
    command = [
        "qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-cpu", "max", "-m", "96", "-nodefaults",
        "-display", "none", "-no-reboot", "-serial", "stdio",
        "-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", CMDLINE,
        "-drive", f"file={seed},format=raw,if=virtio,readonly=on",
        "-netdev", "user,id=lan", "-device", f"virtio-net-pci,netdev=lan,mac={mac},romfile=",
        "-device", "virtio-serial-pci", "-chardev", "null,id=agent",
        "-device", "virtserialport,chardev=agent,name=org.provision.probe.0",
    ]  # fmt: skip
    started = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if READY_MARK in line:
                    return time.monotonic() - started
        finally:
            process.kill()
    raise SystemExit("QEMU ended before the guest was ready")


def under_provision(project: Path, console: Path, name: str) -> float:
    """Seconds from the start of the guest's QEMU to its line, while `provision up` makes it."""
    program = str(Path(sysconfig.get_path("scripts"), "provision"))
    command = [program, "up", str(project), "--yes"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as up:
        end, ready = time.monotonic() + SECONDS, 0.0
        while not ready and up.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
            if console.exists() and READY_MARK in console.read_text(errors="replace"):
                ready = time.clock_gettime(time.CLOCK_BOOTTIME)
        began = next(_starts(name), 0.0)
        said = up.communicate()[0]
    subprocess.run([program, "down", str(project), "--yes"], check=True, capture_output=True)
    if up.returncode or not ready or not began:
        raise SystemExit(f"the guest was not seen to get ready:\n{said.decode()[-2000:]}")
    return ready - began


def _starts(name: str) -> Iterator[float]:
    """When the QEMU of that guest was started, in seconds since the machine was (proc(5), field 22)."""
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                if f"guest={name},".encode() in (place / "cmdline").read_bytes():
                    fields = (place / "stat").read_text().rpartition(")")[2].split()
                    yield int(fields[19]) / os.sysconf("SC_CLK_TCK")
            except OSError:
                continue  # it has ended


def main() -> int:
    """Print medians and ratio; 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    times: tuple[list[float], list[float]] = ([], [])
    with laboratory() as (directory, uri):
        arms = Arms(directory, uri, 1)
        arms.prepare()
        seed = next(arms.definitions.glob("*-volume-*.seed.iso.img"))
        domain = next(arms.definitions.glob("*-domain-*.xml")).read_text()
        mac, name, log = (
            re.findall(pattern, domain)[0]
            for pattern in (r"<mac address='([^']+)'", r"<name>([^<]+)<", r"<log file='([^']+)'")
        )
        console = directory / "lab" / "lib" / "images" / log.partition("/images/")[2]
        for _ in range(rounds):
            times[0].append(under_provision(arms.project, console, name))
            times[1].append(alone(seed, mac))
            print(f"  {times[0][-1]:.2f} s, alone {times[1][-1]:.2f} s, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    ours, raw = (statistics.median(found) for found in times)
    print(f"boot under provision {ours:.2f} s (least {min(times[0]):.2f}), QEMU alone {raw:.2f} s"
          f" (least {min(times[1]):.2f}): ratio {ours / raw:.2f} (target <= {TARGET})")  # fmt: skip
    return 0 if ours / raw <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
