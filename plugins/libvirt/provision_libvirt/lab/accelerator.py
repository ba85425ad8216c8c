"""Whether guests really run with KVM here.

`/dev/kvm` being there proves nothing: on some virtual machines guests die with it or crawl. So one is booted: firmware
and a boot sector that ends QEMU with a code of its own, once without acceleration and once with it.
"""

import json
import os
import platform
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_QEMU = "qemu-system-x86_64"
# mov dx,0xf4; mov al,0x10; out dx,al; hlt; jmp to the hlt: the device isa-debug-exit turns 0x10 into the exit code 33
_BOOT_SECTOR = bytes.fromhex("baf400b010eef4ebfd").ljust(510, b"\0") + b"\x55\xaa"
_BOOTED = 33
_SECONDS = 10.0


@dataclass(frozen=True)
class KvmVerdict:
    """Whether KVM is `usable`, and the `reason` in words for a person."""

    usable: bool
    reason: str


def kvm_verdict(cache: Path | None = None, *, device: Path = Path("/dev/kvm")) -> KvmVerdict:
    """Decide by booting; the verdict is kept in `cache` for this boot of the machine, this kernel and this QEMU."""
    if not device.exists():
        return KvmVerdict(False, f"there is no {device}")
    if not os.access(device, os.R_OK | os.W_OK):
        return KvmVerdict(False, f"{device} may not be opened by this user")
    key = _key()
    file = (cache or _default_cache()) / "kvm.json"
    try:
        kept = json.loads(file.read_text())
        if kept["key"] == key:
            return KvmVerdict(bool(kept["usable"]), str(kept["reason"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # nothing kept, or not by us: decide afresh
    verdict = _try()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch = file.with_suffix(f".{os.getpid()}")
        scratch.write_text(json.dumps({"key": key, **asdict(verdict)}))
        os.replace(scratch, file)
    except OSError:
        pass  # a verdict that cannot be kept is only slower the next time
    return verdict


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "provision"


def _key() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    version = subprocess.run([_QEMU, "--version"], capture_output=True, text=True, check=False) if _has_qemu() else None
    return "|".join(
        (boot.read_text().strip() if boot.exists() else "", platform.release(), version.stdout if version else "")
    )


def _has_qemu() -> bool:
    return any(Path(place, _QEMU).exists() for place in os.environ.get("PATH", "/usr/bin").split(":"))


def _try() -> KvmVerdict:
    if not _has_qemu():
        return KvmVerdict(False, f"{_QEMU} is not installed, so no guest can be tried")
    with tempfile.TemporaryDirectory(prefix="provision-kvm-") as scratch:
        image = Path(scratch) / "boot.img"
        image.write_bytes(_BOOT_SECTOR)
        plain, problem = _boot(image, "tcg")
        if problem:
            return KvmVerdict(False, f"not even a guest without KVM boots: {problem}")
        with_kvm, problem = _boot(image, "kvm")
    if problem:
        return KvmVerdict(False, f"a guest with KVM does not boot: {problem}")
    if with_kvm > 2 * plain + 1:
        return KvmVerdict(False, f"a guest with KVM crawls: {with_kvm:.1f} s to boot, without KVM {plain:.1f} s")
    return KvmVerdict(True, f"a guest booted with KVM in {with_kvm:.1f} s")


def _boot(image: Path, accelerator: str) -> tuple[float, str]:
    command = [
        _QEMU, "-accel", accelerator, "-machine", "pc", "-nodefaults", "-display", "none", "-m", "32", "-no-reboot",
        "-drive", f"if=floppy,format=raw,readonly=on,file={image}", "-boot", "a",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
    ]  # fmt: skip
    begun = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, stdin=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired:
        return _SECONDS, f"nothing within {_SECONDS:.0f} s"
    if done.returncode != _BOOTED:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return time.monotonic() - begun, f"QEMU ended with {done.returncode}: {said[:200]}"
    return time.monotonic() - begun, ""
