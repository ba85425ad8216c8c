"""A deployed stack as commands need it: its state, its plugin, and a session with its platform."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

from pydantic import SecretStr, ValidationError

from provision.errors import ProvisionError, UserError
from provision.host.automation import Workspace, open_workspace
from provision.models.stack import DEFAULT_LOCATION
from provision.spi import DeployedMachine, Provider, registry
from provision.translate import at_once
from provision.verify import HIDDEN, DeployedLocation, DeployedStack, read_state
from provision.verify.places import Places, Site

_RESTS = 5.0
"""A location that could not be reached is left alone for so many times as long as that took to be known."""


@dataclass(frozen=True)
class Part:
    """What of a stack is at one location: its plugin and session, and the machines there."""

    location: str
    provider: Provider[Any, Any]
    session: Any
    machines: list[DeployedMachine]


@dataclass(frozen=True)
class Deployed:
    """What `open_deployed` gives.

    Attributes:
        workspace: the Pulumi stack.
        stack: what its state says.
        provider: the plugin of the first location.
        session: its session.
        sites: of a stack in several locations, plugin and session of each; opened when they are first looked up.
        away: locations that could not be reached, and why; only where a part of the stack was enough.
    """

    workspace: Workspace
    stack: DeployedStack
    provider: Provider[Any, Any]
    session: Any
    sites: "_Sites | None" = None
    away: Mapping[str, ProvisionError] = field(default_factory=dict)

    @property
    def reached(self) -> Places | None:
        """Plugin and session of each location that is not `away`."""
        return self.sites and {name: self.sites[name] for name in self.sites if name not in self.away}

    def of(self, machine: str) -> Site:
        """Plugin and session of the location of a machine.

        Raises:
            UserError: there is no such machine.
            EnvironmentProblem: the platform cannot be reached.
        """
        self.machine(machine)
        if self.sites is None:
            return self.provider, self.session
        return self.sites[self.stack.location_of(machine)]

    def parts(self) -> tuple[list[Part], Mapping[str, ProvisionError]]:
        """What is at every location that can be reached now, and why the others cannot be.

        Raises:
            ProvisionError: the only location cannot be reached.
        """
        if self.sites is None or len(self.sites) < 2:
            location = next(iter(self.sites or self.stack.locations), DEFAULT_LOCATION)
            return [Part(location, self.provider, self.session, list(self.stack.machines.values()))], {}
        away = self.sites.reach()
        return [
            Part(location, *self.sites[location], self.machines_at(location))
            for location in self.sites
            if location not in away
        ], away

    def machines_at(self, location: str) -> list[DeployedMachine]:
        """The machines of one of several locations."""
        return [one for one in self.stack.machines.values() if self.stack.location_of(one.name) == location]

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


class _Sites(Mapping[str, Site]):
    """The locations of a stack; a session is opened when it is first asked for, so that one host may be away."""

    def __init__(self, workspace: Workspace, stack: DeployedStack) -> None:
        self._workspace = workspace
        self._stack = stack
        self._open: dict[str, Site] = {}
        self._locks = {location: Lock() for location in stack.locations}
        self._away: dict[str, tuple[ProvisionError, float]] = {}

    def __getitem__(self, location: str) -> Site:
        with self._locks[location]:
            if location not in self._open:
                provider = registry.load(self._stack.locations[location].platform)
                try:
                    settings = _settings(self._workspace, self._stack.locations[location], provider)
                    self._open[location] = provider, provider.connect(settings)
                except ProvisionError as error:
                    if len(self) > 1:
                        error.summary = f"location '{location}': {error.summary}"
                    raise
            return self._open[location]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stack.locations)

    def __len__(self) -> int:
        return len(self._stack.locations)

    def reach(self) -> Mapping[str, ProvisionError]:
        """Open a session with every location, all at once; gives those that cannot be reached, and why."""
        names = list(self)
        return {name: error for name, error in zip(names, at_once(self._try, names), strict=True) if error is not None}

    def _try(self, location: str) -> ProvisionError | None:
        error, until = self._away.get(location, (None, 0.0))
        began = time.monotonic()
        if error is not None and began < until:
            return error
        try:
            self[location]
        except ProvisionError as failure:
            now = time.monotonic()
            self._away[location] = failure, now + _RESTS * (now - began)
            return failure
        self._away.pop(location, None)
        return None

    def close(self) -> None:
        """End all sessions."""
        for provider, session in self._open.values():
            provider.disconnect(session)


@contextmanager
def open_deployed(
    directory: Path, stack: str | None, *, machine: str | None = None, partly: bool = False
) -> Iterator[Deployed]:
    """Read the state of a stack and connect to the platforms on which it was deployed.

    Args:
        directory: folder of the stack file.
        stack: name of the Pulumi stack; None for the selected one.
        machine: of a stack in several locations only that of this machine is to be reached.
        partly: it is enough to reach one of several locations.

    Raises:
        UserError: no such stack, or nothing is deployed.
        EnvironmentProblem: the engine or a platform cannot be reached; with `partly` no platform can.
    """
    workspace = open_workspace(directory.resolve(), stack)
    export = workspace.export()
    deployed = read_state(export)
    if not deployed.platform:
        raise UserError(f"nothing of stack '{workspace.stack_name}' is deployed", "run `provision up` first")
    kinds = {one.platform: registry.load(one.platform).resource_types for one in deployed.locations.values()}
    deployed = read_state(export, kinds or registry.load(deployed.platform).resource_types)
    if not deployed.locations:  # left by a run that was killed at its very beginning
        deployed = replace(deployed, locations={DEFAULT_LOCATION: DeployedLocation(deployed.platform)})
    sites = _Sites(workspace, deployed)
    try:
        away = sites.reach() if partly else {}
        reached = [location for location in sites if location not in away]
        if not reached:
            raise next(iter(away.values()))
        first = deployed.location_of(machine or "") or reached[0]
        yield Deployed(workspace, deployed, *sites[first], sites, away)
    finally:
        sites.close()


def _settings(workspace: Workspace, location: DeployedLocation, provider: Provider[Any, Any]) -> Any:
    """The configuration with which a location was deployed; secrets come from what is configured now."""
    config = dict(location.provider_config)
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
        return provider.Config.model_validate(config)
    except ValidationError as error:
        names = ", ".join(sorted(str(e["loc"][0]) for e in error.errors()))
        raise UserError(
            f"the state holds configuration of '{provider.name}' that its plugin does not take: {names}",
            "install the plugin version that deployed the stack, or run `provision up` with this one",
        ) from None
