"""Drive the Pulumi engine on a stack's folder, as plain `pulumi` would.

The engine runs as a process of its own with the same backend, state and configuration as a person's `pulumi up`,
so both can be mixed freely.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING, Any

from provision.errors import EnvironmentProblem, UserError
from provision.host.ahead import may_hold_data
from provision.host.engine import Engine, engine_environment, find_engine, pulumi_home, remembered
from provision.host.events import Message, ResourceStep, downgraded, isolation_kept, stack_outputs, translate
from provision.host.explain import explained
from provision.host.interrupted import (
    PENDING,
    half_replaced,
    is_recorded,
    may_be_pending,
    mend_file_backend,
    pending_creates,
    uncertain,
    without_side_files,
)
from provision.host.permission import VARIABLE
from provision.host.process import EngineCommand, EngineFailed
from provision.host.project import RUNTIME, Project, read_project, stack_name
from provision.host.protected import may_be_protected, refuse_protected
from provision.host.result import Command, RunResult
from provision.host.running import Event, Runs
from provision.host.standby.expecting import expected_plugins

if TYPE_CHECKING:  # what is imported here every command pays for, also those that only start the engine
    from provision.host.locks import Lock, Turn
    from provision.host.records import Records

_REMOVALS = 3
"""So often a run removes what killed runs have left, before it says so instead."""


class Workspace:
    """One Pulumi stack of one project folder."""

    def __init__(
        self,
        project: Project,
        stack: str,
        engine: Engine,
        *,
        create: bool,
        allow_destroy: Sequence[str] = (),
        rules: Sequence[Path] = (),
    ) -> None:
        """Select the stack, making it when `create` is set; data may be destroyed of what `allow_destroy` names.

        `rules` are files of rules that hold for its runs, beside those that hold anyway.

        Raises:
            UserError: the stack does not exist.
            EnvironmentProblem: the backend cannot be used.
        """
        self._project = project
        self.project, self.stack_name = project.name, stack
        self._previewed = False
        environment = _backend(engine_environment(os.environ, engine.path), project, stack)
        if allow_destroy:
            environment[VARIABLE] = ",".join(allow_destroy)
        if rules:
            from provision.loader.rule_files import VARIABLE as RULES

            before = [text] if (text := environment.get(RULES)) else []
            environment[RULES] = os.pathsep.join([*(str(path.absolute()) for path in rules), *before])
        self._backend = environment.get("PULUMI_BACKEND_URL", "")
        if self._backend:
            mend_file_backend(self._backend, project.name)
            environment["PULUMI_BACKEND_URL"] = without_side_files(self._backend)
        expected = partial(expected_plugins, project, stack, self._backend)
        self._runs = Runs(EngineCommand(engine), project.directory, environment, stack, expected)
        if not (self._backend and is_recorded(self._backend, project.name, stack)):
            self._records.select(create=create)

    @cached_property
    def _records(self) -> "Records":
        from provision.host.records import Records

        manager = self._project.stack_settings(self.stack_name).get("secretsprovider")
        return Records(self._runs, manager if isinstance(manager, str) else None)

    def config(self) -> Mapping[str, Any]:
        """The stack's configuration (`pulumi.automation.ConfigValue`); secret values are marked.

        Raises:
            ProvisionError: it cannot be read, such as for a wrong passphrase.
        """
        return self._records.config()

    def outputs_of(self, stack: str) -> Mapping[str, Any]:
        """What another stack exports, which may be of another project; secrets as `SecretStr`.

        Raises:
            ProvisionError: there is no such stack, or it cannot be read.
        """
        return self._records.outputs_of(stack)

    def export(self) -> dict[str, Any]:
        """The stack's state, with secrets encrypted.

        Raises:
            ProvisionError: it cannot be read.
        """
        return self._records.export()

    def run(
        self,
        command: Command,
        on_event: Callable[[ResourceStep | Message], None] = lambda event: None,
        *,
        parallel: int | None = None,
        plan: Path | None = None,
        wait: float = 0.0,
        replace: Sequence[str] = (),
    ) -> RunResult:
        """Run one engine operation to its end; what it says goes to `on_event` as it happens.

        With `plan` a preview writes what the engine is going to do, and an update does nothing else. For another run on
        the same stack it waits so many seconds. A preview or an update makes anew what `replace` names. A first
        interrupt lets operations that are under way finish and be recorded; a second one abandons them.

        Raises:
            UserError: another run holds the stack; what is to be replaced is not there, or would lose its data.
            ProvisionError: the engine cannot do it.
        """
        result = RunResult(succeeded=True)
        pending = False
        lock = threading.RLock()

        def tell(item: ResourceStep | Message) -> None:
            with lock:
                if isinstance(item, ResourceStep):
                    result.steps.append(item)
                elif not item.ephemeral:
                    result.messages.append(item)
                on_event(item)

        def take(event: Event) -> None:
            nonlocal pending
            for item in translate(event):
                if isinstance(item, Message) and (found := PENDING.match(item.text)):
                    pending, item = True, Message("info", f"going on with {found[1]} objects of an interrupted run")
                tell(item)
            if (outputs := stack_outputs(event)) is not None:
                result.outputs = outputs
            if (weaker := downgraded(event)) is not None:
                result.downgraded = weaker
                result.isolation_kept = isolation_kept(event) and result.isolation_kept is not False
            if summary := event.get("summaryEvent"):
                result.changes = dict(summary.get("resourceChanges") or {})

        def interrupted(count: int, signal: Signals) -> None:
            result.interrupted = signal
            if count == 1:
                tell(Message("warning", "interrupted: waiting for what is under way; once more abandons it"))
            else:
                tell(Message("warning", "interrupted again: what is under way is abandoned; the next run takes it up"))

        if command in ("destroy", "preview-destroy"):
            self._refuse_protected()
        anew = self._chosen(replace, tell) if replace else ()
        try:
            with self._runs.engine.interruptible(interrupted):
                begun = time.time()
                turn = None
                while True:
                    if command == "up" and not self._previewed:
                        self._look_ahead(parallel, tell, anew)
                    try:
                        self._operate(command, take, parallel, plan, anew)
                        break
                    except EngineFailed as error:
                        if not error.locked:
                            raise
                        if turn is None:
                            from provision.host.locks import Turn

                            turn = Turn(wait, begun)
                        self._unlocked(error, turn, tell, lambda: bool(result.interrupted))
                        self._previewed = False  # whoever held it may have changed what was looked at
                if command != "up":
                    result.outputs = {}
                if pending and command in ("up", "destroy"):
                    self._records.forget_pending()
                self._previewed = command == "preview"
        except EngineFailed as error:
            result.succeeded, result.outputs = False, {}
            if not result.interrupted and not any(m.severity == "error" for m in result.messages):
                raise explained(str(error)) from error
        return result

    def _refuse_protected(self) -> None:
        if may_be_protected(self._backend, self.project, self.stack_name):
            refuse_protected(self.export())

    def _chosen(self, names: Sequence[str], tell: Callable[[Message], None]) -> Sequence[str]:
        """URNs of what is to be made anew; what is lost with it is told.

        Raises:
            UserError: a name names nothing, or data would be lost.
        """
        from provision.host.replacing import allowed, chosen, losing

        found = chosen(self.export(), names)
        for message in losing(found, allowed(self.config(), {**os.environ, **self._runs.environment})):
            tell(message)
        return [item.urn for item in found]

    def _look_ahead(self, parallel: int | None, tell: Callable[[Message], None], anew: Sequence[str] = ()) -> None:
        """Preview what a stack with data would become: what would destroy some is refused before anything is changed.

        Raises:
            EngineFailed: it was refused, or cannot be planned; the person has been told why.
        """
        if not may_hold_data(self._backend, self.project, self.stack_name):
            return
        said: list[Message] = []

        def take(event: Event) -> None:
            said.extend(item for item in translate(event) if isinstance(item, Message) and item.severity == "error")

        try:
            self._runs.run("preview", take, parallel=parallel, replace=anew)
        except EngineFailed:
            for message in said:
                tell(message)
            raise

    def _operate(
        self,
        command: Command,
        take: Callable[[Event], None],
        parallel: int | None,
        plan: Path | None,
        anew: Sequence[str],
    ) -> None:
        replace = anew
        if command == "up":
            left = self._interrupted()
            if doubtful := uncertain(left):
                self._runs.run("refresh", target=doubtful)
            replace = [*anew, *(urn for urn in half_replaced(left) if urn not in anew)]
        elif command == "destroy" and (targets := pending_creates(self._interrupted())):
            # What an interrupted run was making is in no record; once whole, it is removed like all else.
            with contextlib.suppress(EngineFailed):
                self._runs.run("up", target=targets)
        self._runs.run(command, take, parallel=parallel, replace=replace, plan=plan)

    def _interrupted(self) -> dict[str, Any]:
        """The state when a killed run left operations in it, else nothing."""
        return self.export() if may_be_pending(self._backend, self.project, self.stack_name) else {}

    def _unlocked(
        self, error: EngineFailed, turn: "Turn", tell: Callable[[Message], None], stopped: Callable[[], bool]
    ) -> None:
        """See that a run which was refused for locks may be tried again: remove those that were left, wait for others.

        Raises:
            UserError: another run holds the stack.
        """
        from provision.host.locks import Holder, locks_in, refusal, slept

        locks = locks_in(str(error))
        if locks and turn.removals < _REMOVALS and all(lock.holder is Holder.GONE for lock in locks):
            turn.removals += 1
            if self._remove(locks):
                tell(Message("warning", "removed the lock of an earlier run that was killed on this machine"))
            return
        pause = turn.pause(locks)
        if pause is not None:
            who = "; ".join(map(str, locks)) or "another run"
            tell(Message("info", f"waiting for the run that holds the stack: {who}", ephemeral=True))
        if pause is None or not slept(pause, stopped):
            raise refusal(locks) from error

    def locks(self) -> "list[Lock]":
        """The locks on the stack.

        Raises:
            UserError: the state is kept by a service, which knows of runs, not of locks.
            ProvisionError: the backend cannot be used.
        """
        return self._records.locks()

    def unlock(self, locks: "Sequence[Lock]", *, force: bool) -> bool:
        """Remove locks; False when others have come since.

        Raises:
            UserError: the run that made one goes on, or may go on elsewhere, unless `force` is set.
            ProvisionError: they cannot be removed.
        """
        from provision.host.locks import Holder, refusal

        if not force and (held := [lock for lock in locks if lock.holder is not Holder.GONE]):
            raise refusal(held)
        return self._remove(locks)

    def _remove(self, locks: "Sequence[Lock]") -> bool:
        from provision.host.locks import alone, remove

        with alone(self._backend, self.project, self.stack_name):
            return remove(locks, self._backend, self._records.locks, self._records.cancel)


def require_engine() -> Engine:
    """The engine.

    Raises:
        EnvironmentProblem: there is none.
    """
    engine = find_engine(ask=remembered)
    if engine is None:
        raise EnvironmentProblem("the Pulumi engine is not installed", "run `provision setup`")
    return engine


def open_workspace(
    directory: Path,
    stack: str | None,
    *,
    create: bool = False,
    allow_destroy: Sequence[str] = (),
    rules: Sequence[Path] = (),
) -> Workspace:
    """The workspace of a project folder.

    Args:
        directory: folder with Pulumi.yaml.
        stack: name of the Pulumi stack; default: PULUMI_STACK, else `dev`.
        create: make the stack when it does not exist.
        allow_destroy: machines and disks whose data the runs of this workspace may destroy.
        rules: files of rules that hold for its runs, beside those that hold anyway.

    Raises:
        UserError: the folder is no project.
        EnvironmentProblem: no engine, or a backend that cannot be used.
    """
    project = read_project(directory)
    if project.runtime != RUNTIME:
        raise UserError(
            f"{directory / 'Pulumi.yaml'} is a project of the runtime '{project.runtime}', not of a stack file",
            f"use `pulumi` for it, or go to a folder whose Pulumi.yaml says `runtime: {RUNTIME}`",
        )
    return Workspace(
        project, stack_name(stack), require_engine(), create=create, allow_destroy=allow_destroy, rules=rules
    )


def _backend(environment: dict[str, str], project: Project, stack: str) -> dict[str, str]:
    """Add what the backend needs when the person has chosen none: state in the home folder.

    Raises:
        UserError: the backend needs a passphrase, and none is set.
    """
    if "PULUMI_BACKEND_URL" not in environment and "PULUMI_ACCESS_TOKEN" not in environment:
        try:
            chosen = json.loads((pulumi_home(environment) / "credentials.json").read_text()).get("current")
        except (OSError, ValueError):
            chosen = None
        if not chosen and not project.backend:
            environment["PULUMI_BACKEND_URL"] = "file://~"
    url = environment.get("PULUMI_BACKEND_URL", "")
    passphrase = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
    if url and not url.startswith("http") and not any(name in environment for name in passphrase):
        manager = project.stack_settings(stack).get("secretsprovider", "passphrase")
        if manager == "passphrase":
            raise UserError(
                "the state is kept with a passphrase, and none is set",
                "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE (an empty one is allowed)",
            )
    return environment
