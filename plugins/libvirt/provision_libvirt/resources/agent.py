"""The QEMU guest agent of a machine: commands in the guest, by its `guest-exec`."""

import base64
import contextlib
import json
import time
from collections.abc import Sequence
from typing import Any

import libvirt
import libvirt_qemu

from provision.errors import PlatformError
from provision.spi import CommandResult

INSTALL = "install the package qemu-guest-agent in the guest and have it started at boot"
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.5
_LEAST_ANSWER_SECONDS = 5
_SILENT = (libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_AGENT_UNSYNCED)


class AgentSilent(PlatformError):
    """No agent answers, or not yet."""


class CommandsForbidden(PlatformError):
    """The agent is there, and is not allowed to run commands."""


class Agent:
    """The guest agent of one domain, until a deadline on the clock of `time.monotonic`."""

    def __init__(self, domain: Any, name: str, deadline: float, timeout: float) -> None:
        """Of the machine `name`; `timeout` is what the person gave, for the message."""
        self._domain = domain
        self._name = name
        self._deadline = deadline
        self._timeout = timeout

    def run(self, command: Sequence[str]) -> CommandResult:
        """Start `command` and wait for its end.

        Raises:
            AgentSilent: no agent answers.
            CommandsForbidden: it may not run commands.
            PlatformError: it could not be started or did not end in time.
        """
        program, *arguments = command
        started = self._call("guest-exec", {"path": program, "arg": arguments, "capture-output": True})
        pid, pause = int(started["pid"]), _FIRST_PAUSE_SECONDS
        try:
            while True:
                status = self._call("guest-exec-status", {"pid": pid})
                if status.get("exited"):
                    return _result(status)
                if time.monotonic() + pause >= self._deadline:
                    raise self._late(pid)
                time.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
        except KeyboardInterrupt:
            self._end(pid)
            raise

    def _late(self, pid: int) -> PlatformError:
        what = "was ended" if self._end(pid) else f"goes on (process {pid} of the guest)"
        return PlatformError(
            f"the command did not end in '{self._name}' within {self._timeout:g} s and {what}",
            "give it longer with --timeout",
        )

    def _end(self, pid: int) -> bool:
        """Ask the guest to end the process; whether it was asked."""
        with contextlib.suppress(PlatformError):
            self._deadline = time.monotonic() + _LEAST_ANSWER_SECONDS
            self._call("guest-exec", {"path": "kill", "arg": ["-TERM", str(pid)]})
            return True
        return False

    def _call(self, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
        left = max(_LEAST_ANSWER_SECONDS, int(self._deadline - time.monotonic()))
        request = json.dumps({"execute": verb, "arguments": arguments})
        try:
            answer = json.loads(libvirt_qemu.qemuAgentCommand(self._domain, request, left, 0))
        except libvirt.libvirtError as error:
            raise self._explain(error) from None
        found = answer.get("return")
        return found if isinstance(found, dict) else {}

    def _explain(self, error: libvirt.libvirtError) -> PlatformError:
        text = str(error).strip()
        if error.get_error_code() in _SILENT:
            return AgentSilent(f"the guest agent of '{self._name}' does not answer: {text}", INSTALL)
        if "Failed to execute child process" in text:
            reason = text.partition("Failed to execute child process")[2].strip(" '")
            return PlatformError(f"'{self._name}' cannot run {reason}", "give the path of a program that the guest has")
        if "has been disabled" in text or "not found" in text:
            return CommandsForbidden(
                f"the guest agent of '{self._name}' may not run commands: {text}",
                "allow guest-exec and guest-exec-status in the guest's configuration of qemu-ga",
            )
        return PlatformError(f"the guest agent of '{self._name}' failed: {text}", "look at its log in the guest")


def _result(status: dict[str, Any]) -> CommandResult:
    signal = status.get("signal")
    return CommandResult(
        int(status.get("exitcode", 0)) if signal is None else 128 + int(signal),
        base64.b64decode(status.get("out-data", "")),
        base64.b64decode(status.get("err-data", "")),
        bool(status.get("out-truncated") or status.get("err-truncated")),
    )
