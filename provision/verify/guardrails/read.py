"""Reading a rules file, with the loader's messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provision.diagnostics import Diagnostic, DiagnosticSink, Position, Severity, SourceMap
from provision.errors import StackFileError
from provision.loader.files import read_text, shown
from provision.loader.nodes import Node, Places
from provision.loader.reader import read
from provision.loader.render import in_order
from provision.loader.validate import validate
from provision.verify.guardrails.models import Rule, Rules

_BEGIN = "begin it with 'version: 1', and 'rules:' below that"


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The rules of one file, and where each was written."""

    rules: Mapping[str, Rule]
    source_map: SourceMap

    def place(self, rule: str, *path: str | int) -> Position | None:
        """Where a rule, or a part of it, stands."""
        return self.source_map.locate(("rules", rule, *path), key=not path)


def read_rules(path: Path) -> RuleBook:
    """Read a rules file.

    Raises:
        StackFileError: it has mistakes; all of them.
        UserError: it cannot be read.
    """
    text, name = read_text(path), shown(path)
    root, found = read(text, name)
    sources = {name: text}
    if not found and (root is None or not isinstance(root.value, dict)):
        found = [_no_map(root, name)]
    if root is None or found:
        raise _refused(found, SourceMap(sources=sources), name)
    source_map = SourceMap(Places(root, keys=True), Places(root, keys=False), sources)
    sink = DiagnosticSink(source_map)
    rules, _ = validate(root, set(), sink, Rules)
    if rules is None or sink.has_errors:
        raise _refused(list(sink), source_map, name)
    return RuleBook(rules.rules, source_map)


def _no_map(root: Node | None, name: str) -> Diagnostic:
    if root is None or root.value is None:
        return Diagnostic(Severity.ERROR, "the rules file is empty", _BEGIN, (), Position(name, 1, 1))
    return Diagnostic(Severity.ERROR, "the rules file must be a map", _BEGIN, (), Position(*root.place))


def _refused(found: list[Diagnostic], source_map: SourceMap, name: str) -> StackFileError:
    error = StackFileError(in_order(found), source_map)
    error.summary = error.summary.replace("the stack file", f"the rules file {name}")
    return error
