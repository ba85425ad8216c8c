"""Drive the Pulumi engine on a stack's folder through the Automation API, as plain `pulumi` would.

The engine runs as a process of its own with the same backend, state and configuration as a person's `pulumi up`,
so both can be mixed freely.
"""

import json
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pulumi.automation as auto
from pulumi.automation.events import EngineEvent

from provision.errors import EnvironmentProblem, ProvisionError, UserError
from provision.host.engine import Engine, engine_environment, find_engine, pulumi_home

Command = Literal["preview", "up", "refresh", "destroy"]
UNCHANGED_OPS = frozenset({"same", "read", "refresh"})


@dataclass(frozen=True)
class ResourceStep:
    """One step on one resource, as the engine reports it.

    Attributes:
        phase: `started`, `done` or `failed`.
        op: Pulumi's operation: create, update, delete, replace, same, …
        urn: of the resource.
        paths: property paths that change.
    """

    phase: Literal["started", "done", "failed"]
    op: str
    urn: str
    paths: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """Type token, without those of its parents."""
        return self.urn.split("::")[2].split("$")[-1]

    @property
    def name(self) -> str:
        """Pulumi's name of the resource."""
        return self.urn.split("::")[3]


@dataclass(frozen=True)
class Message:
    """Something that the engine, the language host or a plugin said."""

    severity: str
    text: str
    urn: str = ""
    ephemeral: bool = False


@dataclass
class RunResult:
    """What a run did."""

    succeeded: bool
    changes: dict[str, int] = field(default_factory=dict)
    steps: list[ResourceStep] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def changed(self) -> int:
        """How many resources changed, or would."""
        return sum(count for op, count in self.changes.items() if op not in UNCHANGED_OPS)


class EngineFailed(ProvisionError):
    """The engine ended with a failure that it has already explained in its messages."""


class Workspace:
    """One Pulumi stack of one project folder."""

    def __init__(self, directory: Path, stack: str, engine: Engine, *, create: bool) -> None:
        """Select the stack, making it when `create` is set.

        Raises:
            UserError: the folder is no project, or the stack does not exist.
            EnvironmentProblem: the backend cannot be used.
        """
        self.directory, self.stack_name = directory, stack
        self.environment = _backend(engine_environment(os.environ, engine.path), directory)
        os.environ.update(self.environment)
        options = auto.LocalWorkspaceOptions(work_dir=str(directory), env_vars=self.environment)
        try:
            if create:
                self._stack = auto.create_or_select_stack(stack, work_dir=str(directory), opts=options)
            else:
                self._stack = auto.select_stack(stack, work_dir=str(directory), opts=options)
        except auto.StackNotFoundError as error:
            raise UserError(
                f"there is no Pulumi stack '{stack}' here", "run `provision up`, or name one with --stack"
            ) from error
        except auto.CommandError as error:
            raise EnvironmentProblem(
                f"the Pulumi backend refused: {_last_line(str(error))}", "check `pulumi whoami -v` and the passphrase"
            ) from error

    @property
    def project(self) -> str:
        """Name of the Pulumi project."""
        return str(self._stack.workspace.project_settings().name)

    def config(self) -> Mapping[str, auto.ConfigValue]:
        """The stack's configuration; secret values are marked."""
        return self._stack.get_all_config()

    def export(self) -> dict[str, Any]:
        """The stack's state, with secrets encrypted."""
        return dict(json.loads(json.dumps(self._stack.export_stack().deployment or {})))

    def outputs(self) -> dict[str, Any]:
        """The outputs of the stack; secret ones are replaced by `[secret]`."""
        return {name: "[secret]" if out.secret else out.value for name, out in self._stack.outputs().items()}

    def run(
        self,
        command: Command,
        on_event: Callable[[ResourceStep | Message], None] = lambda event: None,
        *,
        parallel: int | None = None,
    ) -> RunResult:
        """Run one engine operation to its end; what it says goes to `on_event` as it happens.

        A first interrupt lets operations that are under way finish and be recorded; a second one abandons them.
        """
        result = RunResult(succeeded=True)
        lock = threading.Lock()

        def take(event: EngineEvent) -> None:
            for item in _translate(event):
                with lock:
                    (result.steps if isinstance(item, ResourceStep) else result.messages).append(item)  # type: ignore[arg-type]
                    on_event(item)
            if event.summary_event:
                result.changes = {
                    str(getattr(op, "value", op)): n for op, n in event.summary_event.resource_changes.items()
                }
                result.seconds = float(event.summary_event.duration_seconds)

        options: dict[str, Any] = {"on_event": take, "suppress_outputs": True, "parallel": parallel}
        try:
            with _interrupts_go_to_the_engine():
                try:
                    self._operate(command, options)
                except auto.ConcurrentUpdateError as error:
                    self._remove_stale_lock(error)
                    on_event(Message("warning", "removed the lock of an earlier run that was killed on this machine"))
                    self._operate(command, options)
        except auto.CommandError as error:
            result.succeeded = False
            if not any(m.severity == "error" for m in result.messages):
                result.messages.append(Message("error", _last_line(str(error))))
                on_event(result.messages[-1])
        return result

    def _operate(self, command: Command, options: Mapping[str, Any]) -> None:
        match command:
            case "preview":
                self._stack.preview(**options)
            case "up":
                self._stack.up(**options, show_secrets=False)
            case "refresh":
                self._stack.refresh(**options, show_secrets=False)
            case "destroy":
                self._stack.destroy(**options, show_secrets=False)

    def _remove_stale_lock(self, error: auto.ConcurrentUpdateError) -> None:
        """Remove the locks of the stack when every one is of a process of this machine that no longer runs.

        Raises:
            UserError: a lock may be in use.
        """
        holders = _LOCK.findall(str(error))
        stale = bool(holders) and all(
            host == socket.gethostname() and not Path(f"/proc/{pid}").exists() for _, host, pid in holders
        )
        if not stale:
            who = ", ".join(f"{user}@{host}, process {pid}" for user, host, pid in holders) or "another run"
            raise UserError(
                f"the stack is locked by {who}",
                "wait for that run to end; if it is gone for good, `pulumi cancel` removes its lock",
            ) from error
        self._stack.cancel()


