"""Putting values in place of expressions, before anything is validated."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import SecretStr

from provision.diagnostics import Diagnostic, DiagnosticSink, Path, Position, Severity
from provision.loader.expressions import (
    LATER,
    Expression,
    ExpressionError,
    closest,
    evaluate,
    evaluate_now,
)
from provision.loader.nodes import Node, Place
from provision.loader.parameters import Parameters

_PLAN_TIME = "it must be known before anything is made; only outputs and user data with 'template: true' can use it"
_SECRETS = "secrets can be used in user data with 'template: true', in outputs and in a location's config"


class _Unknown(Exception):
    """The value cannot be had, and that is no mistake, or a reported one."""


class Substitution:
    """Goes through a document once.

    Attributes:
        holes: paths whose value could not be had.
        later: expressions on machines that stay, with the path of the string that holds them.
    """

    def __init__(
        self,
        parameters: Parameters,
        references: Mapping[str, Mapping[str, Any]] | None,
        declared: list[str],
        sink: DiagnosticSink,
    ) -> None:
        """Use these values.

        Args:
            parameters: values of parameters.
            references: outputs of other stacks, or None when they are not looked up in this run.
            declared: the names under `references:`.
            sink: where mistakes go.
        """
        self.holes: set[Path] = set()
        self.later: list[tuple[Path, Expression, Position]] = []
        self._parameters = parameters
        self._references = references
        self._declared = declared
        self._sink = sink

    def document(self, root: Node) -> Node:
        """The document with its expressions replaced; `parameters` and free `x-` keys stay as they are."""
        done: dict[str, Node] = {}
        for name, node in root.items():
            if name == "parameters" or name.startswith("x-"):
                done[name] = node
            elif name == "machines" and isinstance(node.value, dict):
                done[name] = node.with_value({key: self._machine(key, entry) for key, entry in node.items()})
            else:
                done[name] = self._walk(node, (name,), later=name == "outputs", secret=name == "outputs")
        return root.with_value(done)

    def _machine(self, name: str, machine: Node) -> Node:
        if not isinstance(machine.value, dict):
            return self._walk(machine, ("machines", name))
        done: dict[str, Node] = {}
        for key, node in machine.items():
            path: Path = ("machines", name, key)
            if key != "user_data":
                done[key] = self._walk(node, path)
            elif isinstance(node.value, dict):
                done[key] = node.with_value(self._user_data(path, node))
            else:
                self._warn_if_meant(path, node)
                done[key] = node
        return machine.with_value(done)

    def _user_data(self, path: Path, node: Node) -> dict[str, Node]:
        done: dict[str, Node] = {}
        for key, child in node.items():
            if key != "text":
                done[key] = self._walk(child, (*path, key))
        text = node.get("text")
        if text is not None:
            template = done.get("template")
            if template is not None and template.value is True:
                done["text"] = self._walk(text, (*path, "text"), later=True, secret=True)
            else:
                self._warn_if_meant((*path, "text"), text)
                done["text"] = text
        return done

    def _warn_if_meant(self, path: Path, node: Node) -> None:
        if isinstance(node.value, str) and any(f"${{{root}." in node.value for root in ("param", "machine", "ref")):
            self._sink.warning(
                path,
                "expressions in this user data are not expanded",
                "write it as {text: …, template: true}; then '$${' stands for a plain '${'",
            )

    def _walk(self, node: Node, path: Path, *, later: bool = False, secret: bool = False) -> Node:
        value = node.value
        if isinstance(value, str):
            return self._string(node, path, value, later, secret) if "${" in value else node
        if isinstance(value, dict):
            secret = secret or (len(path) == 3 and path[0] == "locations" and path[2] == "config")
            for key in value:
                if "${" in key:
                    self._sink.error((*path, key), "a key cannot hold an expression", "write the name out", key=True)
            changed: Any = {
                key: self._walk(child, (*path, key), later=later, secret=secret or (
                    len(path) == 2 and path[0] == "locations" and key == "config"))
                for key, child in value.items()
            }
            return node.with_value(changed) if any(changed[k] is not value[k] for k in value) else node
        if isinstance(value, list):
            items = [
                self._walk(child, (*path, index), later=later, secret=secret) for index, child in enumerate(value)
            ]
            return node.with_value(items) if any(a is not b for a, b in zip(items, value, strict=True)) else node
        return node

    def _string(self, node: Node, path: Path, text: str, later: bool, secret: bool) -> Node:
        found: list[Expression] = []

        def resolve(expression: Expression) -> Any:
            found.append(expression)
            if expression.root == "param":
                return self._parameter(expression)
            if expression.root == "ref":
                return self._reference(expression)
            if later:
                return LATER
            raise ExpressionError(
                f"'{expression}' cannot be used here", _PLAN_TIME, expression.offset, expression.length
            )

        try:
            value = (evaluate_now if later else evaluate)(text, resolve)
        except ExpressionError as error:
            position = self._inside(node.place, text, error.offset, error.length)
            self._sink.add(Diagnostic(Severity.ERROR, error.summary, error.fix, path, position))
            return self._hole(node, path)
        except _Unknown:
            return self._hole(node, path)
        for expression in found:
            if expression.root == "machine":
                position = self._inside(node.place, text, expression.offset, expression.length)
                self.later.append((path, expression, position))
        if isinstance(value, SecretStr) and not secret:
            names = " and ".join(f"'{expression}'" for expression in found if self._is_secret(expression))
            self._sink.error(path, f"{names} is secret, and this field is not kept secret", _SECRETS)
            return self._hole(node, path)
        return _as_node(value, node)

    def _hole(self, node: Node, path: Path) -> Node:
        self.holes.add(path)
        return node.with_value(None)

    def _is_secret(self, expression: Expression) -> bool:
        try:
            value = self._parameter(expression) if expression.root == "param" else self._reference(expression)
        except (_Unknown, ExpressionError):
            return False
        return isinstance(value, SecretStr)

    def _parameter(self, expression: Expression) -> Any:
        name = str(expression.path[0])
        if name in self._parameters.broken:
            raise _Unknown
        if name not in self._parameters.values:
            raise ExpressionError(
                f"there is no parameter '{name}'",
                closest(name, self._parameters.names) or f"declare it under 'parameters:', as in '{name}: {{}}'",
                expression.offset,
                expression.length,
            )
        return self._parameters.values[name]

    def _reference(self, expression: Expression) -> Any:
        name, *steps = expression.path
        where = (expression.offset, expression.length)
        if name not in self._declared:
            raise ExpressionError(
                f"there is no reference '{name}'",
                closest(str(name), self._declared) or "declare it under 'references:'",
                *where,
            )
        if self._references is None:
            raise _Unknown
        if name not in self._references:
            raise ExpressionError(
                f"the outputs of the reference '{name}' are not known", "check the name of its stack", *where
            )
        value: Any = self._references[str(name)]
        for step in steps:
            if isinstance(value, Mapping) and isinstance(step, str):
                if step not in value:
                    raise ExpressionError(
                        f"the reference '{name}' has no output '{step}'", closest(step, list(value)), *where
                    )
                value = value[step]
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                raise ExpressionError(f"'{expression}' names nothing", "check what the other stack exports", *where)
        return value

    def _inside(self, place: Place, text: str, offset: int, length: int) -> Position:
        """The place within a string, when it stands on one line as it was written."""
        file, line, column, _ = place
        written = self._sink.source_map.line(Position(file, line, column))
        start = written.find(text, column - 1) if written and "\n" not in text else -1
        return Position(file, line, start + 1 + offset, length) if start >= 0 else Position(*place)


def _as_node(value: Any, node: Node) -> Node:
    """A value from outside the file, at the place of the expression that brought it."""
    build: Callable[[Any], Any] = lambda inner: Node(_raw(inner, build), node.place)  # noqa: E731
    return Node(_raw(value, build), node.place, node.key)


def _raw(value: Any, build: Callable[[Any], Node]) -> Any:
    if isinstance(value, Mapping):
        return {str(key): build(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [build(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str | SecretStr) else str(value)
