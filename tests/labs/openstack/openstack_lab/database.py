"""The database of a lab: made once, then copied; its addresses are put right at every start."""

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from openstack_lab.installing import REQUIREMENTS, InstallError, locked, program
from openstack_lab.layout import API_PATHS, SERVICES, Layout, cache
from openstack_lab.processes import Processes

_NAMES = ("keystone", "placement", "glance", "nova_api", "nova_cell0", "nova_cell1", "neutron", "cinder")
_CELLS = {"cell0": "nova_cell0", "cell1": "nova_cell1"}
_SECONDS = 120.0


class Database:
    """MariaDB with the schemas of all services, without a network and without passwords."""

    def __init__(self, layout: Layout, processes: Processes, environment: Mapping[str, str]) -> None:
        """Of one lab."""
        self._layout = layout
        self._processes = processes
        self._environment = environment
        self._place = layout.directory / "mysql"

    def restored(self) -> bool:
        """Whether there is a copy of an earlier lab's database, which then is taken."""
        kept = template()
        if not kept.exists():
            return False
        self._run("tar", "-C", str(self._layout.directory), "-xzf", str(kept))
        return True

    def create(self) -> None:
        """Make an empty one and start it."""
        self._run(
            "mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={self._place}", "--skip-test-db",
            "--auth-root-authentication-method=normal",
        )  # fmt: skip
        self.start()
        self.sql(*(f"create database {name}" for name in _NAMES))

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            str(program("mariadbd")), "--no-defaults", "--user=root", f"--datadir={self._place}",
            f"--socket={self._layout.socket}", f"--pid-file={self._layout.directory}/mysql.pid", "--skip-networking",
            "--skip-grant-tables", "--skip-log-bin", "--performance-schema=off", "--max-connections=600",
            "--innodb-buffer-pool-size=192M", "--innodb-log-file-size=48M", "--innodb-flush-log-at-trx-commit=0",
            "--skip-innodb-doublewrite", "--innodb-flush-method=nosync", "--character-set-server=utf8mb4",
            "--innodb-file-per-table=0", "--back-log=200",
        ]  # fmt: skip
        self._processes.start("mariadb", command, self._environment)
        end = time.monotonic() + _SECONDS
        while not self._answers():
            if time.monotonic() > end or not self._processes.alive("mariadb"):
                raise InstallError(f"the database did not start: see {self._layout.logs}/mariadb.log")
            time.sleep(0.05)

    def keep(self) -> None:
        """Keep a copy for later labs; it is stopped for that."""
        self._processes.stop("mariadb")
        kept = template()
        with locked(kept.with_suffix(".lock")):
            partial = kept.with_suffix(f".{os.getpid()}")
            self._run("tar", "-C", str(self._layout.directory), "-czf", str(partial), "mysql")
            partial.replace(kept)
        self.start()

    def address(self) -> None:
        """Have everything in it name this lab's ports, socket and hosts."""
        self.sql(*self._addresses())

    def _addresses(self) -> Iterable[str]:
        for name, path in API_PATHS.items():
            yield (
                "update keystone.endpoint join keystone.service on endpoint.service_id = service.id "
                f"set endpoint.url = '{self._layout.url(name)}{path}' "
                f"where json_value(service.extra, '$.name') = '{name}'"
            )
        for cell, name in _CELLS.items():
            broker = self._layout.broker if cell == "cell1" else "none:///"
            yield (
                f"update nova_api.cell_mappings set transport_url = '{broker}', "
                f"database_connection = '{self._layout.database(name)}' where name = '{cell}'"
            )
        for host in self._layout.settings.hosts:  # what nova-manage finds out in some seconds of CPU
            yield (
                "insert ignore into nova_api.host_mappings (created_at, cell_id, host) "
                f"select utc_timestamp(), id, '{host}' from nova_api.cell_mappings where name = 'cell1'"
            )

    def computes(self) -> int:
        """Hosts that have reported lately, also what they have, and can be scheduled to."""
        (text,) = self.sql(
            "select count(*) from nova_cell1.services join nova_cell1.compute_nodes node on node.host = services.host "
            "where services.deleted = 0 and services.binary = 'nova-compute' and node.deleted = 0 "
            "and last_seen_up > utc_timestamp() - interval 12 second and exists (select 1 from placement.inventories "
            "join placement.resource_providers owner on owner.id = resource_provider_id where owner.uuid = node.uuid)"
        )
        return int(text)

    def sql(self, *statements: str) -> list[str]:
        """Lines that the database answers."""
        done = subprocess.run(
            self._client(), input=";\n".join(statements), env=dict(self._environment), capture_output=True, text=True
        )
        if done.returncode:
            raise InstallError(f"the database refuses: {done.stderr[-1000:]}")
        return done.stdout.split("\n")[:-1]

    def _client(self) -> list[str]:
        return [str(program("mariadb")), "--no-defaults", f"--socket={self._layout.socket}", "-uroot", "-N"]

    def _answers(self) -> bool:
        asked = [*self._client(), "-e", "select 1"]
        return not subprocess.run(asked, env=dict(self._environment), capture_output=True).returncode

    def _run(self, name: str, *arguments: str) -> None:
        command = [program(name) or name, *arguments]
        with (self._layout.logs / "database.log").open("ab") as log:
            if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log).returncode:
                shutil.rmtree(self._place, ignore_errors=True)
                raise InstallError(f"{name} failed: see {log.name}")


def template() -> Path:
    """Where the copy is: another one for other packages, or another way to make it."""
    made_by = (REQUIREMENTS, SERVICES / "oslab" / "register.py", Path(__file__))
    content = b"".join(path.read_bytes() for path in made_by)
    return cache() / f"database-{hashlib.sha256(content).hexdigest()[:16]}.tgz"
