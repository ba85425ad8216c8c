"""Where everything of one lab is: its folder, its ports, and how it is to be."""

import json
import os
import random
import socket
from dataclasses import asdict, dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
SERVICES = HERE / "services"
"""Python path of what runs inside of the services."""

HOST = "127.0.0.1"
REGION = "RegionOne"
_PORTS = range(20000, 32000)
"""Below those that connections take at their own end (ip(7), ip_local_port_range)."""
PASSWORD = "lab"  # the services listen on the loopback interface only
API_PATHS = {
    "keystone": "/v3",
    "placement": "",
    "glance": "",
    "nova": "/v2.1",
    "neutron": "",
    "cinder": "/v3",
}
"""The APIs, and the path of their endpoints in the catalogue."""

SERVICE_TYPES = {
    "nova": "compute",
    "neutron": "network",
    "glance": "image",
    "placement": "placement",
    "cinder": "block-storage",
}


@dataclass(frozen=True)
class Settings:
    """How a lab is to be.

    Attributes:
        mode: `aio`: few processes and no message broker; `full`: every service and every compute host is a process of
            its own, so that one can be killed.
        computes: hosts.
        cpus: virtual CPUs of a host.
        memory_mib: of a host.
        disk_gib: of a host.
        quota: of every kind, for every project; -1 for none.
    """

    mode: str = "aio"
    computes: int = 3
    cpus: int = 64
    memory_mib: int = 262144
    disk_gib: int = 4000
    quota: int = -1

    @property
    def hosts(self) -> list[str]:
        """Names of the compute hosts."""
        return [f"c{number}" for number in range(1, self.computes + 1)]


@dataclass(frozen=True)
class Layout:
    """Where the parts of a lab are.

    Attributes:
        directory: all that it writes; short, since paths of sockets must be.
        ports: by API, and of the broker.
        settings: how it is to be.
    """

    directory: Path
    ports: dict[str, int]
    settings: Settings = field(default_factory=Settings)

    def url(self, service: str) -> str:
        """Where an API answers."""
        return f"http://{HOST}:{self.ports[service]}"

    @property
    def etc(self) -> Path:
        """Configuration files."""
        return self.directory / "etc"

    @property
    def logs(self) -> Path:
        """What the processes say."""
        return self.directory / "log"

    @property
    def clouds(self) -> Path:
        """The clouds.yaml of the lab."""
        return self.directory / "clouds.yaml"

    @property
    def faults(self) -> Path:
        """The rules of what goes wrong."""
        return self.directory / "faults.json"

    @property
    def socket(self) -> Path:
        """Socket of the database."""
        return self.directory / "mysql.sock"

    @property
    def broker(self) -> str:
        """Address of the messages between services."""
        return f"rabbit://guest:guest@{HOST}:{self.ports['broker']}/" if self.settings.mode == "full" else "fake:///"

    def database(self, name: str) -> str:
        """Address of a database."""
        return f"mysql+pymysql://root@localhost/{name}?unix_socket={self.socket}&charset=utf8mb4"

    def save(self) -> None:
        """Write it down, for other processes."""
        known = {"ports": self.ports, "settings": asdict(self.settings)}
        (self.directory / "layout.json").write_text(json.dumps(known, indent=1))


def load(directory: Path) -> Layout | None:
    """The layout of a lab; None when there is none."""
    try:
        known = json.loads((directory / "layout.json").read_text())
    except (OSError, ValueError):
        return None
    return Layout(directory, known["ports"], Settings(**known["settings"]))


def new(directory: Path, settings: Settings) -> Layout:
    """A layout with ports that are free now, of those that the system gives to nobody by itself."""
    names = [*API_PATHS, "broker", "broker-peers", "broker-names"]
    numbers = random.sample(_PORTS, len(_PORTS))
    free = (number for number in numbers if _is_free(number))
    return Layout(directory, dict(zip(names, free, strict=False)), settings)


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind((HOST, port))
        except OSError:
            return False
        return True


def cache() -> Path:
    """Where what is made once is kept."""
    named = Path(os.environ.get("XDG_CACHE_HOME") or "")
    return (named if named.is_absolute() else Path.home() / ".cache") / "provision" / "openstack-lab"