_LOCK = re.compile(r"created by (\S+)@(\S+) \(pid (\d+)\)")


def require_engine() -> Engine:
    """The engine.

    Raises:
        EnvironmentProblem: there is none.
    """
    engine = find_engine()
    if engine is None:
        raise EnvironmentProblem("the Pulumi engine is not installed", "run `provision setup`")
    return engine


def open_workspace(directory: Path, stack: str | None, *, create: bool = False) -> Workspace:
    """The workspace of a project folder.

    Args:
        directory: folder with Pulumi.yaml.
        stack: name of the Pulumi stack; default: PULUMI_STACK, else `dev`.
        create: make the stack when it does not exist.

    Raises:
        UserError: the folder is no project.
        EnvironmentProblem: no engine, or a backend that cannot be used.
    """
    if not (directory / "Pulumi.yaml").is_file():
        raise UserError(
            f"{directory} is no Pulumi project: it has no Pulumi.yaml",
            "go to the folder of the stack, or write a Pulumi.yaml with `name: …` and `runtime: provision`",
        )
    return Workspace(directory, stack or os.environ.get("PULUMI_STACK") or "dev", require_engine(), create=create)


def _backend(environment: dict[str, str], directory: Path) -> dict[str, str]:
    """Add what the backend needs when the person has chosen none: state in the home folder."""
    if "PULUMI_BACKEND_URL" not in environment and "PULUMI_ACCESS_TOKEN" not in environment:
        try:
            chosen = json.loads((pulumi_home(environment) / "credentials.json").read_text()).get("current")
        except (OSError, ValueError):
            chosen = None
        if not chosen and "backend:" not in (directory / "Pulumi.yaml").read_text():
            environment["PULUMI_BACKEND_URL"] = "file://~"
    url = environment.get("PULUMI_BACKEND_URL", "")
    secret = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
    if url and not url.startswith("http") and not any(name in environment for name in secret):
        settings = "".join(path.read_text() for path in directory.glob("Pulumi.*.yaml"))
        if "secretsprovider: passphrase" in settings or "secretsprovider:" not in settings:
            raise UserError(
                "the state is kept with a passphrase, and none is set",
                "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE (an empty one is allowed)",
            )
    return environment


def _translate(event: EngineEvent) -> Iterator[ResourceStep | Message]:
    for phase, holder in (
        ("started", event.resource_pre_event),
        ("done", event.res_outputs_event),
        ("failed", event.res_op_failed_event),
    ):
        if holder is not None:
            data = holder.metadata
            paths = tuple(data.detailed_diff or data.diffs or ())
            yield ResourceStep(phase, str(getattr(data.op, "value", data.op)), data.urn, paths)  # type: ignore[arg-type]
    if (said := event.diagnostic_event) is not None:
        text = _plain(said.message).strip()
        if text:
            yield Message(str(said.severity), text, said.urn or "", bool(said.ephemeral))


def _plain(text: str) -> str:
    """Without the engine's colour marks."""
    return re.sub(r"<\{%[^%]*%\}>", "", text)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in _plain(text).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["no message"])[-1].removeprefix("error: ").removeprefix("stderr: ")


@contextmanager
def _interrupts_go_to_the_engine() -> Iterator[None]:
    """Let the engine decide what an interrupt means; it ends in order, and so do we after it.

    In a terminal the engine gets the signal itself, being of the same process group; otherwise it is passed on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: object) -> None:
        if number == signal.SIGINT and os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp():
            return
        for child in _children():
            os.kill(child, signal.SIGINT)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _children() -> list[int]:
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        try:
            found += [int(pid) for pid in (task / "children").read_text().split()]
        except OSError:
            continue
    return found
