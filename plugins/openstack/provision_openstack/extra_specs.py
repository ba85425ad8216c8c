"""Extra specs of flavors: whether Nova knows a name and takes a value, as its own definitions say.

Nova checks them only for administrators who make flavors with a new microversion; everywhere else a name with a slip in
it is kept and ignored. The definitions are Nova's (`extra_specs.json` names the release).
"""

import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

_GROUP = r"(?:[a-zA-Z0-9_-]{1,64})?"
_TRAIT = re.compile(rf"trait{_GROUP}:(?P<name>.+)")
_RESOURCES = re.compile(rf"resources{_GROUP}:(?P<name>.+)")
_CUSTOM = re.compile(r"CUSTOM_[A-Z0-9_]+")
_TRUE_OR_FALSE = frozenset({"1", "t", "true", "on", "y", "yes", "0", "f", "false", "off", "n", "no"})
_OWN = re.compile(r"^[^:]+$|^(?!hw:|os:|quota:|accel:|pci_passthrough:|capabilities:|group_policy$)[^:]+:")
"""Names that operators give a meaning of their own, with filters that match a host's properties."""


def problems(specs: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with extra specs, each in words; also what Nova takes and then does nothing about."""
    for name, value in sorted(specs.items()):
        if problem := _problem(name, value):
            yield problem
    if "hw:mem_encryption_model" in specs and not _is_true(specs.get("hw:mem_encryption", "")):
        yield "'hw:mem_encryption_model' does nothing without 'hw:mem_encryption' set to 'true'"
    if "hw:cpu_thread_policy" in specs and specs.get("hw:cpu_policy") not in ("dedicated", "mixed"):
        yield "'hw:cpu_thread_policy' does nothing without 'hw:cpu_policy' set to 'dedicated'"
    if "hw:emulator_threads_policy" in specs and specs.get("hw:cpu_policy") not in ("dedicated", "mixed"):
        yield "'hw:emulator_threads_policy' does nothing without 'hw:cpu_policy' set to 'dedicated'"
    if "hw:tpm_model" in specs and "hw:tpm_version" not in specs:
        yield "'hw:tpm_model' does nothing without 'hw:tpm_version'"


def known(name: str) -> bool:
    """Whether Nova itself gives the name a meaning."""
    return _definition(name) is not None


def _problem(name: str, value: str) -> str:
    definition = _definition(name)
    if definition is None:
        if _OWN.match(name) and name.partition(":")[0] not in ("trait", "resources"):
            return ""
        close = get_close_matches(name, _known()["specs"], 1, 0.8)
        return f"Nova knows no extra spec '{name}'" + (f"; '{close[0]}' is one" if close else "")
    if definition.get("deprecated"):
        return f"'{name}' is not looked at any more; 'hw:{name.rpartition(':')[2]}' has taken its place"
    return _refused(name, value, definition)


def _refused(name: str, value: str, definition: Mapping[str, Any]) -> str:
    if definition["type"] == "bool":
        return "" if value.lower() in _TRUE_OR_FALSE else f"'{name}' must be 'true' or 'false', not '{value}'"
    if definition["type"] == "int":
        if not re.fullmatch(r"[+-]?\d+", value):
            return f"'{name}' must be a whole number, not '{value}'"
        least, most = definition.get("min"), definition.get("max")
        if least is not None and int(value) < least:
            return f"'{name}' must be at least {least}, not {value}"
        if most is not None and int(value) > most:
            return f"'{name}' must be at most {most}, not {value}"
        return ""
    if "enum" in definition and value not in definition["enum"]:
        return f"'{name}' must be one of {', '.join(definition['enum'])}, not '{value}'"
    if "pattern" in definition and not re.fullmatch(definition["pattern"], value):
        return f"'{name}' cannot be '{value}'"
    return ""


def _definition(name: str) -> Mapping[str, Any] | None:
    everything = _known()
    if name in everything["specs"]:
        found: Mapping[str, Any] = everything["specs"][name]
        return found
    if trait := _TRAIT.fullmatch(name):
        there = trait["name"] in everything["traits"] or _CUSTOM.fullmatch(trait["name"])
        return {"type": "str", "enum": ["required", "forbidden"]} if there else None
    if resources := _RESOURCES.fullmatch(name):
        there = resources["name"] in everything["resources"] or _CUSTOM.fullmatch(resources["name"])
        return {"type": "int"} if there else None
    for pattern, definition in everything["patterns"].items():
        if re.fullmatch(pattern, name):
            other: Mapping[str, Any] = definition
            return other
    return None


def _is_true(value: str) -> bool:
    return value.lower() in ("1", "t", "true", "on", "y", "yes")


@cache
def _known() -> Mapping[str, Any]:
    """Nova's definitions."""
    found: dict[str, Any] = json.loads(files("provision_openstack").joinpath("extra_specs.json").read_text())
    return found
