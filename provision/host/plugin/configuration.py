"""A plugin's configuration, as the engine passes it: texts for everything that is not a text, and keys of its own."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
from pydantic import BaseModel

from provision.host.aborting import Abort
from provision.host.plugin.checking import Failure, check
from provision.host.plugin.environment import read_text, with_environment
from provision.host.plugin.shapes import record_of
from provision.host.protocol import provider_pb2
from provision.host.values import plain

ENGINE_KEYS = frozenset({"version", "pluginDownloadURL", "pluginChecksums", "parameterization", "envVarMappings"})
"""Properties of a provider resource that belong to the engine."""

IDENTITY = "__identity"
"""Beside the settings of a provider resource: which platform they lead to, however it is reached."""

ALLOWED = "__allowDestroy"
"""Beside the settings of a provider resource: the names in `provision:allowDestroy`, which only programs are told."""


def check_config(
    model: type[BaseModel], values: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], list[Failure]]:
    """Checked configuration, with the engine's own keys as they came; and what is wrong with it.

    Settings that nobody gave come from `environment`, by default that of the process.
    """
    own = {key: item for key, item in values.items() if key in ENGINE_KEYS or key.startswith("__")}
    given = coerced(model, {key: item for key, item in values.items() if key not in own})
    filled = with_environment(given, record_of(model), os.environ if environment is None else environment)
    checked, failures = check(model, filled)
    return checked | own, failures


def coerced(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Lists, maps and objects read from their JSON, as `pulumi config set --path` and environments give them."""
    record = record_of(model)
    result: dict[str, Any] = {}
    for key, item in values.items():
        value, declared = plain(item), record.fields.get(key)
        result[key] = read_text(value, declared) if declared is not None and isinstance(value, str) else value
    return result


def bad_configuration(
    package: str, model: type[BaseModel], failures: Sequence[Failure], mask: Callable[[str], str]
) -> Abort:
    """What ends a connection that cannot be configured; what is missing is told in the engine's own way too."""
    missing = [item for item in failures if item.reason == "is required" and len(item.path) == 1]
    detail = None
    if len(missing) == len(failures):
        fields = record_of(model).fields
        detail = provider_pb2.ConfigureErrorMissingKeys(
            missingKeys=[
                provider_pb2.ConfigureErrorMissingKeys.MissingKey(
                    name=f"{package}:{item.path[0]}",
                    description=fields[str(item.path[0])].info.description or "",
                )
                for item in missing
            ]
        )
    reasons = "; ".join(f"{package}:{item.property} {mask(item.reason)}" for item in failures)
    return Abort(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"the configuration cannot be used: {reasons}\n  fix: pulumi config set {package}:KEY VALUE",
        detail,
    )


def moved(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Whether two configurations lead to different platforms, as far as that is known."""
    before, now = plain(olds.get(IDENTITY)), plain(news.get(IDENTITY))
    return isinstance(before, str) and isinstance(now, str) and before != now
