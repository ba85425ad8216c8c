"""Making and caching the micro image."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from provision.errors import EnvironmentProblem
from provision_libvirt.caching import atomic_directory, cache_home, locked
from provision_libvirt.micro.agent import GUEST, agent_binary
from provision_libvirt.micro.cpio import Entry, archive, directory, regular, symlink
from provision_libvirt.micro.kernel import MODULES, make_kernel
from provision_libvirt.micro.packages import Progress, unpacked

# `no_timer_check`: without it a guest under load can panic at boot. `panic=-1`: a dead guest ends instead of hanging.
CMDLINE = "console=ttyS0 no_timer_check quiet panic=-1"
# The virtio-serial port on which the guest's probe agent answers.
CHANNEL = "org.provision.probe.0"
# Begins the line that a guest prints on its console when it is configured: `READY_MARK HOSTNAME SECONDS_UP`.
READY_MARK = "PROVISION-GUEST-READY"

_SCRIPTS = ("init", "network", "lease", "keep-agent")
_TEXTS = {"network.awk": "bin/network.awk", "inittab": "etc/inittab"}
_ETC = {
    "etc/passwd": b"root::0:0:root:/:/bin/sh\n",
    "etc/group": b"root:x:0:\n",
    "etc/resolv.conf": b"",
}


@dataclass(frozen=True)
class MicroImage:
    """The built image: an uncompressed kernel, its initramfs and the digest (sha256) of both."""

    kernel: Path
    initrd: Path
    digest: str


def default_cache() -> Path:
    """Where the image is kept: `$XDG_CACHE_HOME/provision/micro`, by default under `~/.cache`."""
    return cache_home("micro")


def build(cache: Path | None = None, *, progress: Progress = lambda _: None, refresh: bool = False) -> MicroImage:
    """The image in `cache` (default_cache()), made when it is not there. Needs no root.

    A kernel once fetched is kept, so that an image does not change under running machines; `refresh` looks for a
    newer one.

    Raises:
        EnvironmentProblem: a package, a tool or disk space cannot be had; the message says which.
    """
    cache = cache or default_cache()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / "lock"):
            return _build(cache, progress, refresh)
    except OSError as error:
        raise EnvironmentProblem(
            f"the micro image cannot be made in {cache}: {error.strerror or error}",
            "free some space (300 MB) or set XDG_CACHE_HOME to a directory that can be written",
        ) from error


def _build(cache: Path, progress: Progress, refresh: bool) -> MicroImage:
    kernel = _kernel(cache, progress, refresh)
    busybox = static_busybox(cache, progress)
    agent = agent_binary(cache, progress=progress)
    key = hashlib.sha256(kernel.name.encode() + busybox + agent.name.encode())
    for source in sorted(GUEST.iterdir()):
        key.update(source.name.encode() + source.read_bytes())
    key.update(Path(__file__).read_bytes())
    home = cache / f"image-{key.hexdigest()[:16]}"
    if not (home / "digest").exists():
        progress("packing the micro image")
        with atomic_directory(home) as made:
            shutil.copyfile(kernel / "vmlinux", made / "vmlinux")
            initrd = archive(contents(kernel / "modules", busybox, agent.read_bytes()))
            (made / "initrd").write_bytes(initrd)
            digest = hashlib.sha256((made / "vmlinux").read_bytes() + initrd)
            (made / "digest").write_text(digest.hexdigest())
    return MicroImage(home / "vmlinux", home / "initrd", (home / "digest").read_text())


def contents(modules: Path, busybox: bytes, agent: bytes) -> dict[str, Entry]:
    """Every file of the initramfs, by path."""
    files = {name: directory() for name in ("dev", "proc", "root", "run", "seed", "sys", "tmp", "var")}
    files["init"] = regular((GUEST / "init").read_bytes(), executable=True)
    for name in _SCRIPTS[1:]:
        files[f"bin/{name}"] = regular((GUEST / name).read_bytes(), executable=True)
    for name, path in _TEXTS.items():
        files[path] = regular((GUEST / name).read_bytes())
    for path, data in _ETC.items():
        files[path] = regular(data)
    files["bin/agent"] = regular(agent, executable=True)
    files["bin/busybox"] = regular(busybox, executable=True)
    for applet in _applets(busybox):
        files.setdefault(f"bin/{applet}", symlink("busybox"))
    files["sbin"] = symlink("bin")
    for module in sorted(modules.iterdir()):
        files[f"modules/{module.name}"] = regular(module.read_bytes())
    return files


def _kernel(cache: Path, progress: Progress, refresh: bool) -> Path:
    recipe = hashlib.sha256(repr(sorted(MODULES.items())).encode()).hexdigest()[:8]
    kept = sorted(cache.glob(f"kernel-*-{recipe}"), key=lambda path: path.stat().st_mtime)
    if kept and not refresh:
        return kept[-1]
    with tempfile.TemporaryDirectory(dir=cache, prefix=".kernel-") as scratch:
        made = Path(scratch) / "kernel"
        make_kernel(made, progress)
        version = (made / "version").read_text().strip().replace(":", "_").replace("/", "_")
        home = cache / f"kernel-{version}-{recipe}"
        if not home.exists():
            os.replace(made, home)
    return home


def static_busybox(cache: Path, progress: Progress) -> bytes:
    """A busybox that needs no library: this machine's, or that of Debian's package, kept in `cache`.

    Raises:
        EnvironmentProblem: the package cannot be had.
    """
    for place in (Path("/bin/busybox"), cache / "busybox"):
        if place.exists() and _is_static(data := place.read_bytes()):
            return data
    with unpacked("busybox-static", progress) as (root, _):
        data = next(path for path in (root / "bin/busybox", root / "usr/bin/busybox") if path.exists()).read_bytes()
    scratch = cache / ".busybox"
    scratch.write_bytes(data)
    os.replace(scratch, cache / "busybox")
    return data


def _is_static(elf: bytes) -> bool:
    """Whether a 64-bit program has no interpreter (program header PT_INTERP)."""
    if elf[:5] != b"\x7fELF\x02":
        return False
    start, size, count = (int.from_bytes(elf[at : at + width], "little") for at, width in ((32, 8), (54, 2), (56, 2)))
    return all(int.from_bytes(elf[start + i * size :][:4], "little") != 3 for i in range(count))


def _applets(busybox: bytes) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="provision-busybox-") as scratch:
        program = Path(scratch) / "busybox"  # it acts by the name it is called by
        program.write_bytes(busybox)
        program.chmod(0o700)
        return sorted(subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split())
