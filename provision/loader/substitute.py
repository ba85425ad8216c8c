"""Putting values in place of expressions, before anything is validated."""

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from pydantic import SecretStr

from provision.diagnostics import Diagnostic, DiagnosticSink, Path, Position, Severity
from provision.loader.expressions import (
    LATER,
    Expression,
    ExpressionError,
    Suggester,
    evaluate,
    evaluate_now,
)
from provision.loader.nodes import Node, Place
from provision.loader.parameters import Parameters

_PLAN_TIME = (
    "it must be known before anything is made; only outputs, and user data and cloud_init with 'template: true', "
    "can use it"
)
_SECRETS = (
    "secrets can be used in user data and files of cloud_init with 'template: true', in passwords of its users, "
    "in outputs and in a location's config"
)


_PASSWORDS = ("hashed_passwd", "plain_text_passwd")
_REFERENCE_PEER = re.compile(r"reference\.([a-z][a-z0-9-]*)\.([A-Za-z][\w-]*)\Z")


def _is_prefix(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


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
        self._names = parameters.names
        self._closest = Suggester()
        self._sink = sink

    def document(self, root: Node) -> Node:
        """The document with its expressions replaced; `parameters` and free `x-` keys stay as they are."""
        done: dict[str, Node] = {}
        for name, node in root.items():
            if name == "parameters" or name.startswith("x-"):
                done[name] = node
            elif name == "machines" and isinstance(node.value, dict):
                done[name] = node.with_value({key: self._machine(key, entry) for key, entry in node.items()})
            elif name == "isolation" and self._references is not None:
                done[name] = self._walk(self._peers(node), (name,))
            else:
                done[name] = self._walk(node, (name,), later=name == "outputs", secret=name == "outputs")
        return root.with_value(done)

    def _machine(self, name: str, machine: Node) -> Node:
        if not isinstance(machine.value, dict):
            return self._walk(machine, ("machines", name))
        done: dict[str, Node] = {}
        for key, node in machine.items():
            path: Path = ("machines", name, key)
            if key == "cloud_init" and isinstance(node.value, dict):
                done[key] = node.with_value(self._cloud_init(path, node))
            elif key != "user_data":
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

    def _cloud_init(self, path: Path, node: Node) -> dict[str, Node]:
        """Commands and contents of files are full of `${…}` of their own, so they are expanded only when asked."""
        template = node.get("template")
        expanded = template is not None and self._walk(template, (*path, "template")).value is True
        done: dict[str, Node] = {}
        for key, child in node.items():
            where = (*path, key)
            if key == "runcmd":
                done[key] = self._text(child, where, expanded)
            elif key in ("users", "write_files") and isinstance(child.value, list):
                items = [self._entry(item, (*where, index), expanded) for index, item in enumerate(child.value)]
                done[key] = child.with_value(items)
            else:
                done[key] = self._walk(child, where)
        return done

    def _entry(self, node: Node, path: Path, expanded: bool) -> Node:
        """A user or a file of `cloud_init`."""
        if not isinstance(node.value, dict):
            return self._walk(node, path)
        fields = {
            key: self._text(child, (*path, key), expanded)
            if key == "content"
            else self._walk(child, (*path, key), secret=key in _PASSWORDS)
            for key, child in node.items()
        }
        return node.with_value(fields)

    def _text(self, node: Node, path: Path, expanded: bool) -> Node:
        if expanded:
            return self._walk(node, path, later=True, secret=True)
        for place, leaf in _leaves(node, path):
            self._warn_if_meant(place, leaf, "cloud-init set-up", "write 'template: true' beside it")
        return node

    def _warn_if_meant(
        self, path: Path, node: Node, what: str = "user data", fix: str = "write it as {text: …, template: true}"
    ) -> None:
        if isinstance(node.value, str) and any(f"${{{root}." in node.value for root in ("param", "machine", "ref")):
            self._sink.warning(
                path,
                f"expressions in this {what} are not expanded",
                f"{fix}; then '$${{' stands for a plain '${{'",
            )

    def expand(self, path: Path, text: str, place: Callable[[int, int], Position]) -> Any:
        """Put values into the text of a template file; expressions on machines stay, and are noted in `later`.

        Raises:
            ExpressionError: for a mistake in the text.
        """
        found: list[Expression] = []
        try:
            value = evaluate_now(text, lambda expression: self._resolve(expression, found, later=True))
        except _Unknown:
            self.holes.add(path)
            return None
        self.later += [(path, item, place(item.offset, item.length)) for item in found if item.root == "machine"]
        return value

    def _peers(self, isolation: Node) -> Node:
        """Replace the peers `reference.NAME.OUTPUT` by the prefixes that they stand for."""
        policies = isolation.get("policies")
        changed: dict[str, Node] = {}
        for name, policy in policies.items() if policies else []:
            sides = {}
            for side in ("from", "to"):
                peers = policy.get(side)
                if peers is not None and isinstance(peers.value, list):
                    path: Path = ("isolation", "policies", name, side)
                    items: list[Node] = []
                    for peer in peers.value:
                        items += self._peer(peer, (*path, len(items)))
                    sides[side] = peers.with_value(items)
            if sides:
                changed[name] = policy.with_value({**dict(policy.items()), **sides})
        if policies is None or not changed:
            return isolation
        entries = policies.with_value({**dict(policies.items()), **changed})
        return isolation.with_value({**dict(isolation.items()), "policies": entries})

    def _peer(self, peer: Node, path: Path) -> list[Node]:
        match = _REFERENCE_PEER.match(peer.value) if isinstance(peer.value, str) else None
        if match is None:
            return [peer]
        try:
            value = self._reference(Expression("ref", (match[1], match[2])))
        except (ExpressionError, _Unknown) as error:
            if isinstance(error, ExpressionError):
                self._report(Severity.ERROR, peer, path, error.summary, error.fix)
            return [self._hole(peer, path)]
        prefixes = value if isinstance(value, list) else [value]
        if not prefixes or not all(isinstance(item, str) and _is_prefix(item) for item in prefixes):
            summary = f"'{peer.value}' is not a prefix or a list of prefixes"
            self._report(Severity.ERROR, peer, path, summary, "use another output")
            return [self._hole(peer, path)]
        return [peer.with_value(item) for item in prefixes]

    def _walk(self, node: Node, path: Path, *, later: bool = False, secret: bool = False) -> Node:
        value = node.value
        if isinstance(value, str):
            return self._string(node, path, value, later, secret) if "${" in value else node
        if isinstance(value, dict):
            secret = secret or (len(path) == 3 and path[::2] == ("locations", "config"))
            for key in value:
                if "${" in key:
                    self._sink.error((*path, key), "a key cannot hold an expression", "write the name out", key=True)
            changed: Any = {
                key: self._walk(child, (*path, key), later=later, secret=secret) for key, child in value.items()
            }
            return node.with_value(changed) if any(changed[k] is not value[k] for k in value) else node
        if isinstance(value, list):
            items = [self._walk(child, (*path, index), later=later, secret=secret) for index, child in enumerate(value)]
            return node.with_value(items) if any(a is not b for a, b in zip(items, value, strict=True)) else node
        return node

    def _string(self, node: Node, path: Path, text: str, later: bool, secret: bool) -> Node:
        found: list[Expression] = []

        try:
            value = (evaluate_now if later else evaluate)(text, lambda item: self._resolve(item, found, later=later))
        except ExpressionError as error:
            position = self._inside(node.place, text, error.offset, error.length)
            self._sink.add(Diagnostic(Severity.ERROR, error.summary, error.fix, path, position))
            return self._hole(node, path)
        except _Unknown:
            if self._references is None and found[-1].root == "ref":
                summary = f"'{found[-1]}' is not looked up in this run, so what depends on it is not checked"
                self._report(Severity.NOTE, node, path, summary, "")
            return self._hole(node, path)
        for expression in found:
            if expression.root == "machine":
                position = self._inside(node.place, text, expression.offset, expression.length)
                self.later.append((path, expression, position))
        if isinstance(value, SecretStr) and not secret:
            names = " and ".join(f"'{expression}'" for expression in found if self._is_secret(expression))
            summary = f"{names} is secret, and this field is not kept secret"
            self._report(Severity.ERROR, node, path, summary, _SECRETS)
            return self._hole(node, path)
        return _as_node(value, node)

    def _resolve(self, expression: Expression, found: list[Expression], *, later: bool) -> Any:
        found.append(expression)
        if expression.root == "param":
            return self._parameter(expression)
        if expression.root == "ref":
            return self._reference(expression)
        if later:
            return LATER
        raise ExpressionError(f"'{expression}' cannot be used here", _PLAN_TIME, expression.offset, expression.length)

    def _report(self, severity: Severity, node: Node, path: Path, summary: str, fix: str) -> None:
        """Report at a node: its path may not be that of the document as written, once peers are replaced."""
        self._sink.add(Diagnostic(severity, summary, fix, path, Position(*node.place)))

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
                self._closest(name, self._names) or f"declare it under 'parameters:', as in '{name}: {{}}'",
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
                self._closest(str(name), self._declared) or "declare it under 'references:'",
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
                        f"the reference '{name}' has no output '{step}'", self._closest(step, list(value)), *where
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


def _leaves(node: Node, path: Path) -> Iterator[tuple[Path, Node]]:
    if isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from _leaves(child, (*path, index))
    else:
        yield path, node


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
