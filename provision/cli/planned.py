"""A stack as its file and configuration say it, whether or not anything of it is deployed."""

from collections.abc import Sequence
from pathlib import Path

from provision.diagnostics import DiagnosticSink
from provision.host.automation import Workspace, open_workspace
from provision.host.deploying.configuration import Config, by_namespace, chosen_platform
from provision.host.deploying.stack import ask, location_config
from provision.loader import Loaded, load, reference_stacks
from provision.translate import Scope, at_once, place
from provision.verify import read_state
from provision.verify.proof import Part, planned


def configuration(workspace: Workspace) -> Config:
    """What is configured, by namespace and key."""
    found = workspace.config()
    return by_namespace(
        {key: item.value for key, item in found.items()}, [key for key, item in found.items() if item.secret]
    )


def load_configured(directory: Path, workspace: Workspace, config: Config, platform: str | None = None) -> Loaded:
    """The stack file with the parameters, overlay and platform of a Pulumi stack, and what other stacks export now.

    Args:
        directory: folder of the stack file.
        workspace: the Pulumi stack.
        config: its configuration.
        platform: wins over the configured one.
    """
    values = config.get(workspace.project, {})
    stacks = reference_stacks(directory, workspace.stack_name, values=values)
    return load(
        directory,
        overlay=workspace.stack_name,
        values=values,
        references={name: workspace.outputs_of(stack) for name, stack in stacks.items()},
        platform=platform or chosen_platform(config),
    )


def planned_configured(directory: Path, stack: str | None) -> Sequence[Part]:
    """What the translation of a stack makes, by location; machines that exist keep their addresses.

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
    return planned(loaded, provider, capabilities, scope, recorded, sites)
