"""Parameters: the values that expressions stand for, from the configuration or from their defaults."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import SecretStr

from provision.diagnostics import DiagnosticSink, Path
from provision.loader.expressions import Suggester
from provision.loader.nodes import Node, plain
from provision.models import ParameterType

_INTEGER = re.compile(r"[-+]?\d{1,40}")
_EXPECTED = {
    ParameterType.STRING: "text",
    ParameterType.INTEGER: "a whole number",
    ParameterType.NUMBER: "a number",
    ParameterType.BOOLEAN: "true or false",
    ParameterType.LIST: "a list",
}
_EXAMPLES = {
    ParameterType.STRING: "text",
    ParameterType.INTEGER: "3",
    ParameterType.NUMBER: "0.5",
    ParameterType.BOOLEAN: "true",
    ParameterType.LIST: '\'["a", "b"]\'',
}


class Parameters:
    """Values by name.

    Attributes:
        values: what each parameter stands for; a secret is a `SecretStr` whatever its type.
        broken: parameters without a usable value, about which nothing more is to be said where they are used: their
            mistakes are reported already, or their values are not known yet.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self.values: dict[str, Any] = {}
        self.broken: set[str] = set()

    @property
    def names(self) -> list[str]:
        """All parameters that the file declares."""
        return [*self.values, *self.broken]


def read_parameters(
    root: Node, configured: Mapping[str, str | SecretStr], sink: DiagnosticSink, unknown: Collection[str] = ()
) -> Parameters:
    """Give every parameter of the document its value, except the `unknown`; report those without one or a wrong one."""
    found = Parameters()
    block = root.get("parameters")
    for name, node in block.items() if block else []:
        if name in unknown:
            found.broken.add(name)
            continue
        try:
            found.values[name] = _value(name, node, configured, sink)
        except _Broken:
            found.broken.add(name)
    names, suggest = found.names, Suggester()
    for name in (*configured, *unknown):
        if name not in found.values and name not in found.broken:
            summary = f"'{name}' is configured, but no parameter has that name"
            sink.warning(("parameters",), summary, suggest(name, names))
    return found


class _Broken(Exception):
    """The mistake has been reported."""


def _value(name: str, node: Node, configured: Mapping[str, str | SecretStr], sink: DiagnosticSink) -> Any:
    path: Path = ("parameters", name)
    written = plain(node)
    if written is None:
        written = {}
    if not isinstance(written, dict):
        raise _Broken
    kind = written.get("type", "string")
    if kind not in list(ParameterType):
        raise _Broken
    kind = ParameterType(kind)
    default = written.get("default")
    secret = written.get("secret") is True
    if default is not None:
        _check_default(name, kind, default, sink)
    if secret and default is not None:
        sink.warning(
            (*path, "default"),
            f"the default of the secret parameter '{name}' can be read by all who can read the file",
            f"remove it, and run: pulumi config set --secret {name}",
        )
    given = configured.get(name)
    if given is None:
        if default is None:
            flag = "--secret " if secret else ""
            value = "" if secret else f" {_EXAMPLES[kind]}"
            sink.error(
                path,
                f"the parameter '{name}' has no value",
                f"run: pulumi config set {flag}{name}{value}" + ("" if secret else "; or give it a default"),
                key=True,
            )
            raise _Broken
        return _hidden(default) if secret else default
    text = given.get_secret_value() if isinstance(given, SecretStr) else given
    secret = secret or isinstance(given, SecretStr)
    try:
        value = convert(text, kind)
    except ValueError:
        shown = "the configured value" if secret else f"the configured value '{text[:60]}'"
        sink.error(
            path,
            f"{shown} of the parameter '{name}' is not {_EXPECTED[kind]}",
            f"run: pulumi config set {'--secret ' if secret else ''}{name}" + ("" if secret else f" {_EXAMPLES[kind]}"),
            key=True,
        )
        raise _Broken from None
    return SecretStr(text) if secret else value


def _check_default(name: str, kind: ParameterType, default: Any, sink: DiagnosticSink) -> None:
    path: Path = ("parameters", name, "default")
    if "${" in (default if isinstance(default, str) else json.dumps(default, default=str)):
        sink.error(path, f"the default of '{name}' holds an expression", "write the value out")
        raise _Broken
    fits = {
        ParameterType.STRING: isinstance(default, str),
        ParameterType.INTEGER: isinstance(default, int) and not isinstance(default, bool),
        ParameterType.NUMBER: isinstance(default, int | float) and not isinstance(default, bool),
        ParameterType.BOOLEAN: isinstance(default, bool),
        ParameterType.LIST: isinstance(default, list),
    }[kind]
    if not fits:
        fix = f"write {_EXPECTED[kind]}, or change its type"
        if kind is ParameterType.STRING and not isinstance(default, list | dict):
            fix = "put it in quotes, or change its type"
        sink.error(path, f"the default of '{name}' is not {_EXPECTED[kind]}, as its type '{kind}' says", fix)
        raise _Broken


def _hidden(value: Any) -> SecretStr:
    return SecretStr(value if isinstance(value, str) else json.dumps(value))


def convert(text: str, kind: ParameterType) -> Any:
    """The value that a configured text stands for.

    Raises:
        ValueError: when the text is not of that type.
    """
    match kind:
        case ParameterType.STRING:
            return text
        case ParameterType.INTEGER:
            if not _INTEGER.fullmatch(text.strip()):
                raise ValueError("not an integer")
            return int(text)
        case ParameterType.NUMBER:
            number = float(text)
            if number != number or number in (float("inf"), float("-inf")):
                raise ValueError("not finite")
            return number
        case ParameterType.BOOLEAN:
            if text.strip() not in ("true", "false"):
                raise ValueError("not a boolean")
            return text.strip() == "true"
        case ParameterType.LIST:
            return _list(text)


def _list(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, list):
        raise ValueError("not a list")
    return value
