"""Labs, as tests and people use them."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from openstack_lab.configuring import write_clouds
from openstack_lab.faults import Rule
from openstack_lab.layout import HERE, PASSWORD, Layout, Settings, load, new
from openstack_lab.processes import pids, sweep

_SECONDS = 900.0
"""For a first start on a slow machine, with all that is installed."""


class LabError(Exception):
    """A lab did not start."""


@dataclass(frozen=True)
class Project:
    """A project with a user of its own, who may do what members may.

    Attributes:
        id: of the project.
        name: of the project and of the user.
        clouds: a clouds.yaml whose cloud `lab` is this project, and `lab-admin` the administrator.
    """

    id: str
    name: str
    clouds: Path

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make it the cloud of OpenStack's tools."""
        return {"OS_CLIENT_CONFIG_FILE": str(self.clouds), "OS_CLOUD": "lab"}


class Lab:
    """A cloud that runs."""

    def __init__(self, layout: Layout, keeper: "subprocess.Popen[bytes] | None" = None) -> None:
        """With its keeper when it is this process's own."""
        self.layout = layout
        self.directory = layout.directory
        self._keeper = keeper

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make it the cloud of OpenStack's tools."""
        return {"OS_CLIENT_CONFIG_FILE": str(self.layout.clouds), "OS_CLOUD": "lab"}

    def admin(self) -> Any:
        """The SDK's connection of the administrator."""
        return self._connected("lab-admin")

    def project(self, prefix: str = "project") -> Project:
        """Make a project with a user."""
        name = f"{prefix}-{uuid4().hex[:8]}"
        identity = self.admin().identity
        project = identity.create_project(name=name, domain_id="default")
        user = identity.create_user(name=name, password=PASSWORD, domain_id="default")
        for role in identity.roles():
            if role.name in ("member", "reader"):
                identity.assign_project_role_to_user(project, user, role)
        clouds = self.directory / f"clouds-{name}.yaml"
        write_clouds(self.layout, clouds, {"lab": (name, name), "lab-admin": ("admin", "admin")})
        return Project(project.id, name, clouds)

    def image(self) -> str:
        """Id of a tiny image that everybody sees; made once."""
        admin = self.admin()
        found = admin.image.find_image("tiny")
        if found is None:
            format = {"disk_format": "raw", "container_format": "bare"}
            found = admin.image.create_image("tiny", data=bytes(65536), visibility="public", **format)
        return str(found.id)

    def flavor(self, cpus: int = 1, memory_mib: int = 64, **extra_specs: str) -> str:
        """Id of a flavor that everybody sees; made once."""
        compute = self.admin().compute
        name = "-".join(["lab", str(cpus), str(memory_mib), *(f"{key}={value}" for key, value in extra_specs.items())])
        found = compute.find_flavor(name)
        if found is None:
            found = compute.create_flavor(name=name, vcpus=cpus, ram=memory_mib, disk=1)
            if extra_specs:
                compute.create_flavor_extra_specs(found, extra_specs)
        return str(found.id)

    @contextmanager
    def going_wrong(self, *rules: Rule) -> Iterator[None]:
        """While inside, calls and hosts fail as these rules say."""
        self.forget_faults()
        self._lay(list(rules))
        try:
            yield
        finally:
            self._lay([])

    def followed(self) -> list[Mapping[str, Any]]:
        """What went wrong since the last `going_wrong` began: the rules that were followed, in order."""
        with contextlib.suppress(FileNotFoundError):
            return [json.loads(line) for line in self._notes.read_text().splitlines()]
        return []

    def forget_faults(self) -> None:
        """Nothing went wrong until now."""
        self._notes.unlink(missing_ok=True)

    def kill(self, process: str) -> None:
        """Kill one of its processes, such as `compute-c1`, in the mode `full`."""
        os.kill(pids(self.directory)[process], signal.SIGKILL)

    def fence(self, host: str) -> None:
        """Tell Nova that a host is dead, as operators' tools do: it would find out by itself after a minute or two."""
        compute = self.admin().compute
        (service,) = compute.services(binary="nova-compute", host=host)
        answer = compute.put(f"/os-services/{service.id}", json={"forced_down": True}, microversion="2.53")
        answer.raise_for_status()

    def processes(self) -> dict[str, int]:
        """Its processes, by name."""
        return pids(self.directory)

    def stop(self) -> None:
        """Stop it; its folder stays."""
        stop(self.directory, self._keeper)

    @property
    def _notes(self) -> Path:
        return self.layout.faults.with_name(self.layout.faults.name + ".log")

    def _lay(self, rules: list[Rule]) -> None:
        partial = self.layout.faults.with_suffix(".new")
        partial.write_text(json.dumps(rules))
        partial.replace(self.layout.faults)

    def _connected(self, cloud: str) -> Any:
        from openstack.config import OpenStackConfig
        from openstack.connection import Connection

        files = OpenStackConfig(config_files=[str(self.layout.clouds)], load_envvars=False)
        return Connection(config=files.get_one(cloud))


