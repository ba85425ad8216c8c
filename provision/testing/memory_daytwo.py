"""Day two on the in-memory platform: as much of it as the commands need to be tested."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from provision.errors import NotFound, PlatformError, UserError
from provision.spi import (
    CommandResult,
    DeployedMachine,
    LogPiece,
    MachineStatus,
    NativeState,
    PowerAction,
    PowerRequest,
    RunState,
    Snapshot,
    Stranger,
)
from provision.testing.memory_types import MemorySession, Network, Server
from provision.testing.store import StoredObject


class DayTwo:
    """The methods of `provision.spi.daytwo` and `provision.spi.strangers`, over the objects of a store.

    What a test may put into the properties of a server: `log`, what it has printed; `stubborn`, to have its guest not
    shut down when it is asked; `why`, why it is as it is.
    """

    def machine_status(
        self, session: MemorySession, machines: Sequence[DeployedMachine]
    ) -> Mapping[str, MachineStatus]:
        """Each machine as the store has it."""
        return {machine.name: self._status(session, machine) for machine in machines}

    def strangers(
        self, session: MemorySession, networks: Sequence[NativeState], machines: Sequence[DeployedMachine]
    ) -> Sequence[Stranger]:
        """Servers of others in the store."""
        ours = {native.id for machine in machines for native in machine.natives}
        places = {native.outputs.get("name"): native.name for native in networks if native.token == Network.token}
        return [
            Stranger(places[nic["network"]], f"the server '{item.name}'")
            for item in session.store.objects(Server.token)
            for nic in item.properties.get("nics") or ()
            if item.id not in ours and nic["network"] in places
        ]

    def switch_power(self, session: MemorySession, machine: DeployedMachine, request: PowerRequest) -> bool:
        """Switch it in the store."""
        found = _server(session, machine)
        if request.action is not PowerAction.ON and found.properties.get("stubborn") and not request.force:
            raise PlatformError(
                f"the guest of '{machine.name}' did not shut down within {request.timeout:g} s; it is left as it is",
                "give it longer with --timeout, or add --force to cut its power",
            )
        state = RunState.STOPPED if request.action is PowerAction.OFF else RunState.RUNNING
        if request.action is not PowerAction.REBOOT and _state(found) is state:
            return False
        request.report("switching")
        starts = found.properties.get("starts", 1) + (state is RunState.RUNNING)
        _keep(session, found, power=str(state), starts=starts)
        return True

    def read_log(self, session: MemorySession, machine: DeployedMachine, position: Any = None) -> LogPiece:
        """What a test has put there."""
        text = str(_server(session, machine).properties.get("log", "")).encode()
        return LogPiece(text[position or 0 :], len(text))

    def execute(
        self, session: MemorySession, machine: DeployedMachine, command: Sequence[str], timeout: float
    ) -> CommandResult:
        """`echo WORD…`, `fail CODE`, and `hang`, which does not end."""
        found = _server(session, machine)
        if _state(found) is not RunState.RUNNING:
            raise PlatformError(f"the machine '{machine.name}' is {_state(found)}", "switch it on")
        match tuple(command):
            case ("echo", *words):
                return CommandResult(0, " ".join(words).encode() + b"\n")
            case ("fail", code):
                return CommandResult(int(code), b"", b"it failed\n")
            case ("hang",):
                raise PlatformError(f"the command did not end in '{machine.name}' within {timeout:g} s")
        raise PlatformError(f"'{machine.name}' cannot run {command[0]}")

    def list_snapshots(self, session: MemorySession, machine: DeployedMachine) -> Sequence[Snapshot]:
        """Those in the store."""
        return _snapshots(_server(session, machine))

    def create_snapshot(self, session: MemorySession, machine: DeployedMachine, name: str) -> Snapshot:
        """Keep whether it runs."""
        found = _server(session, machine)
        known = _snapshots(found)
        if name in {item.name for item in known}:
            raise UserError(f"'{machine.name}' has a snapshot '{name}' already", "choose another name, or delete it")
        parent = next((item.name for item in known if item.current), "")
        made = Snapshot(name, datetime.now(UTC), _state(found), parent, current=True)
        _keep_snapshots(session, found, [*(replace(item, current=False) for item in known), made])
        return made

    def revert_snapshot(self, session: MemorySession, machine: DeployedMachine, name: str) -> None:
        """Bring back whether it ran."""
        found = _server(session, machine)
        wanted = _find(found, machine.name, name)
        kept = [replace(item, current=item.name == name) for item in _snapshots(found)]
        _keep_snapshots(session, found, kept)
        _keep(session, _server(session, machine), power=str(wanted.state))

    def delete_snapshot(self, session: MemorySession, machine: DeployedMachine, name: str) -> None:
        """Forget it."""
        found = _server(session, machine)
        gone = _find(found, machine.name, name)
        _keep_snapshots(session, found, [item for item in _snapshots(found) if item != gone])

    def _status(self, session: MemorySession, machine: DeployedMachine) -> MachineStatus:
        native = machine.native(Server.token)
        given = native.inputs if native else {}
        wanted = RunState.STOPPED if given.get("power") == "stopped" else RunState.RUNNING
        granted: dict[str, Any] = {
            "granted_cpus": given.get("cpus"),
            "granted_memory_mib": given.get("memory_mib"),
            "wanted": wanted,
        }
        try:
            found = _server(session, machine)
        except NotFound:
            return MachineStatus(RunState.GONE, "somebody removed it", **granted)
        why = str(found.properties.get("why", ""))
        if _state(found) is not RunState.RUNNING:
            return MachineStatus(_state(found), why, **granted)
        return MachineStatus(RunState.RUNNING, why, uptime=90061.0, cpu_seconds=0.0, memory_mib=32, **granted)


def _server(session: MemorySession, machine: DeployedMachine) -> StoredObject:
    native = machine.native(Server.token)
    found = session.store.get(Server.token, native.id) if native else None
    if found is None:
        raise NotFound(f"the machine '{machine.name}' is gone", "run `provision refresh`, then `provision up`")
    return found


def _state(found: StoredObject) -> RunState:
    return RunState(found.properties.get("power") or "running")


def _keep(session: MemorySession, found: StoredObject, **changes: Any) -> None:
    session.store.put(replace(found, properties={**found.properties, **changes}))


def _snapshots(found: StoredObject) -> list[Snapshot]:
    return [
        Snapshot(item["name"], datetime.fromisoformat(item["created"]), RunState(item["state"]), item["parent"],
                 item["current"])
        for item in found.properties.get("snapshots", [])
    ]  # fmt: skip


def _keep_snapshots(session: MemorySession, found: StoredObject, snapshots: Sequence[Snapshot]) -> None:
    plain = [
        {
            "name": item.name,
            "created": item.created.isoformat(),
            "state": str(item.state),
            "parent": item.parent,
            "current": item.current,
        }
        for item in snapshots
    ]
    _keep(session, found, snapshots=plain)


def _find(found: StoredObject, machine: str, name: str) -> Snapshot:
    for item in _snapshots(found):
        if item.name == name:
            return item
    raise NotFound(f"the machine '{machine}' has no snapshot '{name}'")
