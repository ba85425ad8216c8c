"""Starting, finding and stopping a lab."""

import contextlib
import fcntl
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provision.errors import EnvironmentProblem, UserError
from provision_libvirt.lab import cgroups, settings
from provision_libvirt.lab.accelerator import kvm_verdict
from provision_libvirt.lab.peer import OUTSIDE, OUTSIDE6, start_time
from provision_libvirt.micro.agent import agent_binary
from provision_libvirt.micro.image import default_cache
from provision_libvirt.micro.packages import require_tools

Progress = Callable[[str], None]
_SOCKET = "run/libvirt/libvirt-sock"
_READY = "ready"
_LOG = "log/lab.log"
_SOCKET_PATH_LIMIT = 107  # bytes of sun_path without the closing zero, unix(7)
_TOOLS = {
    "libvirtd": "libvirt-daemon-system",
    "virtlogd": "libvirt-daemon-system",
    "virsh": "libvirt-clients",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "dnsmasq": "dnsmasq-base",
    "iptables": "iptables",
    "ebtables": "ebtables",
    "ip": "iproute2",
}


@dataclass(frozen=True)
class LabInfo:
    """A running lab.

    `pid` is its first process as the machine sees it; `outside_socket` leads to the probe agent of the outside peer,
    which has `outside_address` and `outside_address6`.
    """

    uri: str
    directory: Path
    pid: int
    outside_socket: Path
    outside_address: str = OUTSIDE
    outside_address6: str = OUTSIDE6


