"""A plugin's configuration, from the stack file and from what is configured, checked before anything is registered."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import SecretStr, ValidationError

from provision.errors import UserError
from provision.host.deploying.wire import wire_inputs
from provision.host.plugin.environment import with_environment
from provision.host.plugin.masking import Masker, secrets_in
from provision.host.plugin.shapes import record_of
from provision.host.plugin.wire import dump
from provision.host.values import SecretValue
from provision.spi import Output, Properties, Provider

ConfigValue = str | SecretStr
Config = Mapping[str, Mapping[str, ConfigValue]]
"""By namespace and key; what is secret is a `SecretStr`."""
FRAMEWORK = "provision"


def by_namespace(config: Mapping[str, str], secret: Sequence[str]) -> Config:
    """Sort the configuration that the engine hands over; `secret` are the keys of what is secret."""
    hidden = set(secret)
    found: dict[str, dict[str, ConfigValue]] = {}
    for key, value in config.items():
        namespace, _, name = key.partition(":")
        found.setdefault(namespace, {})[name] = SecretStr(value) if key in hidden else value
    return found


def chosen_platform(config: Config) -> str | None:
    """The platform that the configuration chooses."""
    chosen = config.get(FRAMEWORK, {}).get("platform")
    return chosen.get_secret_value() if isinstance(chosen, SecretStr) else chosen


@dataclass(frozen=True)
class ProviderConfig:
    """A plugin's configuration: validated for this process, and as the inputs of Pulumi's provider resource."""

    model: Properties
    inputs: Mapping[str, Any]

    def masker(self) -> Masker:
        """Hides what is secret in it."""
        return Masker((*secrets_in(dump(self.model)), *secrets_in(self.inputs)))


def provider_config(
    provider: Provider[Any, Any], from_file: Mapping[str, Any], configured: Mapping[str, ConfigValue]
) -> ProviderConfig:
    """Put the file's and the configured values together; the configured ones win, and both over the environment.

    Raises:
        UserError: a key is unknown, a value does not fit, or one is missing.
    """
    package = f"{FRAMEWORK}-{provider.name}"
    kind = provider.Config
    names = {spelling: name for name, field in kind.model_fields.items() for spelling in (name, field.alias or name)}
    values: dict[str, Any] = {}
    secret: set[str] = set()
    texts: list[str] = []
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
            texts.append(value)
        values[names[key]] = _parsed(value)
    given = {kind.model_fields[name].alias or name: value for name, value in values.items()}
    whole = with_environment(given, record_of(kind), os.environ)  # as the plugin's own process does
    texts += [value for alias, value in whole.items() if alias not in given and isinstance(value, str)]
    try:
        model = kind.model_validate(whole)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        alias = (kind.model_fields[names[name]].alias or name) if name in names else name
        command = f"pulumi config set {package}:{alias} VALUE"
        raise UserError(
            f"setting '{alias}' of platform '{provider.name}': {Masker(texts)(first['msg'])}", command
        ) from None
    inputs = wire_inputs(kind, {name: getattr(model, name) for name in values}, _no_output)
    for name in secret:
        alias = kind.model_fields[name].alias or name
        if alias in inputs and not isinstance(inputs[alias], SecretValue | SecretStr):
            inputs[alias] = SecretValue(inputs[alias])
    return ProviderConfig(model, inputs)


def without_written(
    configured: Mapping[str, Any], from_file: Mapping[str, Any], provider: Provider[Any, Any]
) -> dict[str, Any]:
    """What is configured without the settings that the file says itself, in whichever spelling."""
    names = {spelling: name for name, field in provider.Config.model_fields.items() for spelling in (name, field.alias)}
    written = {names.get(key, key) for key in from_file}
    return {key: value for key, value in configured.items() if names.get(key, key) not in written}


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
