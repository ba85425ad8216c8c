"""Day two: what a person does with machines that are deployed. Each protocol is one command of `provision`."""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from provision.spi.probes import DeployedMachine


class RunState(enum.StrEnum):
    """How a machine is; `GONE` is one that the state holds and the platform does not."""

    RUNNING = "running"
    STOPPED = "stopped"
    PAUSED = "paused"
    GONE = "gone"


@dataclass(frozen=True)
class MachineStatus:
    """One machine as the platform has it now, beside what it was given.

    Whatever the platform does not tell is None.

    Attributes:
        state: how it is.
        why: how it came to that, such as "it crashed"; empty when there is nothing to say.
        wanted: how the last `up` recorded that it is to be.
        addresses: those that the platform knows of; empty lets the command show those of the state.
        uptime: seconds since it was started.
        cpu_seconds: CPU time that it has used since it was started; its use is the difference of two looks.
        memory_mib: memory of the platform that it uses, in MiB.
        granted_cpus: virtual CPUs.
        granted_memory_mib: memory that the guest sees, in MiB.
        cpu_cap: most CPUs that it may use at a time, such as 0.5.
        memory_cap_mib: most memory of the platform that it may use, in MiB.
    """

    state: RunState
    why: str = ""
    wanted: RunState = RunState.RUNNING
    addresses: tuple[str, ...] = ()
    uptime: float | None = None
    cpu_seconds: float | None = None
    memory_mib: int | None = None
    granted_cpus: int | None = None
    granted_memory_mib: int | None = None
    cpu_cap: float | None = None
    memory_cap_mib: int | None = None


@runtime_checkable
class HasStatus(Protocol):
    """Without it `provision status` says that the platform does not tell."""

    def machine_status(self, session: Any, machines: Sequence[DeployedMachine]) -> Mapping[str, MachineStatus]:
        """Each of the machines by name, all asked at once; one that is gone is told as such.

        Raises:
            provision.errors.PlatformError: the platform does not answer.
        """


class PowerAction(enum.StrEnum):
    """What `provision power` can do."""

    ON = "on"
    OFF = "off"
    REBOOT = "reboot"


@dataclass(frozen=True)
class PowerRequest:
    """How to switch a machine.

    Attributes:
        action: what to do.
        force: cut the power at once; the guest is not asked.
        timeout: seconds that the guest has to shut down when it is asked.
        report: shows a status line.
    """

    action: PowerAction
    force: bool = False
    timeout: float = 60.0
    report: Callable[[str], None] = lambda text: None


@runtime_checkable
class HasPower(Protocol):
    """Without it `provision power` says that the platform cannot switch machines."""

    def switch_power(self, session: Any, machine: DeployedMachine, request: PowerRequest) -> bool:
        """Switch a machine and wait until it is so; False when it was so already.

        Raises:
            provision.errors.NotFound: the machine is gone.
            provision.errors.PlatformError: the guest did not shut down in time: it is left as it is, and the message
                says that force would cut its power.
        """


@dataclass(frozen=True)
class LogPiece:
    """A part of a machine's log.

    Attributes:
        data: what was printed since the last piece, byte by byte.
        position: gives the next piece; of the plugin's own choice.
        lost: whether bytes between the last piece and this one are not kept any more.
    """

    data: bytes
    position: Any
    lost: bool = False


@runtime_checkable
class HasLog(Protocol):
    """Without it `provision logs` says that the platform keeps none."""

    def read_log(self, session: Any, machine: DeployedMachine, position: Any = None) -> LogPiece:
        """What the machine printed on its console since `position`; None: all that is kept. Returns at once.

        Raises:
            provision.errors.PlatformError: no log of the machine is kept, or it cannot be read.
        """


@dataclass(frozen=True)
class CommandResult:
    """A command that ended in a guest.

    Attributes:
        exit_code: as the command gave it; 128 and the number of the signal that ended it.
        out: its standard output.
        err: its standard error.
        truncated: whether the guest's agent left out a part of either.
    """

    exit_code: int
    out: bytes = b""
    err: bytes = b""
    truncated: bool = False


@runtime_checkable
class CanExecute(Protocol):
    """Without it `provision exec` says that the platform cannot run commands in guests."""

    def execute(self, session: Any, machine: DeployedMachine, command: Sequence[str], timeout: float) -> CommandResult:
        """Run a command in the guest without input, and wait for its end.

        Args:
            session: of the platform.
            machine: in which.
            command: the program, looked for by the guest, and its arguments; no shell takes part.
            timeout: seconds that all of it may take.

        Raises:
            provision.errors.PlatformError: the machine does not run, has no agent, or the command could not be
                started or did not end in time.
        """


@dataclass(frozen=True)
class Snapshot:
    """One snapshot of a machine.

    Attributes:
        name: unique for the machine.
        created: when it was made.
        state: of the machine at that time; it comes back to that.
        parent: the snapshot that it is based on, empty for none.
        current: whether the machine was last made or reverted there.
    """

    name: str
    created: datetime
    state: RunState
    parent: str = ""
    current: bool = False


@runtime_checkable
class HasSnapshots(Protocol):
    """Without it `provision snapshot` says that the platform has none.

    A snapshot changes nothing that `refresh` would report, and goes with its machine. All raise
    `provision.errors.NotFound` when the machine or the snapshot is gone, and `PlatformError` with the reason when the
    machine cannot be kept or brought back as a whole.
    """

    def list_snapshots(self, session: Any, machine: DeployedMachine) -> Sequence[Snapshot]:
        """All of a machine, oldest first."""

    def create_snapshot(self, session: Any, machine: DeployedMachine, name: str) -> Snapshot:
        """Keep all disks, and the memory of a machine that runs."""

    def revert_snapshot(self, session: Any, machine: DeployedMachine, name: str) -> None:
        """Bring disks and memory back; never the isolation: that stays as the last `up` made it."""

    def delete_snapshot(self, session: Any, machine: DeployedMachine, name: str) -> None:
        """Forget one; what the machine is now stays."""
