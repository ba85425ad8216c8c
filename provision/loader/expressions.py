"""Expressions in strings: `${param.size}`, `${machine.db.address}`, `${ref.net.cidr}`; `$${` stands for `${`.

Every package may use this module: what is left of a string after `load` is evaluated by whoever knows the machines.
"""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import SecretStr

ROOTS = ("param", "machine", "ref")
MACHINE_ATTRIBUTES = ("address", "address6", "name")
NIC_ATTRIBUTES = ("address", "address6")

_USAGE = "write ${param.NAME}, ${machine.NAME.address} or ${ref.NAME.OUTPUT}"
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]{1,6})\]")
_DOLLARS = re.compile(r"\$+(?=\{)")
_ROOT = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_-]*)")


class ExpressionError(ValueError):
    """A mistake in an expression.

    Attributes:
        summary: what is wrong.
        fix: how to mend it.
        offset: where in the string, counted from 0.
        length: how many characters are meant.
    """

    def __init__(self, summary: str, fix: str, offset: int = 0, length: int = 1) -> None:
        """Describe the mistake; it never holds the value of a parameter."""
        super().__init__(summary)
        self.summary = summary
        self.fix = fix
        self.offset = offset
        self.length = length


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that stands for itself, escapes already taken out."""

    text: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Expression:
    """One `${…}`.

    Attributes:
        root: `param`, `machine` or `ref`.
        path: what follows the root: names, and indexes in brackets.
        offset: where in the string it begins.
        length: how long it is, with `${` and `}`.
    """

    root: str
    path: tuple[str | int, ...]
    offset: int = 0
    length: int = 0

    def __str__(self) -> str:
        """As written, without the offset."""
        steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return f"${{{self.root}{steps}}}"


Part: TypeAlias = Literal | Expression
Resolver: TypeAlias = Callable[[Expression], Any]


class _Later:
    """The type of `LATER`."""

    def __repr__(self) -> str:
        return "LATER"


LATER = _Later()
"""What a resolver answers for an expression that `evaluate_now` is to leave as it stands."""


def closest(name: str, known: Sequence[str]) -> str:
    """A sentence that offers the name that was probably meant, or lists the few that there are."""
    near = difflib.get_close_matches(name, known, 1, 0.6) if len(known) <= 20_000 else []
    if near:
        return f"did you mean '{near[0]}'?"
    if not known:
        return ""
    if len(known) <= 12:
        return f"one of: {', '.join(sorted(known))}"
    return ""


class Suggester:
    """`closest` for long lists: after some seconds' worth of comparisons it offers nothing more."""

    def __init__(self, comparisons: int = 300_000) -> None:
        """Compare at most so many names."""
        self._left = comparisons

    def __call__(self, name: str, known: Sequence[str]) -> str:
        """Offer a name as `closest` does."""
        self._left -= len(known)
        return closest(name, known) if self._left > 0 else ""


def escape(text: str) -> str:
    """Write `text` so that it evaluates to itself."""
    return _DOLLARS.sub(lambda run: run[0] * 2, text)


def parse(text: str) -> list[Part]:
    """Split a string into literal text and expressions.

    Of the dollars in front of a `{`, each pair stands for one dollar; one that is left begins an expression.

    Raises:
        ExpressionError: when an expression is not closed or not well formed.
    """
    parts: list[Part] = []
    literal, literal_at, at = "", 0, 0
    while run := _DOLLARS.search(text, at):
        pairs, begins = divmod(len(run[0]), 2)
        literal += text[at : run.start()] + "$" * pairs
        at = run.end()
        if not begins:
            continue
        if literal:
            parts.append(Literal(literal, literal_at))
        expression = _expression(text, at - 1)
        parts.append(expression)
        at = literal_at = expression.offset + expression.length
        literal = ""
    literal += text[at:]
    if literal or not parts:
        parts.append(Literal(literal, literal_at))
    return parts


def _expression(text: str, start: int) -> Expression:
    end = text.find("}", start)
    line_end = text.find("\n", start)
    if end < 0 or 0 <= line_end < end:
        raise ExpressionError("'${' is never closed", "close it with '}', or write '$${' to mean '${' itself", start, 2)
    length = end + 1 - start
    inner = text[start + 2 : end]
    shown = inner if len(inner) <= 60 else inner[:57] + "…"
    root = _ROOT.match(inner)
    if root is None:
        raise ExpressionError(f"'${{{shown}}}' is not an expression", _USAGE, start, length)
    if root[1] not in ROOTS:
        hint = difflib.get_close_matches(root[1], ROOTS, 1, 0.5)
        raise ExpressionError(
            f"'{root[1]}' is not known in '${{{shown}}}'",
            (f"did you mean '{hint[0]}'? " if hint else "") + f"{_USAGE}; '$${{' means '${{' itself",
            start,
            length,
        )
    path: list[str | int] = []
    at = root.end()
    rest = inner.rstrip()
    while at < len(rest):
        step = _STEP.match(rest, at)
        if step is None:
            raise ExpressionError(
                f"'{rest[at:][:40]}' cannot stand in '${{{shown}}}'",
                "separate names with '.', and put an index in brackets, as in ${machine.db.nics[0].address}",
                start + 2 + at,
                len(rest) - at,
            )
        path.append(step[1] if step[1] is not None else int(step[2]))
        at = step.end()
    return _checked(Expression(root[1], tuple(path), start, length))


