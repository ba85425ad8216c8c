"""The process that starts all others of a lab, and with which they end.

python -m openstack_lab.keeper DIRECTORY [attached]
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from openstack_lab.configuring import configure
from openstack_lab.database import Database
from openstack_lab.installing import InstallError, installed, program
from openstack_lab.layout import API_PATHS, HOST, PASSWORD, REGION, SERVICE_TYPES, SERVICES, Layout, load
from openstack_lab.processes import Processes, sweep

_THREADS = {"keystone": 6, "placement": 4, "glance": 4, "nova": 8, "neutron": 8, "cinder": 4}
_SECONDS = 240.0


class Keeper:
    """Brings a lab up, and down."""

    def __init__(self, layout: Layout, say: Callable[[str], None]) -> None:
        """Of one lab."""
        self._layout = layout
        self._say = say
        self._venv = installed(say)
        self._processes = Processes(layout.directory, layout.logs)
        self._environment = self._variables()
        self._database = Database(layout, self._processes, self._environment)
        self._ending = threading.Event()

    def up(self) -> None:
        """Start everything and wait until hosts can be scheduled to."""
        configure(self._layout, self._venv)
        if self._layout.settings.mode == "full":
            self._broker()
        fresh = not self._database.restored()
        if fresh:
            self._say("making the databases: half a minute, once")
            self._database.create()
            self._schemas()
            self._api("keystone")
            self._answers("keystone")
            self._register()
            self._database.keep()
        else:
            self._database.start()
        self._database.address()
        if not fresh:
            self._api("keystone")
        self._say("starting the services")
        self._services()
        with ThreadPoolExecutor(len(API_PATHS)) as pool:
            list(pool.map(self._answers, API_PATHS))
        self._until("the hosts to report", lambda: self._database.computes() >= self._layout.settings.computes)

    def end(self) -> None:
        """Whatever is waited for is not worth waiting for any more."""
        self._ending.set()

    def down(self) -> None:
        """Stop everything."""
        self._processes.stop_all(["broker", "broker-names", "mariadb"])

    # --- services

    def _services(self) -> None:
        nova = ["--config-file", str(self._layout.etc / "nova/nova.conf")]
        cinder = ["--config-file", str(self._layout.etc / "cinder/cinder.conf")]
        for name in ("placement", "neutron", "glance"):
            self._api(name)
        if self._layout.settings.mode == "aio":
            self._python("nova", "oslab.nova_aio", *nova)
            self._python("cinder", "oslab.cinder_aio", *cinder)
            return
        self._open(self._layout.ports["broker"])
        self._api("nova")
        self._api("cinder", "--pyargv", " ".join(cinder).replace("file ", "file="))
        for name in ("nova-conductor", "nova-scheduler"):
            self._start(name, str(self._venv / "bin" / name), *nova)
        for name in ("cinder-scheduler", "cinder-volume"):
            self._start(name, str(self._venv / "bin" / name), *cinder)
        for host in self._layout.settings.hosts:
            own = ["--config-file", str(self._layout.etc / f"compute/{host}.conf")]
            self._python(f"compute-{host}", "oslab.compute", *nova, *own)

    def _api(self, name: str, *more: str) -> None:
        self._start(
            name, str(self._venv / "bin/pyuwsgi"), "--http-socket", f"{HOST}:{self._layout.ports[name]}",
            "--module", "oslab.wsgi:application", "--need-app", "--enable-threads", "--threads", str(_THREADS[name]),
            "--buffer-size", "65535", "--die-on-term", "--disable-logging", "--listen", "100",
            "--add-header", "Connection: close", "--set", f"start-time={int(time.time())}", *more,
            LAB_SERVICE=name,
        )  # fmt: skip

    def _python(self, name: str, module: str, *arguments: str) -> None:
        self._start(name, str(self._venv / "bin/python"), "-m", module, *arguments)

    def _start(self, name: str, *command: str, **variables: str) -> None:
        self._processes.start(name, command, {**self._environment, **variables})

    def _broker(self) -> None:
        place, ports = self._layout.directory / "rabbit", self._layout.ports
        server, names = program("rabbitmq-server"), program("epmd")
        if server is None or names is None:
            raise InstallError("rabbitmq-server not found: apt-get install rabbitmq-server")
        (place / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = {HOST}:{ports['broker']}\nloopback_users = none\n"
            "vm_memory_high_watermark.relative = 0.4\ndisk_free_limit.absolute = 50MB\n"
            "log.console = true\nlog.console.level = warning\n"
        )
        (place / "enabled_plugins").write_text("[].")
        self._environment |= {
            "ERL_EPMD_PORT": str(ports["broker-names"]),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": "lab@localhost",
            "RABBITMQ_MNESIA_BASE": str(place / "mnesia"),
            "RABBITMQ_LOG_BASE": str(place / "log"),
            "RABBITMQ_CONFIG_FILE": str(place / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(place / "enabled_plugins"),
            "RABBITMQ_DIST_PORT": str(ports["broker-peers"]),
            "RABBITMQ_PID_FILE": str(place / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        }
        self._start("broker-names", names, "-address", HOST, "-port", str(ports["broker-names"]))
        inner = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # the one in PATH changes to another user
        self._start("broker", inner if Path(inner).exists() else server)

    # --- the first time

    def _schemas(self) -> None:
        etc, url, bin = self._layout.etc, self._layout.url("keystone") + "/v3", self._venv / "bin"
        keystone = [str(bin / "keystone-manage"), "--config-file", str(etc / "keystone/keystone.conf")]
        nova = [str(bin / "nova-manage"), "--config-file", str(etc / "nova/nova.conf")]
        bootstrap = ["--bootstrap-password", PASSWORD, "--bootstrap-region-id", REGION, "--bootstrap-public-url", url,
                     "--bootstrap-internal-url", url, "--bootstrap-admin-url", url]  # fmt: skip
        cell0 = ["--database_connection", self._layout.database("nova_cell0")]
        one = [
            [*keystone, "db_sync"],
            [*keystone, "bootstrap", *bootstrap],
            [str(bin / "placement-manage"), "--config-file", str(etc / "placement/placement.conf"), "db", "sync"],
            [str(bin / "glance-manage"), "--config-file", str(etc / "glance/glance-api.conf"), "db_sync"],
            [str(bin / "cinder-manage"), "--config-file", str(etc / "cinder/cinder.conf"), "db", "sync"],
        ]
        other = [
            [*nova, "api_db", "sync"],
            [*nova, "cell_v2", "map_cell0", *cell0],
            [*nova, "db", "sync"],
            [*nova, "cell_v2", "create_cell", "--name", "cell1"],
            [str(bin / "neutron-db-manage"), "--config-file", str(etc / "neutron/neutron.conf"), "--config-file",
             str(etc / "neutron/plugins/ml2/ml2_conf.ini"), "upgrade", "heads"],
        ]  # fmt: skip
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._steps, [one, other]))

    def _go_on(self) -> None:
        if self._ending.is_set():
            raise InstallError("it was ended before it was up")

    def _steps(self, commands: list[list[str]]) -> None:
        for command in commands:
            self._go_on()
            name = Path(command[0]).name
            with (self._layout.logs / f"{name}.log").open("ab") as log:
                done = subprocess.run(
                    command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
                )
            if done.returncode:
                raise InstallError(f"{name} failed: {Path(log.name).read_text(errors='replace')[-2000:]}")

    def _register(self) -> None:
        urls = {name: (kind, self._layout.url(name) + API_PATHS[name]) for name, kind in SERVICE_TYPES.items()}
        self._steps([[str(self._venv / "bin/python"), "-m", "oslab.register", json.dumps(urls)]])

    # --- waiting

    def _answers(self, name: str) -> None:
        self._until(f"{name} to answer", lambda: _status(self._layout.url(name)) in range(200, 500))

    def _open(self, port: int) -> None:
        import socket

        def opens() -> bool:
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
                return True
            return False

        self._until("the message broker", opens)

    def _until(self, what: str, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + _SECONDS
        while not holds():
            self._go_on()
            if dead := self._processes.dead():
                log = self._layout.logs / f"{dead[0]}.log"
                raise InstallError(f"{dead[0]} ended: {log.read_text(errors='replace')[-2000:]}")
            if time.monotonic() > end:
                raise InstallError(f"waited {_SECONDS:.0f} s for {what}: see {self._layout.logs}")
            time.sleep(0.1)

    def _variables(self) -> dict[str, str]:
        layout, settings = self._layout, self._layout.settings
        kept = {name: value for name, value in os.environ.items() if name in ("LANG", "LC_ALL", "TZ", "TMPDIR")}
        return {
            **kept,
            "PATH": f"{self._venv}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(layout.directory),
            "PYTHONPATH": f"{SERVICES}:{layout.directory}/python",
            "PYTHONWARNINGS": "ignore",
            "MALLOC_ARENA_MAX": "2",
            "OS_CLIENT_CONFIG_FILE": str(layout.clouds),
            "LAB_FAULTS": str(layout.faults),
            "LAB_COMPUTES": str(settings.computes),
            "LAB_CPUS": str(settings.cpus),
            "LAB_MEMORY_MIB": str(settings.memory_mib),
            "LAB_DISK_GIB": str(settings.disk_gib),
            "LAB_NEEDED": " ".join(layout.url(name) for name in ("keystone", "placement")),
            "LAB_NOVA_PORT": str(layout.ports["nova"]),
            **{
                f"OS_{name.upper()}_CONFIG_DIR": str(layout.etc / name)
                for name in ("keystone", "placement", "glance", "nova", "neutron")
            },
        }


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def main() -> None:
    """Keep a lab until this is ended, or, when attached, standard input ends."""
    directory = Path(sys.argv[1])
    lock = (directory / "keeper.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    (directory / "keeper.pid").write_text(str(os.getpid()))
    sweep(directory)
    for name in ("mysql", "processes.json", "etc", "compute", "nova", "rabbit", "images", "cinder", "neutron", "log"):
        shutil.rmtree(directory / name, ignore_errors=True)
    layout = load(directory)
    if layout is None:
        raise SystemExit(f"{directory} has no layout")
    layout.logs.mkdir(exist_ok=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it in its own time
    signal.signal(signal.SIGTERM, lambda *call: sys.exit(0))
    if "attached" in sys.argv[2:]:
        threading.Thread(target=_end_with_input, daemon=True).start()
    report = Report(directory)
    keeper = None
    try:
        keeper = Keeper(layout, report.say)
        signal.signal(signal.SIGTERM, lambda *call: _end(keeper))
        keeper.up()
        report.ready()
        while True:
            signal.pause()
    except InstallError as problem:
        report.failed(str(problem))
        raise SystemExit(1) from None
    finally:
        if keeper is not None:
            keeper.down()


def _end(keeper: Keeper) -> None:
    keeper.end()
    sys.exit(0)


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


class Report:
    """What whoever waits for a lab reads."""

    def __init__(self, directory: Path) -> None:
        """Of a lab in `directory`."""
        self._path = directory / "status.json"
        self.say("starting")

    def say(self, text: str) -> None:
        """What is being done."""
        self._write("starting", text)

    def ready(self) -> None:
        """It can be used."""
        self._write("ready", "")

    def failed(self, text: str) -> None:
        """It will never be."""
        self._write("failed", text)

    def _write(self, state: str, text: str) -> None:
        partial = self._path.with_suffix(".new")
        partial.write_text(json.dumps({"state": state, "text": text}))
        partial.replace(self._path)


if __name__ == "__main__":
    main()
