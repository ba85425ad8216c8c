"""QEMU processes, each in a directory of its own: started, asked and ended by the UUID that is their identity."""

import fcntl
import json
import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from provision.errors import ForeignObject, NotFound, PlatformError, RetriableError

PROGRAM = "qemu-system-x86_64"


@dataclass(frozen=True)
class Qemu:
    """The processes below `directory`; `defaults` are what machines of stack files have in common."""

    directory: Path
    defaults: dict[str, str]

    def uuids(self) -> list[str]:
        """Of all processes that live."""
        return sorted(path.parent.name for path in self.directory.glob("*/pid") if self._lives(path.parent.name))

    def start(self, uuid: str, **machine: Any) -> None:
        """Start a process that outlives this one, with its CPUs stopped. Its pid file is a lock: none gets it twice."""
        (home := self.directory / uuid).mkdir(parents=True, exist_ok=True)
        name = ["-uuid", uuid, "-name", f"{machine['name']}@{machine['stack_id']}", "-pidfile", f"{home}/pid"]
        bare = ["-daemonize", "-S", "-no-shutdown", "-nodefaults", "-nic", "none", "-display", "none", "-accel", "tcg"]
        talk = ["-qmp", f"unix:{home}/qmp,server=on,wait=off", "-serial", "chardev:log"]
        talk += ["-chardev", f"file,id=log,path={home}/log,append=on"]
        boot = ["-kernel", machine["kernel"], "-initrd", machine["initrd"], "-append", machine["command_line"]]
        size = ["-smp", str(machine["cpus"]), "-m", f"{machine['memory_mib']}M"]
        done = subprocess.run([PROGRAM, *name, *bare, *talk, *boot, *size], capture_output=True)
        if done.returncode != 0:
            None if self._lives(uuid) else shutil.rmtree(home)  # another process may have it, and the directory
            raise PlatformError(f"QEMU does not start: {done.stderr.decode().strip()}", "mend what it complains of")

    def look(self, uuid: str) -> dict[str, Any]:
        """What a process is, as it says itself."""
        properties = (f"qom-get {name}" for name in ("kernel", "initrd", "append", "smp", "memory"))
        kernel, initrd, append, smp, ram, named, status = self._tell(uuid, *properties, "query-name", "query-status")
        name, _, stack_id = named["name"].rpartition("@")
        state = {"stack_id": stack_id, "name": name, "power": "running" if status["running"] else "stopped"}
        boot = {"kernel": kernel, "initrd": initrd, "command_line": append}
        return {**state, **boot, "cpus": smp["cpus"], "memory_mib": ram["size"] >> 20}

    def switch(self, uuid: str, owner: str, power: str) -> None:
        """Switch a machine off as one pulls a plug, and then on, if so wanted: it boots, with an empty log."""
        self._tell(uuid, "stop", "system_reset", owner=owner)
        if power == "running":
            os.truncate(self.directory / uuid / "log", 0)
            self._tell(uuid, "cont", owner=owner)

    def log(self, uuid: str) -> str:
        """What a machine has printed since it was switched on."""
        return (self.directory / uuid / "log").read_text(errors="replace")

    def end(self, uuid: str, owner: str) -> None:
        """End a process and remove its directory; what is not there needs no end."""
        with suppress(FileNotFoundError), (self.directory / uuid / "pid").open("r+") as pid:
            with suppress(NotFound):
                self._tell(uuid, "quit", owner=owner)
            for _ in range(1000):
                with suppress(OSError):  # QEMU removes the file before it ends, but its lock ends with it
                    fcntl.lockf(pid, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return shutil.rmtree(self.directory / uuid, ignore_errors=True)
                time.sleep(0.02)
            raise RetriableError(f"machine {uuid} has not ended yet")
        shutil.rmtree(self.directory / uuid, ignore_errors=True)

    def _lives(self, uuid: str) -> bool:
        """Whether a process holds the lock on its pid file, which the kernel gives up with the process."""
        try:
            with (self.directory / uuid / "pid").open("r+") as file:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return not isinstance(error, FileNotFoundError)
        return False

    def _tell(self, uuid: str, *commands: str, owner: str = "") -> list[Any]:
        """Have a process that has proven its identity, and whose it is, carry out commands; its answers."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(20)
                connection.connect(str(self.directory / uuid / "qmp"))
                with connection.makefile("rw") as stream:
                    stream.readline()  # its greeting
                    _answer(stream, "qmp_capabilities")
                    found = {**_answer(stream, "query-uuid"), **_answer(stream, "query-name")}
                    if found["UUID"] != uuid or not found["name"].endswith(owner and f"@{owner}"):
                        raise ForeignObject(f"the process in {self.directory / uuid} is {found}", "move it away")
                    return [_answer(stream, command) for command in commands]
        except (OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError | ConnectionRefusedError) and not self._lives(uuid):
                raise NotFound(f"there is no machine {uuid} in {self.directory}") from error
            raise RetriableError(f"machine {uuid} does not answer: {error}") from error


def _answer(stream: TextIO, command: str) -> Any:
    name, _, property = command.partition(" ")
    arguments = {"path": "/machine", "property": property} if property else {}
    print(json.dumps({"execute": name, "arguments": arguments}), file=stream, flush=True)
    while "event" in (answer := json.loads(stream.readline())):
        pass
    if "error" in answer:
        raise PlatformError(f"QEMU refuses '{name}': {answer['error']['desc']}", "see the log of the machine")
    return answer["return"]