def _checked(expression: Expression) -> Expression:
    path = expression.path
    where = (expression.offset, expression.length)
    if expression.root == "param" and (len(path) != 1 or not isinstance(path[0], str)):
        raise ExpressionError(f"'{expression}' does not name a parameter", "write ${param.NAME}", *where)
    if expression.root == "ref" and (len(path) < 2 or not all(isinstance(step, str) for step in path[:2])):
        raise ExpressionError(f"'{expression}' does not name an output", "write ${ref.NAME.OUTPUT}", *where)
    if expression.root == "machine":
        _check_machine(expression)
    return expression


def _check_machine(expression: Expression) -> None:
    path = expression.path
    where = (expression.offset, expression.length)
    usage = "write ${machine.NAME.address}, .address6 or .name, or ${machine.NAME.nics[0].address}"
    if len(path) < 2 or not isinstance(path[0], str) or not isinstance(path[1], str):
        raise ExpressionError(f"'{expression}' does not name an attribute of a machine", usage, *where)
    if path[1] == "nics":
        if len(path) != 4 or not isinstance(path[2], int):
            raise ExpressionError(f"'{expression}' does not name an attribute of a NIC", usage, *where)
        if path[3] not in NIC_ATTRIBUTES:
            hint = closest(str(path[3]), NIC_ATTRIBUTES)
            raise ExpressionError(f"a NIC has no attribute '{path[3]}'", hint, *where)
    elif path[1] not in MACHINE_ATTRIBUTES:
        raise ExpressionError(f"a machine has no attribute '{path[1]}'", closest(path[1], MACHINE_ATTRIBUTES), *where)
    elif len(path) > 2:
        raise ExpressionError(f"'{expression}' goes on after an attribute", usage, *where)


def evaluate(text: str, resolver: Resolver) -> Any:
    """The value of a string: that of its one expression when it is nothing else, otherwise text.

    What is derived from a `SecretStr` is a `SecretStr`.

    Raises:
        ExpressionError: when the string is not well formed, or a list or map would have to become text; whatever
            `resolver` raises passes through.
    """
    parts = parse(text)
    if len(parts) == 1 and isinstance(parts[0], Expression):
        return resolver(parts[0])
    return _join([(part, part.text if isinstance(part, Literal) else resolver(part)) for part in parts])


def evaluate_now(text: str, resolver: Resolver) -> Any:
    """Like `evaluate`, for a string that is evaluated again later.

    Expressions for which `resolver` answers `LATER` stay, and all else is escaped, so that the later evaluation gives
    what one evaluation with all values would have given.
    """
    parts = parse(text)
    if len(parts) == 1 and isinstance(parts[0], Expression):
        value = resolver(parts[0])
        return str(parts[0]) if value is LATER else _escaped(value)
    done, known = "", []
    secret = False
    for part in parts:
        value = part.text if isinstance(part, Literal) else resolver(part)
        if value is not LATER:
            known.append((part, value))
            continue
        joined = _join(known)
        secret = secret or isinstance(joined, SecretStr)
        done += escape(_clear(joined) + "{")[:-1] + str(part)  # the "{" makes dollars at the end count as well
        known = []
    joined = _join(known)
    done += escape(_clear(joined))
    return SecretStr(done) if secret or isinstance(joined, SecretStr) else done


def _clear(text: "str | SecretStr") -> str:
    return text.get_secret_value() if isinstance(text, SecretStr) else text


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, SecretStr):
        return SecretStr(escape(value.get_secret_value()))
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return value


def _join(values: list[tuple[Part, Any]]) -> "str | SecretStr":
    secret, text = False, ""
    for part, value in values:
        if isinstance(value, SecretStr):
            secret = True
            text += value.get_secret_value()
        elif isinstance(value, bool):
            text += "true" if value else "false"
        elif isinstance(value, list | dict) or value is None:
            kind = "nothing" if value is None else "a list" if isinstance(value, list) else "a map"
            length = part.length if isinstance(part, Expression) else 1
            raise ExpressionError(
                f"'{part}' is {kind}, and cannot be a part of a text",
                "use it as a whole value",
                part.offset,
                length,
            )
        else:
            text += str(value)
    return SecretStr(text) if secret else text
