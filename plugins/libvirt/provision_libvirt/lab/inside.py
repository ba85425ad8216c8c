"""The lab's first process. Run as `python -m provision_libvirt.lab.inside DIRECTORY CGROUP KVM`.

It leaves every shared namespace, then forks: the child is process 1 of the lab, reaps whatever ends there, and its
death ends the lab whole, which the kernel sees to. The parent records the child and goes.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from provision_libvirt.lab import cgroups, linux
from provision_libvirt.lab.peer import LAB_SIDE, LAB_SIDE6, OUTSIDE, OUTSIDE6, start_time

_NODES = ("null", "zero", "full", "random", "urandom", "tty", "net/tun")
_KVM_NODES = ("kvm", "vhost-net")
_DAEMON_SECONDS = 10.0  # a daemon that ends sooner than this is not started again


def main(directory: str, cgroup: str, kvm: str) -> None:
    """Split off the lab and record its first process in DIRECTORY/lab.json."""
    entered = cgroups.enter(cgroup)
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWPID | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS)
    if entered:
        linux.unshare(linux.CLONE_NEWCGROUP)
    gate_out, gate_in = os.pipe()
    child = os.fork()
    if child:
        _record(Path(directory), child)
        os.write(gate_in, b"1")
        os._exit(0)
    os.close(gate_in)
    if os.read(gate_out, 1) != b"1":  # never recorded, so nobody could ever end it
        os._exit(1)
    os.close(gate_out)
    os.setsid()
    _log("building the namespaces")
    _mounts(Path(directory), entered, with_kvm=kvm == "kvm")
    _network()
    _outside()
    _supervise()


def _record(directory: Path, pid: int) -> None:
    scratch = directory / ".lab.json"
    with scratch.open("w") as file:
        json.dump({"pid": pid, "start_time": start_time(pid)}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, directory / "lab.json")


def _mounts(directory: Path, entered: list[cgroups.Hierarchy], *, with_kvm: bool) -> None:
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    harmless = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    linux.mount("proc", "/proc", "proc", harmless)
    linux.mount("sysfs", "/sys", "sysfs", harmless)
    if entered:
        cgroups.show(entered)
    else:
        _log("no control groups of our own: guests run without")
        linux.mount("tmpfs", "/sys/fs/cgroup", "tmpfs", harmless | linux.MS_RDONLY)
    _devices(directory / "dev", with_kvm=with_kvm)
    for name, target in (("lib", "/var/lib/libvirt"), ("cache", "/var/cache/libvirt"), ("log", "/var/log/libvirt"),
                         ("etc", "/etc/libvirt"), ("swtpm", "/var/lib/swtpm-localca"), ("run", "/run")):  # fmt: skip
        if Path(target).is_dir():
            linux.bind(str(directory / name), target)


def _devices(built: Path, *, with_kvm: bool) -> None:
    linux.mount("dev", str(built), "tmpfs", linux.MS_NOSUID, "mode=755")
    for name in (*_NODES, *(_KVM_NODES if with_kvm else ())):
        node, original = built / name, Path("/dev") / name
        if original.exists():
            node.parent.mkdir(exist_ok=True)
            state = original.stat()
            os.mknod(node, state.st_mode, state.st_rdev)
            os.chown(node, state.st_uid, state.st_gid)
            os.chmod(node, state.st_mode & 0o777)
    for name in ("pts", "shm", "mapper", "hugepages"):
        (built / name).mkdir()
    for name, target in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1")):
        (built / name).symlink_to(target)
    linux.mount("devpts", str(built / "pts"), "devpts", 0, "newinstance,ptmxmode=0666,mode=0620,gid=5")
    linux.mount("shm", str(built / "shm"), "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=1777")
    linux.bind(str(built), "/dev")
    # At this place alone: libvirt takes the first that it finds, and to `built` guests have no way.
    with contextlib.suppress(OSError):  # a kernel without huge pages
        linux.mount("hugetlbfs", "/dev/hugepages", "hugetlbfs")


def _network() -> None:
    _ip("link", "set", "lo", "up")
    for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        Path("/proc/sys/net", setting).write_text("1")
    for setting in ("accept_dad", "dad_transmits"):  # a bridge's own IPv6 address is usable with its first guest
        Path("/proc/sys/net/ipv6/conf/default", setting).write_text("0")
    for setting in ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables", "bridge-nf-call-arptables"):
        with contextlib.suppress(OSError):  # without br_netfilter; the plugin looks at these by itself
            Path("/proc/sys/net/bridge", setting).write_text("1")


def _outside() -> None:
    """Start the peer that stands for the world outside: a network namespace, joined by a veth pair, with an agent."""
    split_out, split_in = os.pipe()
    joined_out, joined_in = os.pipe()
    peer = os.fork()
    if not peer:
        try:
            linux.unshare(linux.CLONE_NEWNET)
            os.write(split_in, b"1")
            os.close(joined_in)
            if os.read(joined_out, 1) == b"1":
                _ip("link", "set", "lo", "up")
                _addresses("eth0", OUTSIDE, OUTSIDE6)
                _ip("route", "add", "default", "via", LAB_SIDE)
                _ip("-6", "route", "add", "default", "via", LAB_SIDE6)
                arguments = ["provision-outside", "--own-network", "--socket", "/run/outside.sock"]
                os.execv("/run/provision/agent", arguments)
        except Exception as error:
            _log(f"the outside peer failed: {error}")
        os._exit(1)
    os.close(split_in)
    if os.read(split_out, 1) != b"1":
        raise RuntimeError("the outside peer did not start")
    _ip("link", "add", "outside0", "type", "veth", "peer", "name", "eth0", "netns", str(peer))
    _addresses("outside0", LAB_SIDE, LAB_SIDE6)
    os.write(joined_in, b"1")
    for end in (split_out, joined_out, joined_in):
        os.close(end)


def _addresses(interface: str, v4: str, v6: str) -> None:
    _ip("addr", "add", f"{v4}/24", "dev", interface)
    _ip("-6", "addr", "add", f"{v6}/64", "dev", interface, "nodad")
    _ip("link", "set", interface, "up")


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _supervise() -> None:
    """Keep the two daemons running and reap everything else, for ever."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    running: dict[int, tuple[str, float]] = {}
    for daemon in ("virtlogd", "libvirtd"):
        running[_spawn(daemon)] = (daemon, time.monotonic())
    while True:
        pid, state = os.wait()
        if pid not in running:
            continue
        daemon, begun = running.pop(pid)
        _log(f"{daemon} ended ({os.waitstatus_to_exitcode(state)})")
        if time.monotonic() - begun < _DAEMON_SECONDS:
            sys.exit(1)
        running[_spawn(daemon)] = (daemon, time.monotonic())


def _spawn(daemon: str) -> int:
    _log(f"starting {daemon}")
    path = next((f"{place}/{daemon}" for place in ("/usr/sbin", "/sbin") if Path(place, daemon).exists()), daemon)
    return os.posix_spawn(path, [daemon], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"})


def _end(number: int, frame: FrameType | None) -> None:
    _log(f"ended by signal {number}")
    os._exit(0)


def _log(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
