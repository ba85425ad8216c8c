"""The files of a Debian guest, from the mirror that this machine's apt uses."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from provision.errors import EnvironmentProblem
from provision_libvirt.micro.packages import Progress

RELEASE = "bookworm"
PACKAGES = (
    *("systemd-sysv", "systemd-resolved", "udev", "dbus", "linux-image-cloud-amd64"),
    *("cloud-init", "cloud-guest-utils", "fdisk", "e2fsprogs", "qemu-guest-agent", "openssh-server"),
    *("iproute2", "iputils-ping", "netbase", "ca-certificates", "sudo", "procps"),
    # The kernel wants something that makes initramfs images; this is the smallest, and what it makes is not used.
    "tiny-initramfs",
)
# The documentation of packages stays away, their licences stay.
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/lintian/*")
_KEPT = ("/usr/share/doc/*/copyright",)
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_DEFAULT_SOURCES = (
    ("http://deb.debian.org/debian", RELEASE),
    ("http://deb.debian.org/debian", f"{RELEASE}-updates"),
    ("http://deb.debian.org/debian-security", f"{RELEASE}-security"),
)
# Of this machine's apt, what tells how to reach the mirror.
_APT_SETTINGS = ("Acquire::http", "Acquire::https", "Acquire::Retries", "Acquire::Check-Valid-Until")
_SECONDS = 1800


def make_tree(into: Path, scratch: Path, progress: Progress) -> None:
    """Write the guest's files to the tar archive `into`.

    Raises:
        EnvironmentProblem: the mirror cannot be reached, or a package cannot be had.
    """
    sources = scratch / "sources.list"
    sources.write_text("".join(f"{line}\n" for line in source_lines()))
    command = [
        # It ends with whoever started it, however that one ends, and clears up.
        "setpriv", "--pdeathsig", "TERM",
        "mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar", "--skip=check/qemu",
        f"--include={','.join(PACKAGES)}", *_options(),
        # The kernel's package is not to make an initramfs: the image has its own.
        "--setup-hook=mkdir -p \"$1/etc\" && echo 'do_initrd = no' >\"$1/etc/kernel-img.conf\"",
        RELEASE, str(into), str(sources),
    ]  # fmt: skip
    progress(f"installing Debian {RELEASE} with {len(PACKAGES)} packages and what they need")
    _run(command, scratch, progress)


def source_lines(targets: str | None = None) -> list[str]:
    """Lines of a sources.list: what this machine's apt has of the release, or Debian's own mirror.

    Args:
        targets: what `apt-get indextargets` says; asked when it is None.
    """
    said = _targets() if targets is None else targets
    found: list[tuple[str, str]] = []
    for line in said.splitlines():
        uri, suite, component, origin = (line.split("|") + [""] * 4)[:4]
        wanted = suite == RELEASE or suite in (f"{RELEASE}-updates", f"{RELEASE}-security")
        if origin == "Debian" and component == "main" and wanted and (uri, suite) not in found:
            found.append((uri, suite))
    if not any(suite == RELEASE for _, suite in found):
        found = list(_DEFAULT_SOURCES)
    return [f"deb [signed-by={_KEYRING}] {uri} {suite} main" for uri, suite in found]


def _targets() -> str:
    shown = "$(REPO_URI)|$(CODENAME)|$(COMPONENT)|$(ORIGIN)"
    return _said(["apt-get", "indextargets", "--format", shown, "Created-By: Packages"])


def _options() -> Iterator[str]:
    for line in _said(["apt-config", "dump"]).splitlines():
        name = line.partition(" ")[0]
        if name.startswith(_APT_SETTINGS) and not line.endswith(' "";') and "::Proxy-Auto" not in name:
            yield f"--aptopt={line}"
    yield '--aptopt=Acquire::Languages "none"'
    yield "--dpkgopt=force-unsafe-io"
    yield from (f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT)
    yield from (f"--dpkgopt=path-include={path}" for path in _KEPT)


def _said(command: Sequence[str]) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "LC_ALL": "C"}
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _run(command: Sequence[str], scratch: Path, progress: Progress) -> None:
    """Run it with its steps as progress.

    Raises:
        EnvironmentProblem: it failed; with the end of what it said.
    """
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TMPDIR": str(scratch), "DEBIAN_FRONTEND": "noninteractive"}
    environment["PATH"] = f"{environment.get('PATH', '')}:/usr/sbin:/sbin"
    said: list[str] = []
    # Its own process group would outlive an interrupted run: it stays in ours, and is ended with it.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        errors="replace", env=environment,
    ) as process:  # fmt: skip
        try:
            for line in process.stderr or ():
                said.append(line.rstrip())
                if line.startswith("I: ") and line.rstrip().endswith("..."):
                    progress(f"Debian: {line[3:].rstrip().rstrip('.')}")
            code = process.wait(timeout=_SECONDS)
        except BaseException:
            process.terminate()
            raise
    if code:
        told = [line for line in said if line.startswith(("E:", "W:", "Err"))] or said
        raise EnvironmentProblem(
            f"mmdebstrap failed: {' / '.join(told[-4:])[-800:]}",
            "check that the mirror of this machine's apt can be reached, and that the disk has 3 GB free; try again",
        )


def scratch_directory(near: Path) -> "tempfile.TemporaryDirectory[str]":
    """A directory for what is needed only while an image is made, which others may pass through."""
    made = tempfile.TemporaryDirectory(dir=near, prefix=".scratch-")
    os.chmod(made.name, 0o755)  # a package's scripts run as users of their own
    return made


def needs() -> dict[str, str]:
    """Programs and their packages."""
    tools = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "qemu-img": "qemu-utils", "tar": "tar"}
    return tools if _KEYRING.exists() else {**tools, str(_KEYRING): "debian-archive-keyring"}
