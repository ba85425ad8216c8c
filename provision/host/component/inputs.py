"""What a component is asked to be: the inputs that a program gives it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import count
from typing import Any

import yaml
from pydantic import SecretStr

from provision.host.component.refusing import Refused
from provision.host.component.schema import STACK, schema
from provision.host.deploying.stack import ContentUnknown
from provision.host.values import Archive, Asset, OutputValue, SecretValue, contains_secret, plain
from provision.loader import Definition
from provision.spi import Unknown, has_unknown

_NAMES = tuple(schema("0.0.0")["resources"][STACK]["inputProperties"])


@dataclass(frozen=True)
class Asked:
    """The inputs of one component.

    Attributes:
        file: the stack file, or its folder.
        definition: the stack file when it is given as an object.
        values: values of parameters, as text.
        unknown: parameters whose values are not known yet.
        overlay: name of the overlay; None for that of the Pulumi stack.
        platform: the platform, None to leave the choice to configuration and file.
        settings: of the platform; may hold secrets and unknowns.
        native_name: what names on the platform have after the project.
    """

    file: str | None = None
    definition: Definition | None = None
    values: Mapping[str, str | SecretStr] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    overlay: str | None = None
    platform: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    native_name: str | None = None


def read_inputs(inputs: Mapping[str, Any]) -> Asked:
    """Read the inputs as the protocol's codec gives them.

    Raises:
        Refused: an input is not known, has the wrong kind, or one is missing.
        ContentUnknown: one that decides what is made is not known in this preview.
    """
    given = {key: without_outputs(value) for key, value in inputs.items() if plain(value) is not None}
    wrong: dict[str, str] = {}
    for key in given:
        if key not in _NAMES:
            close = get_close_matches(key, _NAMES, 1)
            wrong[key] = f"is not known; did you mean '{close[0]}'?" if close else f"is not known; one of: {_names()}"
    texts: dict[str, str] = {}
    for key in ("file", "overlay", "platform", "nativeName"):
        value = plain(given.get(key))
        if isinstance(value, Unknown):
            raise ContentUnknown(f"its input '{key}'")
        if isinstance(value, str) and value:
            texts[key] = value
        elif value is not None:
            wrong[key] = "must be a text that is not empty"
    maps: dict[str, Mapping[str, Any]] = {}
    for key in ("definition", "parameters", "settings"):
        value = spread(given.get(key))
        if isinstance(plain(value), Unknown):
            raise ContentUnknown(f"its input '{key}'")
        if isinstance(value, Mapping):
            maps[key] = value
        elif value is not None:
            wrong[key] = "must be a map"
    if not wrong and ("file" in texts) == ("definition" in maps):
        what = "both" if "file" in texts else "neither"
        wrong["file"] = (
            f"{what} 'file' and 'definition' are given"
            if what == "both"
            else ("is missing: give the path of a stack file, or its content as 'definition'")
        )
    if wrong:
        raise Refused.for_inputs(wrong)
    parameters = maps.get("parameters", {})
    unknown = frozenset(name for name, value in parameters.items() if has_unknown(plain(value)))
    return Asked(
        file=texts.get("file"),
        definition=_definition(maps["definition"]) if "definition" in maps else None,
        values={
            name: _text(value) for name, value in parameters.items() if name not in unknown and plain(value) is not None
        },
        unknown=unknown,
        overlay=texts.get("overlay"),
        platform=texts.get("platform"),
        settings=maps.get("settings", {}),
        native_name=texts.get("nativeName"),
    )


def _names() -> str:
    return ", ".join(_NAMES)


def spread(value: Any) -> Any:
    """A map that is secret as a whole as a map of secrets; anything else as it is."""
    if isinstance(value, SecretValue) and isinstance(value.value, Mapping):
        return {key: SecretValue(item) for key, item in value.value.items()}
    return value


def without_outputs(value: Any) -> Any:
    """Outputs as what they stand for."""
    if isinstance(value, OutputValue):
        inner = without_outputs(value.value)
        return SecretValue(inner) if value.secret else inner
    if isinstance(value, SecretValue):
        return SecretValue(without_outputs(value.value))
    if isinstance(value, Mapping):
        return {key: without_outputs(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_outputs(item) for item in value]
    return value


def _text(value: Any) -> str | SecretStr:
    """A parameter's value as it would be configured."""
    bare = plain(value)
    text = bare if isinstance(bare, str) else json.dumps(bare)
    return SecretStr(text) if contains_secret(value) else text


def _definition(value: Mapping[str, Any]) -> Definition:
    """The object as a document, so that it is read, and its mistakes are shown, exactly as those of a file.

    Raises:
        ContentUnknown: a part of it is not known in this preview.
        Refused: it holds what no stack file can.
    """
    secrets: dict[str, SecretStr] = {}
    foreign: list[str] = []
    texts = frozenset(_texts(value))
    tokens = (f"[secret {number}]" for number in count(1))

    def written(item: Any, path: str) -> Any:
        if isinstance(item, SecretValue):
            bare = plain(item)
            token = next(name for name in tokens if name not in texts)
            secrets[token] = SecretStr(bare if isinstance(bare, str) else json.dumps(bare))
            return token
        if isinstance(item, Mapping):
            return {key: written(inner, f"{path}.{key}") for key, inner in item.items()}
        if isinstance(item, list):
            return [written(inner, f"{path}[{index}]") for index, inner in enumerate(item)]
        if isinstance(item, Asset | Archive) or not (item is None or isinstance(item, bool | int | float | str)):
            foreign.append(path)
            return None
        return item

    unknown = sorted(key for key, item in value.items() if has_unknown(plain(item)))
    if unknown:
        raise ContentUnknown(f"its definition ({', '.join(unknown)})")
    document = {key: written(item, f"definition.{key}") for key, item in value.items()}
    if foreign:
        raise Refused.for_inputs({path: "is neither text, number, truth value, list nor map" for path in foreign})
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return Definition(text, secrets=secrets)


def _texts(value: Any) -> Iterator[str]:
    """The texts in a value that are not secret."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


class _Dumper(yaml.SafeDumper):
    """Writes nothing that another version of YAML could read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out."""
        return True


def _quoted(dumper: _Dumper, text: str) -> yaml.Node:
    bare = re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", text) and text.lower() not in _NO_TEXT
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if bare else '"')


_NO_TEXT = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
_Dumper.add_representer(str, _quoted)
