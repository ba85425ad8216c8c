"""A deployed stack as commands need it: its state, its plugin, and a session with its platform."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from provision.errors import UserError
from provision.host.automation import Workspace, open_workspace
from provision.spi import DeployedMachine, Provider, registry
from provision.verify import HIDDEN, DeployedStack, read_state


@dataclass(frozen=True)
class Deployed:
    """What `open_deployed` gives."""

    workspace: Workspace
    stack: DeployedStack
    provider: Provider[Any, Any]
    session: Any

    def machine(self, name: str) -> DeployedMachine:
        """The machine of that name.

        Raises:
            UserError: there is none; the message guesses which was meant.
        """
        if name in self.stack.machines:
            return self.stack.machines[name]
        from difflib import get_close_matches

        close = get_close_matches(name, self.stack.machines, 1)
        known = ", ".join(sorted(self.stack.machines)) or "none is deployed"
        raise UserError(
            f"there is no machine called '{name}'", f"did you mean '{close[0]}'?" if close else f"machines: {known}"
        )


@contextmanager
def open_deployed(directory: Path, stack: str | None) -> Iterator[Deployed]:
    """Read the state of a stack and connect to the platform on which it was deployed.

    Raises:
        UserError: no such stack, or nothing is deployed.
        EnvironmentProblem: the engine or the platform cannot be reached.
    """
    workspace = open_workspace(directory.resolve(), stack)
    export = workspace.export()
    deployed = read_state(export)
    if not deployed.platform:
        raise UserError(f"nothing of stack '{workspace.stack_name}' is deployed", "run `provision up` first")
    provider = registry.load(deployed.platform)
    deployed = read_state(export, provider.resource_types)
    config = dict(deployed.provider_config)
    hidden = [key for key, value in config.items() if value == HIDDEN]
    values = workspace.config() if hidden else {}
    for key in hidden:
        full = f"provision-{provider.name}:{provider.Config.model_fields[key].alias or key}"
        if full not in values:
            raise UserError(
                f"the secret setting '{full}' with which the stack was deployed is not configured any more",
                f"set it again: pulumi config set --secret {full}",
            )
        config[key] = SecretStr(values[full].value)
    try:
        settings = provider.Config.model_validate(config)
    except ValidationError as error:
        names = ", ".join(sorted(str(e["loc"][0]) for e in error.errors()))
        raise UserError(
            f"the state holds configuration of '{provider.name}' that its plugin does not take: {names}",
            "install the plugin version that deployed the stack, or run `provision up` with this one",
        ) from None
    session = provider.connect(settings)
    try:
        yield Deployed(workspace, deployed, provider, session)
    finally:
        provider.disconnect(session)
