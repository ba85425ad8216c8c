"""A stack as its file and configuration say it, whether or not anything of it is deployed."""

from pathlib import Path

from provision.diagnostics import DiagnosticSink
from provision.host.automation import Workspace, open_workspace
from provision.host.deploying.configuration import FRAMEWORK, Config, by_namespace, chosen_platform, provider_config
from provision.loader import Loaded, load
from provision.spi import registry
from provision.translate import Scope, place
from provision.verify import read_state
from provision.verify.proof import Proof, prove_planned


def configuration(workspace: Workspace) -> Config:
    """What is configured, by namespace and key."""
    found = workspace.config()
    return by_namespace(
        {key: item.value for key, item in found.items()}, [key for key, item in found.items() if item.secret]
    )


def load_configured(directory: Path, workspace: Workspace, config: Config, platform: str | None = None) -> Loaded:
    """The stack file with the parameters, overlay and platform of a Pulumi stack.

    Args:
        directory: folder of the stack file.
        workspace: the Pulumi stack.
        config: its configuration.
        platform: wins over the configured one.
    """
    return load(
        directory,
        overlay=workspace.stack_name,
        values=config.get(workspace.project, {}),
        platform=platform or chosen_platform(config),
    )


def prove_configured(directory: Path, stack: str | None) -> Proof:
    """Prove that the translation of a stack says what its file says; machines that exist keep their addresses.

    Raises:
        ProvisionError: the file has errors, or its platform cannot be reached or does not agree to it.
    """
    workspace = open_workspace(directory.resolve(), stack, create=True)  # as a preview does
    config = configuration(workspace)
    loaded = load_configured(directory, workspace, config)
    placed = place(loaded.stack, DiagnosticSink(loaded.source_map))[0]
    provider = registry.load(placed.platform)
    settings = config.get(f"{FRAMEWORK}-{provider.name}", {})
    session = provider.connect(provider_config(provider, placed.config, settings).model)
    try:
        capabilities = provider.capabilities(session)
    finally:
        provider.disconnect(session)
    recorded = read_state(workspace.export()).recorded
    scope = Scope(workspace.project, workspace.stack_name, str(loaded.directory))
    return prove_planned(loaded, provider, capabilities, scope, recorded)
