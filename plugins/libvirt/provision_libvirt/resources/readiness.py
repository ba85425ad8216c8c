"""Whether a guest is ready: asked of the micro image's probe agent, or of cloud-init by the guest agent."""

import json
import re
import time
from dataclasses import dataclass
from typing import Any, Protocol

from provision.errors import PlatformError
from provision.spi import Operation
from provision_libvirt.micro.client import ProbeClient, ProbeFailure
from provision_libvirt.micro.transport import ChannelTransport
from provision_libvirt.resources.agent import Agent, AgentSilent, CommandsForbidden

# What is sent before the guest listens waits for it, so an answer comes at once however long this is; a guest that
# never listens must not be sent much.
_PING_SECONDS = 2.0
_HEED_SECONDS = 0.2
_COMMAND_SECONDS = 20.0
_LOG_LINES = 20
# What cloud-init writes about itself (its reference, "Reported status"). Asking its own command would start a Python
# interpreter each time, which takes an emulated guest seconds.
_LOOK = """
cd /run/cloud-init 2>/dev/null
if [ -s result.json ]; then echo done; cat result.json
elif [ -e disabled ]; then echo disabled
elif [ -d /run/cloud-init ] || command -v cloud-init >/dev/null; then
  echo running; tail -n 1 /var/log/cloud-init-output.log 2>/dev/null | cut -c 1-200; echo; cat status.json 2>/dev/null
else echo none; fi
"""
# Pictures of keys aside.
_LOG = f"grep -v '^[|+].*[|+]$' /var/log/cloud-init-output.log | tail -n {_LOG_LINES}"
_ERROR = re.compile(r"\('([\w.-]+)', (.*)\)\Z", re.DOTALL)
_STAGES = {
    "init-local": "looking for its seed",
    "init": "setting up disks, users and files",
    "modules-config": "configuring the system",
    "modules-final": "installing packages and running commands",
}


@dataclass(frozen=True)
class Heard:
    """What a guest told: in words, whether it is ready, and `failed` with details when it never will be."""

    state: str
    ready: bool = False
    failed: tuple[str, ...] | None = None


class Readiness(Protocol):
    """Asks a guest how it is, as often as one likes."""

    longest_pause: float

    def ask(self) -> Heard:
        """How it is now."""

    def close(self) -> None:
        """Hang up."""


class ByProbeAgent:
    """Asks a guest's probe agent, through a channel that is opened again when it breaks."""

    longest_pause = 0.15

    def __init__(self, connection: Any, uuid: str, operation: Operation) -> None:
        """Of the domain `uuid`."""
        self._connection = connection
        self._uuid = uuid
        self._operation = operation
        self._client: ProbeClient | None = None

    def ask(self) -> Heard:
        """What the guest does."""
        try:
            if self._client is None:
                transport = _Heedful(ChannelTransport(self._connection, self._uuid), self._operation)
                self._client = ProbeClient(transport, grace_seconds=_PING_SECONDS)
        except ProbeFailure as failure:
            return Heard(str(failure))
        try:
            ready = self._client.ping().ready
        except ProbeFailure as failure:
            if isinstance(failure.__cause__, ConnectionError):
                self.close()
            return Heard("its probe agent does not answer")
        return Heard("it is ready" if ready else "it is still configuring itself", ready)

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()
            self._client = None


class ByGuestAgent:
    """Asks the guest agent how far cloud-init is; a guest without cloud-init is ready when its agent answers."""

    longest_pause = 2.0

    def __init__(self, domain: Any, name: str, operation: Operation) -> None:
        """Of the machine `name`."""
        self._domain = domain
        self._name = name
        self._operation = operation

    def ask(self) -> Heard:
        """What the guest does."""
        try:
            said = self._run(_LOOK)
        except AgentSilent:
            return Heard("its guest agent does not answer yet")
        except CommandsForbidden:
            self._operation.note(
                f"the guest agent of '{self._name}' may not run commands, so nobody looked whether cloud-init is done"
            )
            return Heard("its guest agent answers", ready=True)
        except PlatformError as problem:
            return Heard(problem.summary)
        kind, _, rest = said.partition("\n")
        if kind == "done":
            return self._done(rest)
        if kind == "running":
            return Heard(running(rest))
        if kind == "disabled":
            self._operation.note(f"cloud-init is disabled in '{self._name}': its user data was not looked at")
        return Heard("its guest agent answers", ready=True)

    def close(self) -> None:
        """There is nothing to hang up."""

    def _done(self, text: str) -> Heard:
        errors = failures(text)
        if not errors:
            return Heard("cloud-init is done", ready=True)
        details = [*errors, *self._log()]
        return Heard(f"cloud-init failed: {errors[0]}", failed=tuple(details))

    def _log(self) -> list[str]:
        try:
            lines = [line for line in self._run(_LOG).splitlines() if line.strip()]
        except PlatformError:
            return []
        return ["the end of /var/log/cloud-init-output.log in the guest:", *(f"  {line}" for line in lines)]

    def _run(self, script: str) -> str:
        """What a shell script prints in the guest.

        Raises:
            PlatformError: it could not be run.
        """
        agent = Agent(self._domain, self._name, time.monotonic() + _COMMAND_SECONDS, _COMMAND_SECONDS)
        return agent.run(["/bin/sh", "-c", script]).out.decode(errors="replace")


def failures(text: str) -> list[str]:
    """What went wrong by cloud-init's `result.json`, each with its module in front; empty when nothing did."""
    try:
        errors = json.loads(text)["v1"]["errors"]
    except (ValueError, KeyError, TypeError):
        return ["its result cannot be read"]
    found = []
    for error in errors:
        match = _ERROR.match(str(error))
        found.append(f"module '{match[1]}': {match[2]}" if match else str(error))
    return found


def running(text: str) -> str:
    """How far cloud-init is, in words: from the last line of its log, an empty one, and its `status.json`."""
    last, _, status = text.partition("\n")
    try:
        stage = json.loads(status)["v1"].get("stage")
    except (ValueError, KeyError, TypeError, AttributeError):
        stage = None
    state = f"cloud-init is {_STAGES.get(stage, 'starting') if stage else 'starting'}"
    return f"{state}: {last.strip()}" if stage == "modules-final" and last.strip() else state


class _Heedful:
    """A channel on which nobody waits after the run was cancelled."""

    def __init__(self, transport: ChannelTransport, operation: Operation) -> None:
        self._transport = transport
        self._operation = operation
        self.send = transport.send
        self.close = transport.close

    def receive(self, seconds: float) -> bytes:
        """What arrived within `seconds`, b"" for nothing."""
        end = time.monotonic() + seconds
        while not self._operation.cancelled():
            left = end - time.monotonic()
            data = self._transport.receive(max(0.0, min(_HEED_SECONDS, left)))
            if data or left <= _HEED_SECONDS:
                return data
        raise ConnectionError("the run was cancelled")
