"""The guest's kernel: Debian's cloud kernel, uncompressed, and the few modules that the guest loads.

Uncompressed, because decompression inside a guest without hardware acceleration costs seconds.
"""

import gzip
import lzma
import re
import struct
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provision.errors import EnvironmentProblem
from provision_libvirt.micro.packages import Progress, dependency, require_tools, unpacked

META_PACKAGE = "linux-image-cloud-amd64"
# What /init loads: at every start; with a virtio-scsi controller; with a balloon; with a seed.
MODULES: Mapping[str, tuple[str, ...]] = {
    "always": ("virtio_pci", "virtio_console", "virtio_blk", "virtio_net", "button", "evdev"),
    "scsi": ("virtio_scsi", "sr_mod"),
    "balloon": ("virtio_balloon",),
    "seed": ("isofs",),
}
_SIGNATURE_MARK = b"~Module signature appended~\n"


@dataclass(frozen=True)
class Modules:
    """Module files by name, and per list of MODULES the names in the order in which they load."""

    files: Mapping[str, bytes]
    lists: Mapping[str, tuple[str, ...]]


def make_kernel(into: Path, progress: Progress) -> None:
    """Fill the directory `into` with `vmlinux`, `modules/NAME.ko`, `modules/LIST` and `version`.

    Raises:
        EnvironmentProblem: the package or a decompressor cannot be had.
    """
    require_tools({"lz4": "lz4"}, "the micro image")
    package = dependency(META_PACKAGE, r"linux-image-\S+")
    with unpacked(package, progress) as (root, version):
        progress("extracting the kernel")
        images = sorted(root.glob("boot/vmlinuz-*"))
        trees = sorted(root.glob("lib/modules/*")) or sorted(root.glob("usr/lib/modules/*"))
        if not images or not trees:
            raise EnvironmentProblem(f"the package {package} {version} holds no kernel", f"look at {META_PACKAGE}")
        into.mkdir(parents=True)
        (into / "vmlinux").write_bytes(extract_vmlinux(images[0].read_bytes()))
        modules = collect_modules(trees[0], MODULES)
        (into / "modules").mkdir()
        for name, data in modules.files.items():
            (into / "modules" / f"{name}.ko").write_bytes(data)
        for name, order in modules.lists.items():
            (into / "modules" / name).write_text("".join(f"{module}\n" for module in order))
        (into / "version").write_text(f"{version}\n")


def extract_vmlinux(bzimage: bytes) -> bytes:
    """The ELF kernel inside a bzImage (offsets by the kernel's `Documentation/arch/x86/boot.rst`, protocol 2.08).

    Raises:
        EnvironmentProblem: it is no bzImage, or its compression is not one that is handled.
    """
    if len(bzimage) < 0x260 or bzimage[0x202:0x206] != b"HdrS":
        raise EnvironmentProblem("the kernel image is not an x86 bzImage")
    setup_sectors = bzimage[0x1F1] or 4
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    kernel = _decompress(bzimage[start : start + length])
    if kernel[:4] != b"\x7fELF":
        raise EnvironmentProblem("the kernel image holds no ELF kernel")
    return kernel


def _decompress(payload: bytes) -> bytes:
    body = payload[:-4]  # the build appends the size of the result
    if payload[:2] == b"\x1f\x8b":
        return gzip.decompress(body)
    if payload[:6] == b"\xfd7zXZ\0":
        return lzma.decompress(body)
    tools = {b"\x02\x21\x4c\x18": "lz4", b"\x28\xb5\x2f\xfd": "zstd"}
    tool = tools.get(payload[:4])
    if tool is None:
        raise EnvironmentProblem(f"the kernel image is compressed in an unknown way ({payload[:4].hex()})")
    require_tools({tool: tool}, "the micro image")
    done = subprocess.run([tool, "-dcq"], input=body, capture_output=True, check=False)
    if done.returncode:
        raise EnvironmentProblem(f"{tool} cannot decompress the kernel: {done.stderr.decode(errors='replace')[-200:]}")
    return done.stdout


def collect_modules(tree: Path, wanted: Mapping[str, Sequence[str]]) -> Modules:
    """Find modules and what they depend on under `tree`; every list is complete by itself.

    A name that has no file is built into the kernel and is left out.
    """
    paths = {path.name.split(".", 1)[0].replace("-", "_"): path for path in tree.rglob("*.ko*")}
    files: dict[str, bytes] = {}

    def add(name: str, order: dict[str, None], above: tuple[str, ...]) -> None:
        name = name.replace("-", "_")
        if name not in paths or name in order or name in above:
            return
        if name not in files:
            files[name] = _plain_module(paths[name])
        for needed in _depends(files[name]):
            add(needed, order, (*above, name))
        order[name] = None

    lists: dict[str, tuple[str, ...]] = {}
    for title, names in wanted.items():
        order: dict[str, None] = {}
        for name in names:
            add(name, order, ())
        lists[title] = tuple(order)
    return Modules(files, lists)


def _plain_module(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".xz":
        data = lzma.decompress(data)
    if data.endswith(_SIGNATURE_MARK):  # checking the signature takes a slow guest longer than loading the module
        size = struct.unpack(">I", data[-len(_SIGNATURE_MARK) - 4 : -len(_SIGNATURE_MARK)])[0]
        data = data[: -len(_SIGNATURE_MARK) - 12 - size]
    return data


def _depends(module: bytes) -> Iterable[str]:
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    return found.group(1).decode().split(",") if found and found.group(1) else ()
