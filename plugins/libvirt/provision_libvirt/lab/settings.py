"""The files a lab begins with: its own configuration of libvirt, and empty places for all it writes."""

import pwd
import shutil
import uuid
from pathlib import Path

MARKER = ".provision-lab"
_NWFILTERS = Path("/usr/share/libvirt/nwfilter")
_PLACES = ("cache", "dev", "etc/nwfilter", "etc/qemu/networks", "etc/hooks", "lib/boot", "lib/dnsmasq", "lib/images",
           "lib/network", "lib/qemu", "lib/sanlock", "lib/swtpm", "log/qemu", "log/swtpm", "run/libvirt", "run/lock",
           "run/provision", "swtpm")  # fmt: skip


def host_uuid(directory: Path) -> uuid.UUID:
    """The identity of the lab's hypervisor: the same for the same directory on the same machine, not the machine's."""
    machine = Path("/etc/machine-id")
    name = f"{machine.read_text().strip() if machine.exists() else ''}:{directory}"
    return uuid.uuid5(uuid.UUID("6b3cbf0c-5d3a-4d0e-9d0f-6d2f6c61622e"), name)


def prepare(directory: Path, agent: Path) -> None:
    """Fill an absent or empty `directory`.

    Raises:
        OSError: it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)  # guests see its parts by bind mounts inside; from outside only root may
    (directory / MARKER).write_text("A private hypervisor of provision lives here; `provision lab stop` removes it.\n")
    for place in _PLACES:
        (directory / place).mkdir(parents=True, exist_ok=True)
    for top in ("etc", "lib", "log", "run", "cache"):
        (directory / top).chmod(0o755)
    (directory / "lib/images").chmod(0o711)
    for source in sorted(_NWFILTERS.glob("*.xml")):
        shutil.copyfile(source, directory / "etc/nwfilter" / source.name)
    _write(directory / "etc/libvirtd.conf", {
        "unix_sock_group": "root",
        "unix_sock_ro_perms": "0700",
        "unix_sock_rw_perms": "0700",
        "auth_unix_ro": "none",
        "auth_unix_rw": "none",
        "host_uuid": str(host_uuid(directory)),
        "max_client_requests": 20,
        "log_level": 3,
        "log_outputs": "3:stderr",
    })  # fmt: skip
    _write(directory / "etc/virtlogd.conf", {"log_level": 3, "log_outputs": "3:stderr"})
    # No mandatory access control driver: its profiles would be loaded into the host's kernel.
    qemu: dict[str, str | int] = {"security_driver": "none", "stdio_handler": "logd"}
    user = _qemu_user()
    if user:
        account = pwd.getpwnam(user)
        shutil.chown(directory / "lib/qemu", account.pw_uid, account.pw_gid)
    else:
        qemu |= {"user": "root", "group": "root"}
    _write(directory / "etc/qemu.conf", qemu)
    shutil.copy(agent, directory / "run/provision/agent")


def _qemu_user() -> str | None:
    for name in ("libvirt-qemu", "qemu"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    return None


def _write(path: Path, values: dict[str, str | int]) -> None:
    lines = [f"{key} = {value}" if isinstance(value, int) else f'{key} = "{value}"' for key, value in values.items()]
    path.write_text("\n".join(lines) + "\n")