def start(
    directory: Path,
    settings: Settings | None = None,
    *,
    attached: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> Lab:
    """Start a lab, or take the one that runs in `directory` for good.

    Args:
        directory: of its own, with a short path.
        settings: how it is to be.
        attached: whether it ends with this process, however that ends.
        say: is told what is being done.

    Raises:
        LabError: it does not start.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory = directory.resolve()
    if _is_kept(directory):
        return Lab(_waited(directory, None, say))
    for last in (False, False, True):
        try:
            return _started(directory, settings or Settings(), attached, say)
        except LabError as error:  # a port that was free is not any more
            if last or "already in use" not in str(error):
                raise
    raise AssertionError("not reached")


def _started(directory: Path, settings: Settings, attached: bool, say: Callable[[str], None]) -> Lab:
    (directory / "status.json").unlink(missing_ok=True)
    new(directory, settings).save()
    with (directory / "keeper.log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "openstack_lab.keeper", str(directory), *(["attached"] if attached else [])],
            env={**os.environ, "PYTHONPATH": str(HERE)},
            stdin=subprocess.PIPE if attached else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        return Lab(_waited(directory, keeper, say), keeper)
    except BaseException:
        stop(directory, keeper)
        raise


def stop(directory: Path, keeper: "subprocess.Popen[bytes] | None" = None) -> None:
    """Stop what runs in `directory`, also what a keeper left that was killed."""
    if keeper is not None:
        keeper.terminate()
        keeper.wait()
    elif _is_kept(directory):
        with contextlib.suppress(ValueError, OSError):
            os.kill(int((directory / "keeper.pid").read_text()), signal.SIGTERM)
        while _is_kept(directory):
            time.sleep(0.05)
    sweep(directory)


def wipe(directory: Path) -> None:
    """Stop it, and remove its folder."""
    stop(directory)
    shutil.rmtree(directory, ignore_errors=True)


def _waited(directory: Path, keeper: "subprocess.Popen[bytes] | None", say: Callable[[str], None]) -> Layout:
    end, told = time.monotonic() + _SECONDS, ""
    while time.monotonic() < end:
        status: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError):
            status = json.loads((directory / "status.json").read_text())
        if status.get("state") == "ready":
            layout = load(directory)
            if layout is not None:
                return layout
        if status.get("state") == "failed":
            raise LabError(status["text"])
        if status.get("text", told) != told:
            told = status["text"]
            say(told)
        if keeper is not None and keeper.poll() is not None:
            raise LabError(f"the lab did not start: {(directory / 'keeper.log').read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
    raise LabError(f"the lab did not start in {_SECONDS:.0f} s: see {directory}/log")


def _is_kept(directory: Path) -> bool:
    """Whether a keeper runs there."""
    try:
        lock = (directory / "keeper.lock").open()
    except OSError:
        return False
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False
