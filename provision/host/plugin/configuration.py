"""A plugin's configuration, as the engine passes it: texts for everything that is not a text, and keys of its own."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import BaseModel

from provision.host.plugin.checking import Failure, check
from provision.host.plugin.shapes import Entries, Items, Record, record_of
from provision.host.values import plain

ENGINE_KEYS = frozenset({"version", "pluginDownloadURL", "pluginChecksums", "parameterization", "envVarMappings"})
"""Properties of a provider resource that belong to the engine."""


def check_config(model: type[BaseModel], values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
    """Checked configuration, with the engine's own keys as they came; and what is wrong with it."""
    own = {key: item for key, item in values.items() if key in ENGINE_KEYS or key.startswith("__")}
    checked, failures = check(model, coerced(model, {key: item for key, item in values.items() if key not in own}))
    return checked | own, failures


def coerced(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Lists, maps and objects read from their JSON, as `pulumi config set --path` and environments give them."""
    record = record_of(model)
    result: dict[str, Any] = {}
    for key, item in values.items():
        value = plain(item)
        declared = record.fields.get(key)
        if declared is not None and isinstance(declared.shape, Items | Entries | Record) and isinstance(value, str):
            with suppress(ValueError):  # the model says what it wants instead
                value = json.loads(value)
        result[key] = value
    return result