def default_directory() -> Path:
    """`$PROVISION_LAB_DIR`, else `$XDG_STATE_HOME/provision/lab`, by default under `~/.local/state`."""
    chosen = os.environ.get("PROVISION_LAB_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser().absolute() / "provision" / "lab"


def start(
    directory: Path | None = None,
    *,
    progress: Progress = lambda _: None,
    timeout_seconds: float = 90,
    owner: int | None = None,
) -> LabInfo:
    """Start the lab in `directory` (default_directory()) unless it runs already; it goes on after this process ends.

    Args:
        directory: where it lives.
        progress: is told what is done.
        timeout_seconds: how long it may take.
        owner: id of a process with which the lab is to end, however that ends; by default that in
            `$PROVISION_LAB_OWNER`, and without either none.

    Raises:
        UserError: the directory cannot serve.
        EnvironmentProblem: not root, packages missing, or it did not come up in time (with the end of its log).
    """
    directory = _checked(directory)
    require_tools(_TOOLS, "the private hypervisor")
    with _locked(directory, timeout_seconds):
        running = status(directory)
        if running:
            return running
        _remove(directory)
        agent = agent_binary(default_cache(), progress=progress)
        verdict = kvm_verdict()
        progress(f"KVM: {verdict.reason}" if verdict.usable else f"guests are emulated: {verdict.reason}")
        progress(f"starting a private hypervisor in {directory}")
        try:
            settings.prepare(directory, agent)
            _launch(directory, "kvm" if verdict.usable else "none")
            _keep(directory, owner or int(os.environ.get("PROVISION_LAB_OWNER") or 0))
            _wait(directory, timeout_seconds)
        except OSError as error:
            _remove(directory)
            raise EnvironmentProblem(f"the lab cannot be made in {directory}: {error}") from error
        except BaseException:  # whatever ends a start, also Ctrl-C: no half lab stays
            _remove(directory)
            raise
        found = status(directory)
        if not found:
            raise EnvironmentProblem("the lab ended right after it came up" + _log_tail(directory))
        return found


def status(directory: Path | None = None) -> LabInfo | None:
    """The running lab of `directory`, or None when there is none that finished starting."""
    directory = (directory or default_directory()).absolute()
    pid = _first_process(directory)
    if pid is None or not (directory / _READY).exists():
        return None
    return LabInfo(_uri(directory), directory, pid, directory / "run/outside.sock")


def stop(directory: Path | None = None) -> bool:
    """End the lab with all its guests and remove everything of it; gives whether there was anything.

    Raises:
        UserError: the directory holds something else than a lab.
        EnvironmentProblem: not root, or something of it stayed.
    """
    directory = _checked(directory)
    with _locked(directory, 90):
        return _remove(directory)


def _checked(directory: Path | None) -> Path:
    if os.geteuid() != 0:
        raise EnvironmentProblem(
            "the private hypervisor needs root: it makes namespaces, bridges and packet filters of its own",
            "run the command with sudo, or set provision-libvirt:uri to a hypervisor that you may use",
        )
    directory = (directory or default_directory()).absolute()
    longest = directory / _SOCKET
    if len(os.fsencode(longest)) > _SOCKET_PATH_LIMIT:
        room = _SOCKET_PATH_LIMIT - len(_SOCKET) - 1
        raise UserError(
            f"the lab's directory {directory} is too long: its sockets would exceed {_SOCKET_PATH_LIMIT} bytes",
            f"set PROVISION_LAB_DIR to a path of at most {room} bytes",
        )
    if directory.parts[:2] in (("/", "dev"), ("/", "proc"), ("/", "sys")) or len(directory.parts) < 2:
        raise UserError(f"{directory} cannot hold a lab", "set PROVISION_LAB_DIR to a directory on a disk")
    return directory


@contextmanager
def _locked(directory: Path, seconds: float) -> Iterator[None]:
    """Hold a lock on the directory's parent: it outlives the lab and leaves no file."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        end = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise EnvironmentProblem(
                        f"another start or stop of the lab in {directory} has been under way for {seconds:.0f} s",
                        "wait for it, or end that process",
                    ) from None
                time.sleep(0.1)
        yield
    finally:
        os.close(handle)


def _uri(directory: Path) -> str:
    return "qemu+unix:///system?socket=" + urllib.parse.quote(str(directory / _SOCKET))


def _cgroup(directory: Path) -> str:
    return "provision-lab-" + hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]


def _first_process(directory: Path) -> int | None:
    """The recorded first process when it is alive and still the same one."""
    try:
        record = json.loads((directory / "lab.json").read_text())
        pid = int(record["pid"])
        alive = start_time(pid) == record["start_time"]
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return pid if alive and state not in "ZX" else None


def _launch(directory: Path, accelerator: str) -> None:
    command = [sys.executable, "-m", "provision_libvirt.lab.inside", str(directory), _cgroup(directory), accelerator]
    if _run(directory, command):
        raise EnvironmentProblem("the lab's namespaces cannot be made" + _log_tail(directory))


def _keep(directory: Path, owner: int) -> None:
    """Have the lab end with its owner, when it has one."""
    first = _first_process(directory)
    if not owner or first is None:
        return
    try:
        started = start_time(owner)
    except OSError:
        raise EnvironmentProblem(f"the process {owner}, with which the lab is to end, is not there") from None
    if _run(directory, [sys.executable, "-m", "provision_libvirt.lab.keeper", str(directory), str(owner), started,
                        str(first)]):  # fmt: skip
        raise EnvironmentProblem("nothing would end the lab with its owner" + _log_tail(directory))


def _run(directory: Path, command: list[str]) -> int:
    """Run a part of the lab that goes on in the background; gives its exit code."""
    environment = {
        "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with (directory / _LOG).open("ab") as log:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd="/",
            start_new_session=True, timeout=30, check=False,
        ).returncode  # fmt: skip


def _wait(directory: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if _first_process(directory) is None:
            raise EnvironmentProblem("the lab ended while it started" + _log_tail(directory))
        if (directory / _SOCKET).exists() and (directory / "run/outside.sock").exists() and _answers(directory, end):
            (directory / _READY).touch()
            return
        time.sleep(0.05)
    raise EnvironmentProblem(f"the lab did not answer within {seconds:.0f} s" + _log_tail(directory))


def _answers(directory: Path, end: float) -> bool:
    left = max(1.0, end - time.monotonic())
    try:
        done = subprocess.run(
            ["virsh", "-c", _uri(directory), "domcapabilities", "--virttype", "qemu"],
            capture_output=True, timeout=left, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _log_tail(directory: Path, lines: int = 15) -> str:
    try:
        text = (directory / _LOG).read_text(errors="replace").strip().splitlines()[-lines:]
    except OSError:
        return ""
    return "".join(f"\n  | {line}" for line in text)


def _remove(directory: Path) -> bool:
    """End and remove a lab, whole or half; True when there was one."""
    pid = _first_process(directory)
    if pid is not None:
        _kill(pid, directory)
    left = cgroups.remove(_cgroup(directory))
    if left:
        raise EnvironmentProblem(f"control groups of the lab stayed: {', '.join(map(str, left))}", "see who uses them")
    if not directory.exists():
        return pid is not None
    if not (directory / settings.MARKER).exists():
        if any(directory.iterdir()):
            raise UserError(f"{directory} holds something else than a lab", "set PROVISION_LAB_DIR to another place")
        return False  # an empty directory that somebody made: theirs
    below = os.fsencode(directory) + b"/"
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        if line.split()[4].startswith(below):
            raise EnvironmentProblem(
                f"something is mounted below {directory}: {line.split()[4].decode(errors='replace')}", "unmount it"
            )
    _remove_tree(directory)
    return True


def _remove_tree(directory: Path) -> None:
    """The marker goes last, so that a removal cut short can be taken up again."""
    try:
        for entry in directory.iterdir():
            if entry.name != settings.MARKER:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        (directory / settings.MARKER).unlink()
        directory.rmdir()
    except OSError as error:
        raise EnvironmentProblem(f"the lab's directory cannot be removed: {error}") from error


def _kill(pid: int, directory: Path) -> None:
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            if _first_process(directory) != pid:  # between the reading and the handle it may have become another
                return
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            # Readable once the process is dead, and the first of a PID namespace dies after all others in it.
            if not select.select([handle], [], [], 60)[0]:
                raise EnvironmentProblem(f"the lab's first process ({pid}) does not end", "look at the machine's log")
        finally:
            os.close(handle)
