"""What one run is asked to do: the engine's request, with the configuration sorted by whom it concerns."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.host.deploying.configuration import Config, ConfigValue, by_namespace, chosen_platform


@dataclass(frozen=True)
class Settings:
    """One run.

    Attributes:
        project: Pulumi project.
        stack: Pulumi stack; also the name of the overlay.
        path: the stack file or its folder.
        preview: whether nothing is to be changed.
        parallel: how many resources the engine handles at once.
        monitor: address of the engine's resource monitor.
        organization: that the stack belongs to at the backend; empty where there are none.
        config: configuration by namespace and key; what is secret is a `SecretStr`.
    """

    project: str
    stack: str
    path: Path
    preview: bool
    parallel: int
    monitor: str
    config: Config
    organization: str = ""

    @property
    def platform(self) -> str | None:
        """The platform that the configuration chooses."""
        return chosen_platform(self.config)

    @property
    def parameters(self) -> Mapping[str, ConfigValue]:
        """Values of the stack file's parameters: `pulumi config set NAME VALUE`."""
        return self.config.get(self.project, {})


def settings(request: Any) -> Settings:
    """Read a `RunRequest`."""
    folder = request.info.program_directory or request.pwd or "."
    entry = request.info.entry_point or request.program or "."
    return Settings(
        project=request.project,
        stack=request.stack,
        path=Path(folder) / entry,
        preview=request.dryRun,
        parallel=max(1, request.parallel),
        monitor=request.monitor_address,
        config=by_namespace(request.config, request.configSecretKeys),
        organization=request.organization,
    )
