"""A stack as its file and configuration say it, whether or not anything of it is deployed."""

from pathlib import Path

from pydantic import SecretStr

from provision.diagnostics import DiagnosticSink
from provision.host.automation import Workspace, open_workspace
from provision.host.deploying.configuration import FRAMEWORK, Config, ConfigValue, provider_config
from provision.loader import Loaded, load
from provision.spi import registry
from provision.translate import AssignedAddress, Scope, place
from provision.verify import read_state
from provision.verify.proof import Proof, prove_planned


def configuration(workspace: Workspace) -> Config:
    """What is configured, by namespace and key."""
    found: dict[str, dict[str, ConfigValue]] = {}
    for key, item in workspace.config().items():
        namespace, _, name = key.partition(":")
        found.setdefault(namespace, {})[name] = SecretStr(item.value) if item.secret else item.value
    return found


def load_configured(directory: Path, workspace: Workspace, platform: str | None = None) -> Loaded:
    """The stack file with the parameters, overlay and platform of a Pulumi stack.

    Args:
        directory: folder of the stack file.
        workspace: the Pulumi stack.
        platform: wins over the configured one.
    """
    config = configuration(workspace)
    chosen = config.get(FRAMEWORK, {}).get("platform")
    text = chosen.get_secret_value() if isinstance(chosen, SecretStr) else chosen
    return load(
        directory,
        overlay=workspace.stack_name,
        values=config.get(workspace.project, {}),
        platform=platform or text,
    )


def prove_configured(directory: Path, stack: str | None) -> Proof:
    """Prove that the translation of a stack says what its file says; machines that exist keep their addresses.

    Raises:
        ProvisionError: the file has errors, or its platform cannot be reached or does not agree to it.
    """
    workspace = open_workspace(directory.resolve(), stack, create=True)  # as a preview does
    loaded = load_configured(directory, workspace)
    placed = place(loaded.stack, DiagnosticSink(loaded.source_map))[0]
    provider = registry.load(placed.platform)
    settings = configuration(workspace).get(f"{FRAMEWORK}-{provider.name}", {})
    session = provider.connect(provider_config(provider, placed.config, settings).model)
    try:
        capabilities = provider.capabilities(session)
    finally:
        provider.disconnect(session)
    recorded = {
        key: AssignedAddress(mac=item.mac, ipv4=item.ipv4, ipv6=item.ipv6)
        for key, item in read_state(workspace.export()).assigned.items()
    }
    scope = Scope(workspace.project, workspace.stack_name, str(loaded.directory))
    return prove_planned(loaded, provider, capabilities, scope, recorded)
