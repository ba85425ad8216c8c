"""Making, keeping and finding the full images that this project builds itself."""

import contextlib
import hashlib
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from provision.errors import EnvironmentProblem, UserError
from provision_libvirt.caching import atomic_directory, cache_home, locked
from provision_libvirt.cloud import debian, disk
from provision_libvirt.micro.image import static_busybox
from provision_libvirt.micro.kernel import collect_modules, extract_vmlinux
from provision_libvirt.micro.packages import Progress, require_tools

IMAGES = {"debian": f"Debian {debian.RELEASE} with cloud-init, a guest agent and SSH; takes a few minutes and 1 GB"}
"""What can be built, by name."""

_CURRENT = "current"
_SHOWN = 16
_PARTS = {"disk": "disk.qcow2", "kernel": "vmlinux", "initrd": "initrd"}


@dataclass(frozen=True)
class CloudImage:
    """A built image.

    Attributes:
        directory: where its files are.
        digest: SHA-256 over all of them.
        size: of the disk as a guest sees it, in bytes.
    """

    directory: Path
    digest: str
    size: int

    def part(self, name: str) -> Path:
        """The file of `disk`, `kernel` or `initrd`."""
        return self.directory / _PARTS[name]


def default_cache() -> Path:
    """Where images are kept."""
    return cache_home("images")


def find(name: str, cache: Path | None = None, *, digest: str | None = None) -> CloudImage | None:
    """The image of that name that was built last, or the one with that digest; None when there is none."""
    home = (cache or default_cache()) / name / (_CURRENT if digest is None else f"image-{digest[:_SHOWN]}")
    try:
        manifest = json.loads((home / "manifest.json").read_text())
        return CloudImage(home.resolve(), str(manifest["digest"]), int(manifest["size"]))
    except (OSError, ValueError, KeyError):
        return None


def is_outdated(image: CloudImage) -> bool:
    """Whether this release of the project would make another one."""
    return str(json.loads((image.directory / "manifest.json").read_text()).get("recipe")) != _recipe()


def build_command(name: str) -> str:
    """What a person runs to have the image."""
    return f"provision setup --image {name}"


def build(
    name: str, cache: Path | None = None, *, progress: Progress = lambda _: None, refresh: bool = False
) -> CloudImage:
    """The image of that name, made when it is not there; one that is there stays, unless `refresh` asks for a new one.

    So an image does not change under machines that were made from it.

    Raises:
        UserError: there is no such image.
        EnvironmentProblem: a package, a tool or disk space cannot be had; the message says which.
    """
    if name not in IMAGES:
        raise UserError(f"there is no image '{name}' to build", f"known are: {', '.join(sorted(IMAGES))}")
    home = (cache or default_cache()) / name
    try:
        with locked(home / "lock", lambda: progress(f"another process builds the image '{name}': waiting for it")):
            _sweep(home)
            found = find(name, cache)
            if found is not None and not refresh:
                return found
            return _build(home, progress)
    except OSError as error:
        raise EnvironmentProblem(
            f"the image '{name}' cannot be made in {home}: {error.strerror or error}",
            "free some space (3 GB) or set XDG_CACHE_HOME to a directory that can be written",
        ) from error


def _build(home: Path, progress: Progress) -> CloudImage:
    require_tools(debian.needs(), "the image 'debian'")
    if os.geteuid() != 0:
        raise EnvironmentProblem(
            "only root can build the image 'debian': its files belong to several users",
            f"run: sudo env XDG_CACHE_HOME={home.parents[2]} {build_command(home.name)}",
        )
    with debian.scratch_directory(home) as name:
        scratch = Path(name)
        tree = scratch / "tree.tar"
        debian.make_tree(tree, scratch, progress)
        progress("Debian: making the disk")
        made = scratch / "made"
        made.mkdir()
        _kernel(tree, scratch, made, progress)
        disk.make_disk(tree, made / _PARTS["disk"], scratch)
        tree.unlink()
        digest = _digest(made)
        manifest = {"digest": digest, "size": disk.SIZE, "recipe": _recipe(), "release": debian.RELEASE}
        final = home / f"image-{digest[:_SHOWN]}"
        with atomic_directory(final) as ready:
            for part in _PARTS.values():
                os.replace(made / part, ready / part)
            (ready / "manifest.json").write_text(json.dumps(manifest, indent=1))
    link = home / f".{_CURRENT}"
    link.unlink(missing_ok=True)
    link.symlink_to(final.name)
    os.replace(link, home / _CURRENT)
    return CloudImage(final, digest, disk.SIZE)


def _kernel(tree: Path, scratch: Path, into: Path, progress: Progress) -> None:
    """The kernel of the guest's own package, uncompressed, and the initramfs with modules out of the same package."""
    modules = scratch / "modules"
    with tarfile.open(tree) as packed:
        for member in packed:
            path = member.name.removeprefix("./")
            if path.startswith("boot/vmlinuz-") and member.isfile():
                content = packed.extractfile(member)
                (into / _PARTS["kernel"]).write_bytes(extract_vmlinux(content.read() if content else b""))
            elif "/modules/" in path and ".ko" in path and member.isfile():
                content = packed.extractfile(member)
                target = modules / Path(path).name
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(content.read() if content else b"")
    busybox = static_busybox(cache_home("micro"), progress)
    archive = disk.initramfs(collect_modules(modules, disk.MODULES), busybox, APPLETS)
    (into / _PARTS["initrd"]).write_bytes(archive)


APPLETS = ("sh", "mount", "umount", "insmod", "cat", "ls", "sleep", "switch_root", "echo")


def _digest(made: Path) -> str:
    digest = hashlib.sha256()
    for part in sorted(_PARTS.values()):
        with (made / part).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _recipe() -> str:
    """Changes when this release would make another image of the same packages."""
    digest = hashlib.sha256()
    for file in (*sorted(disk.GUEST.iterdir()), Path(debian.__file__), Path(disk.__file__)):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _sweep(home: Path) -> None:
    """Remove what builders left that were killed; the lock says that none is at work."""
    for entry in home.iterdir():
        if entry.name.startswith((".scratch-", ".image-")):
            _remove_tree(entry)


def _remove_tree(entry: Path) -> None:
    """Remove it, and nothing that is mounted in it: a killed build may have left the machine's own `/proc` there."""
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        where = Path(line.split(" ")[1].encode().decode("unicode_escape"))
        if where.is_relative_to(entry):
            subprocess.run(["umount", "--lazy", str(where)], check=False, capture_output=True)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(["rm", "-rf", "--one-file-system", str(entry)], check=False, capture_output=True)
