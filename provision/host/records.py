"""What the engine keeps of one stack, by Pulumi's Automation API: everything that is asked of it but runs.

Importing the API costs a fifth of a second, so this module is imported when it is needed; a plain run needs it not.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pulumi.automation as auto
from pulumi.automation.errors import create_command_error
from pydantic import SecretStr
from semver import VersionInfo

from provision.errors import UserError
from provision.host.explain import explained
from provision.host.interrupted import without_settled
from provision.host.locks import Lock, locks_in
from provision.host.process import EngineCommand, EngineFailed, is_locked
from provision.host.running import Runs


class ApiCommand(auto.PulumiCommand):
    """The engine as the Automation API runs it: as every other run of ours, with the API's own failures."""

    def __init__(self, engine: EngineCommand) -> None:
        """Run `engine`; its version is known, so that it need not be asked."""
        self.command = str(engine.engine.path)
        self.version = VersionInfo.parse(engine.engine.version)
        self._engine = engine

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], object] | None = None,
        on_error: Callable[[str], object] | None = None,
    ) -> auto.CommandResult:
        """Run one engine command to its end.

        Raises:
            pulumi.automation.CommandError: it failed.
        """
        try:
            said = self._engine.run(args, cwd, additional_env, on_output, on_error)
        except EngineFailed as error:
            said = error.said
        result = auto.CommandResult(said.stdout, said.stderr, said.code)
        if said.code:
            raise create_command_error(result)
        return result


class _Known(auto.Stack):
    """A stack that is taken to exist: the engine is not started to ask, and what plain `pulumi` has selected stays."""

    def __init__(self, name: str, workspace: auto.Workspace) -> None:
        self.name, self.workspace = name, workspace


class Records:
    """The records of one stack."""

    def __init__(self, runs: Runs, secrets_provider: str | None = None) -> None:
        """Of the stack of these runs; when it is made, that is to keep its secrets, by default a passphrase."""
        self._name = runs.stack
        self._workspace = auto.LocalWorkspace(
            work_dir=str(runs.directory),
            env_vars=dict(runs.environment),
            secrets_provider=secrets_provider,
            pulumi_command=ApiCommand(runs.engine),
        )
        self._stack: auto.Stack = _Known(self._name, self._workspace)

    def select(self, *, create: bool) -> None:
        """See that the stack exists, and select it for plain `pulumi` commands too; make it when `create` is set.

        Raises:
            UserError: it does not exist.
            EnvironmentProblem: the backend cannot be used.
        """
        with _explained():
            try:
                self._workspace.select_stack(self._name)
            except auto.StackNotFoundError:
                if not create:
                    raise UserError(
                        f"there is no Pulumi stack '{self._name}' here", "run `provision up`, or name one with --stack"
                    ) from None
                self._workspace.create_stack(self._name)

    def config(self) -> Mapping[str, auto.ConfigValue]:
        """The stack's configuration; secret values are marked.

        Raises:
            ProvisionError: it cannot be read, such as for a wrong passphrase.
        """
        with _explained():
            return self._stack.get_all_config()

    def outputs_of(self, stack: str) -> Mapping[str, Any]:
        """What another stack exports, which may be of another project; secrets as `SecretStr`.

        Raises:
            ProvisionError: there is no such stack, or it cannot be read.
        """
        with _explained():
            found = self._workspace.stack_outputs(stack)
        return {name: SecretStr(str(out.value)) if out.secret else out.value for name, out in found.items()}

    def export(self) -> dict[str, Any]:
        """The stack's state, with secrets encrypted.

        Raises:
            ProvisionError: it cannot be read.
        """
        with _explained():
            return dict(json.loads(json.dumps(self._stack.export_stack().deployment or {})))

    def forget_pending(self) -> None:
        """Take the pending operations of our resources off the record, after a run that settled them.

        When another run has begun meanwhile they are left: what it finds in the record is settled all the same.

        Raises:
            ProvisionError: the state cannot be read or written.
        """
        with _explained():
            state = self._stack.export_stack()
            deployment = without_settled(state.deployment or {})
            if deployment is not None:
                try:
                    self._stack.import_stack(auto.Deployment(version=state.version, deployment=deployment))
                except auto.CommandError as error:
                    if not is_locked(str(error)):
                        raise

    def locks(self) -> list[Lock]:
        """The locks on the stack.

        The engine has no command that lists them. One that renames the stack to what it is called takes the lock, finds
        that there is such a stack, and ends; where it cannot have the lock it says who has.

        Raises:
            UserError: the state is kept by a service, which knows of runs, not of locks.
            ProvisionError: the backend cannot be used.
        """
        with _explained():
            url = self._workspace.env_vars.get("PULUMI_BACKEND_URL") or self._workspace.who_am_i().url or ""
            if url.startswith("http"):
                raise UserError(
                    "the state is kept by a service, which has no locks that could be left",
                    "look at the stack's page there; `pulumi cancel` ends its run",
                )
            try:
                self._workspace.pulumi_command.run(
                    ["stack", "rename", self._name, "--stack", self._name],
                    self._workspace.work_dir,
                    self._workspace.env_vars,
                )
            except auto.CommandError as error:
                if is_locked(str(error)):
                    return locks_in(str(error))
                if "already exists" not in str(error):
                    raise
        return []

    def cancel(self) -> None:
        """Remove the locks of the stack.

        Raises:
            ProvisionError: that is not possible.
        """
        with _explained():
            self._stack.cancel()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except auto.CommandError as error:
        raise explained(str(error)) from error
