"""A stack as its file and configuration say it, whether or not anything of it is deployed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provision.diagnostics import DiagnosticSink
from provision.host.automation import Workspace, open_workspace
from provision.host.deploying.configuration import FRAMEWORK, Config, by_namespace, chosen_platform
from provision.host.deploying.stack import ask, location_config
from provision.host.rules import configured_rules
from provision.loader import Loaded, load, reference_stacks
from provision.loader.rule_files import CONFIGURED
from provision.translate import AssignedAddress, Scope, at_once, place
from provision.verify import read_state
from provision.verify.proof import Part, planned


def configuration(workspace: Workspace) -> Config:
    """What is configured, by namespace and key."""
    found = workspace.config()
    return by_namespace(
        {key: item.value for key, item in found.items()}, [key for key, item in found.items() if item.secret]
    )


def named_rules(config: Config) -> tuple[str, ...]:
    """The rules files that the configuration names."""
    value = config.get(FRAMEWORK, {}).get(CONFIGURED)
    return configured_rules(value if isinstance(value, str) else None)


def load_configured(
    directory: Path,
    workspace: Workspace,
    config: Config,
    platform: str | None = None,
    drafts: Mapping[Path, str] = {},
) -> Loaded:
    """The stack file with the parameters, overlay and platform of a Pulumi stack, and what other stacks export now.

    Args:
        directory: folder of the stack file.
        workspace: the Pulumi stack.
        config: its configuration.
        platform: wins over the configured one.
        drafts: texts of files that are not written yet.
    """
    values = config.get(workspace.project, {})
    stacks = reference_stacks(directory, workspace.stack_name, values=values)
    return load(
        directory,
        overlay=workspace.stack_name,
        values=values,
        references={name: workspace.outputs_of(stack) for name, stack in stacks.items()},
        platform=platform or chosen_platform(config),
        drafts=drafts,
    )


@dataclass(frozen=True)
class Planned:
    """A stack as it would be made.

    Attributes:
        loaded: its file.
        config: its configuration.
        recorded: addresses that its interfaces have already.
        parts: what its translation makes, by location.
    """

    loaded: Loaded
    config: Config
    recorded: Mapping[str, AssignedAddress]
    parts: Sequence[Part]


def planned_configured(directory: Path, stack: str | None) -> Planned:
    """What the translation of a stack makes; machines that exist keep their addresses.

    Raises:
        ProvisionError: the file has errors, or its platform cannot be reached or does not agree to it.
    """
    workspace = open_workspace(directory.resolve(), stack, create=True)  # as a preview does
    config = configuration(workspace)
    loaded = load_configured(directory, workspace, config)
    parts = place(loaded.stack, DiagnosticSink(loaded.source_map))
    asked = at_once(lambda placed: ask(placed, location_config(placed, parts, config)), parts)
    sites = {placed.location: (provider, capabilities) for placed, provider, capabilities in asked}
    provider, capabilities = next(iter(sites.values()))
    recorded = read_state(workspace.export()).recorded
    scope = Scope(workspace.project, workspace.stack_name, str(loaded.directory))
    return Planned(loaded, config, recorded, planned(loaded, provider, capabilities, scope, recorded, sites))
