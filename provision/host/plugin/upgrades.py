"""Recorded state, brought to today's version of its resource type by numbered steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provision.errors import EnvironmentProblem, PluginError
from provision.host.plugin.masking import secrets_in
from provision.host.plugin.wire import public
from provision.host.values import SecretValue, plain
from provision.spi.resource import ResourceType, Stored

VERSION = "__schemaVersion"
"""Property that says which version of the resource type recorded the others; absent for version 0."""

APPLIED = "__appliedInputs"
"""Output that holds the inputs which are true of an object after only a part of a change was made.

The engine records the wanted inputs of an update that failed half-way, whatever the provider answers.
"""


@dataclass(frozen=True)
class Recorded:
    """What is recorded of an object, in today's version.

    Attributes:
        inputs: what is true of it, None when nothing was recorded.
        outputs: with the host's own properties.
        upgraded: whether it was recorded in another version.
    """

    inputs: dict[str, Any] | None
    outputs: dict[str, Any]
    upgraded: bool = False


def stamped(values: Mapping[str, Any], kind: type[ResourceType[Any, Any, Any]]) -> dict[str, Any]:
    """Values as they are recorded today."""
    return {**values, VERSION: kind.schema_version} if kind.schema_version else dict(values)


def recorded(
    kind: type[ResourceType[Any, Any, Any]],
    plugin: str,
    inputs: Mapping[str, Any] | None,
    outputs: Mapping[str, Any] | None,
) -> Recorded:
    """Bring what was recorded to today's version; None for what is not there.

    Raises:
        EnvironmentProblem: a newer release recorded it.
        PluginError: a step is missing or fails.
    """
    applied = plain((outputs or {}).get(APPLIED))
    if isinstance(applied, Mapping) and outputs is not None:
        inputs = {**outputs[APPLIED], VERSION: outputs.get(VERSION, 0)}
    halves = {
        name: (_version(values), dict(public(values)))
        for name, values in (("inputs", inputs), ("outputs", outputs))
        if values
    }
    versions = [version for version, _ in halves.values()]
    if max(versions, default=0) > kind.schema_version:
        raise EnvironmentProblem(
            f"the state of this {kind.token} was written by a newer release of the plugin '{plugin}' "
            f"(version {max(versions)} of the type; this release knows {kind.schema_version})",
            f"install that release of the plugin '{plugin}', or a newer one, and run again",
        )
    upgraded = min(versions, default=kind.schema_version) < kind.schema_version
    if upgraded:
        original = dict(halves)
        for version in range(min(versions), kind.schema_version):
            _step(kind, plugin, version, halves)
        secret = {text for _, values in original.values() for text in secrets_in(values)}
        halves = {name: (version, _secret_again(values, secret)) for name, (version, values) in halves.items()}
    own = {key: item for key, item in (outputs or {}).items() if key.startswith("__") and key not in (VERSION, APPLIED)}
    today = halves.get("outputs", (0, {}))[1] | own
    return Recorded(
        None if inputs is None else halves.get("inputs", (0, {}))[1],
        stamped(today, kind) if today else {},
        upgraded,
    )


def _version(values: Mapping[str, Any]) -> int:
    found = plain(values.get(VERSION, 0))
    return found if isinstance(found, int) else 0


def _step(
    kind: type[ResourceType[Any, Any, Any]], plugin: str, version: int, halves: dict[str, tuple[int, dict[str, Any]]]
) -> None:
    """One step, for the halves that are of its version."""
    if version not in kind.upgrades:
        raise PluginError(
            f"plugin '{plugin}': {kind.token}: `upgrades` has no step from version {version}, "
            f"of which there is state; the type is at version {kind.schema_version}",
            "report this to the plugin's author, and go on with the release that you used before",
        )
    current = {name: values for name, (at, values) in halves.items() if at == version}
    try:
        done = kind.upgrades[version](Stored(plain(current.get("inputs", {})), plain(current.get("outputs", {}))))
        found = {"inputs": dict(done.inputs), "outputs": dict(done.outputs)}
    except Exception as error:
        raise PluginError(
            f"plugin '{plugin}': {kind.token}: the step of `upgrades` from version {version} failed: "
            f"{type(error).__name__}: {error}",
            "report this to the plugin's author, and go on with the release that you used before",
        ) from error
    for name in current:
        halves[name] = (version + 1, found[name])


def _secret_again(value: Any, secret: set[str]) -> Any:
    """Wrap what was secret before the steps, wherever they have put it."""
    if isinstance(value, Mapping):
        return {key: _secret_again(item, secret) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_secret_again(item, secret) for item in value]
    if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value) in secret:
        return SecretValue(value)
    return value
