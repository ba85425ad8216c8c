"""What one run is asked to do: the engine's request, with the configuration sorted by whom it concerns."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from provision.errors import UserError
from provision.host.language.wire import wire_inputs
from provision.host.values import SecretValue
from provision.spi import Output, Properties, Provider

ConfigValue = str | SecretStr
FRAMEWORK = "provision"


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
        config: configuration by namespace and key; what is secret is a `SecretStr`.
    """

    project: str
    stack: str
    path: Path
    preview: bool
    parallel: int
    monitor: str
    config: Mapping[str, Mapping[str, ConfigValue]]

    @property
    def platform(self) -> str | None:
        """The platform that the configuration chooses."""
        chosen = self.config.get(FRAMEWORK, {}).get("platform")
        return chosen.get_secret_value() if isinstance(chosen, SecretStr) else chosen

    @property
    def parameters(self) -> Mapping[str, ConfigValue]:
        """Values of the stack file's parameters: `pulumi config set NAME VALUE`."""
        return self.config.get(self.project, {})


def settings(request: Any) -> Settings:
    """Read a `RunRequest`."""
    secret = set(request.configSecretKeys)
    config: dict[str, dict[str, ConfigValue]] = {}
    for key, value in request.config.items():
        namespace, _, name = key.partition(":")
        config.setdefault(namespace, {})[name] = SecretStr(value) if key in secret else value
    folder = request.info.program_directory or request.pwd or "."
    entry = request.info.entry_point or request.program or "."
    return Settings(
        project=request.project,
        stack=request.stack,
        path=Path(folder) / entry,
        preview=request.dryRun,
        parallel=max(1, request.parallel),
        monitor=request.monitor_address,
        config=config,
    )


@dataclass(frozen=True)
class ProviderConfig:
    """A plugin's configuration: validated for this process, and as the inputs of Pulumi's provider resource."""

    model: Properties
    inputs: Mapping[str, Any]


def provider_config(
    provider: Provider[Any, Any], from_file: Mapping[str, Any], configured: Mapping[str, ConfigValue]
) -> ProviderConfig:
    """Put the file's and the configured values together; the configured ones win.

    Raises:
        UserError: a key is unknown, a value does not fit, or one is missing.
    """
    package = f"{FRAMEWORK}-{provider.name}"
    kind = provider.Config
    names = {spelling: name for name, field in kind.model_fields.items() for spelling in (name, field.alias or name)}
    values: dict[str, Any] = {}
    secret: set[str] = set()
    for key, value in {**from_file, **configured}.items():
        if key not in names:
            close = get_close_matches(key, names, 1)
            raise UserError(
                f"platform '{provider.name}' has no setting '{key}'",
                (f"did you mean '{close[0]}'? " if close else "") + f"remove it: pulumi config rm {package}:{key}",
            )
        if isinstance(value, SecretStr):
            secret.add(names[key])
            value = value.get_secret_value()
        values[names[key]] = _parsed(value)
    try:
        model = kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        alias = (kind.model_fields[names[name]].alias or name) if name in names else name
        command = f"pulumi config set {package}:{alias} VALUE"
        raise UserError(f"setting '{alias}' of platform '{provider.name}': {first['msg']}", command) from None
    given = {name: getattr(model, name) for name in values}
    inputs = wire_inputs(kind, given, _no_output)
    for name in secret:
        alias = kind.model_fields[name].alias or name
        if alias in inputs and not isinstance(inputs[alias], SecretValue | SecretStr):
            inputs[alias] = SecretValue(inputs[alias])
    return ProviderConfig(model, inputs)


def _parsed(value: Any) -> Any:
    """Objects and lists come from Pulumi's configuration as JSON."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _no_output(output: Output) -> Any:
    raise AssertionError(f"configuration refers to {output}")
