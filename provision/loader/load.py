"""Loading a stack file: read, overlay, substitute, validate, check; all mistakes of a run come together."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from provision.diagnostics import Diagnostic, DiagnosticSink, Position, Severity, SourceMap, format_path
from provision.diagnostics import Path as DataPath
from provision.errors import StackFileError
from provision.loader.checks import (
    Context,
    UserDataFiles,
    check_addresses,
    check_drift,
    check_expressions,
    check_names,
    check_places,
    check_policies,
)
from provision.loader.collector import collector_paused
from provision.loader.files import read_text, shown, stack_path
from provision.loader.nodes import Node, Places
from provision.loader.overlay import merge, overlay_path
from provision.loader.parameters import Parameters, read_parameters
from provision.loader.reader import read
from provision.loader.render import in_order
from provision.loader.substitute import Substitution
from provision.loader.validate import validate
from provision.loader.weakening import check_weakening
from provision.models import Stack


@dataclass(frozen=True, slots=True)
class Loaded:
    """A stack file that is fit to go on with.

    Attributes:
        stack: what it says. Files of user data are read into their `text`; strings in `outputs` and in user data with
            `template: true` may still hold `${machine…}`, for `expressions.evaluate`.
        source_map: where everything was written.
        diagnostics: warnings and notes, in the order of the file.
        directory: the directory of the stack file; paths in the stack are relative to it.
        unknown: paths that hold a sample, because outputs of other stacks were not looked up, or parameters are not
            known yet.
    """

    stack: Stack
    source_map: SourceMap
    diagnostics: tuple[Diagnostic, ...]
    directory: Path
    unknown: frozenset[DataPath] = frozenset()


class NotKnownYet(Exception):
    """What the stack consists of depends on a parameter that is not known yet; `path` is a place that shows it."""

    def __init__(self, path: DataPath) -> None:
        """Say that what stands at `path` is not known."""
        super().__init__(format_path(path))
        self.path = path


@dataclass(frozen=True, slots=True)
class Definition:
    """A stack file that is no file.

    Attributes:
        text: the document.
        name: what its places are called.
        secrets: by a text that stands in the document as a value of its own, the secret that is meant there.
    """

    text: str
    name: str = "definition"
    secrets: Mapping[str, SecretStr] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Document:
    root: Node
    source_map: SourceMap
    sources: dict[str, str]
    diagnostics: list[Diagnostic]


def load(
    path: Path,
    *,
    overlay: str | None = None,
    values: Mapping[str, str | SecretStr] = {},
    references: Mapping[str, Mapping[str, Any]] | None = None,
    platform: str | None = None,
    unknown: Collection[str] = (),
    definition: Definition | None = None,
    drafts: Mapping[Path, str] = {},
) -> Loaded:
    """Load a stack file.

    Args:
        path: the file, or the directory that holds `stack.yaml`.
        overlay: name of the Pulumi stack, whose `stack.NAME.yaml` is laid over the file if it exists.
        values: the configured values of parameters, as text.
        references: outputs of the stacks under `references:`; None when they are not looked up in this run.
        platform: the platform that the configuration chooses; it overrides the file's.
        unknown: parameters whose values are not known yet; what depends on them is in `Loaded.unknown`.
        definition: the document when it does not come from a file: `path` is then only the folder it belongs to.
        drafts: texts of files that are not written yet.

    Raises:
        StackFileError: with every diagnostic of the run, when one of them is an error.
        UserError: when the file cannot be read.
        NotKnownYet: when an `unknown` parameter decides more than texts: outputs and user data.
    """
    with collector_paused():
        return _load(path, overlay, values, references, platform, frozenset(unknown), definition, drafts)


def _load(
    path: Path,
    overlay: str | None,
    values: Mapping[str, str | SecretStr],
    references: Mapping[str, Mapping[str, Any]] | None,
    platform: str | None,
    unknown: frozenset[str],
    definition: Definition | None,
    drafts: Mapping[Path, str],
) -> Loaded:
    if definition is None:
        file = stack_path(path)
        document = _read(file, overlay, drafts)
    else:
        file = path / definition.name
        document = _defined(definition)
    sink = DiagnosticSink(document.source_map)
    for item in document.diagnostics:
        sink.add(item)
    parameters = read_parameters(document.root, values, sink, unknown)
    substitution = _substitution(document.root, parameters, references, sink)
    root = substitution.document(document.root)
    if unknown and not sink.has_errors:
        for place in sorted(substitution.holes, key=str):
            if place[:1] != ("outputs",) and place[2:3] not in (("user_data",), ("cloud_init",)):
                raise NotKnownYet(place)
    source_map = SourceMap(Places(root, keys=True), Places(root, keys=False), document.sources)
    sink.source_map = source_map  # a reference among peers may have become several: indexes are those of the new tree
    stack, holes = validate(root, substitution.holes, sink, Stack)
    directory = file.absolute().parent
    if stack is not None:
        if platform is not None:
            stack = stack.model_copy(update={"platform": platform})
        stack = _check(stack, holes, substitution, sink, directory, document.sources)
    found = tuple(in_order(sink))
    if stack is None or sink.has_errors:
        raise StackFileError(found, source_map)
    return Loaded(stack, source_map, found, directory, frozenset(holes | substitution.holes))


def _check(
    stack: Stack,
    holes: set[DataPath],
    substitution: Substitution,
    sink: DiagnosticSink,
    directory: Path,
    sources: dict[str, str],
) -> Stack:
    context = Context(stack, sink, holes)
    check_names(context)
    check_places(context)
    check_addresses(context)
    check_policies(context)
    check_drift(context)
    stack = UserDataFiles(context, directory, substitution.expand, sources).fill(stack)
    check_expressions(context, substitution.later)
    return stack


def reference_stacks(
    path: Path,
    overlay: str | None = None,
    *,
    values: Mapping[str, str | SecretStr] = {},
    unknown: Collection[str] = (),
    definition: Definition | None = None,
) -> dict[str, str]:
    """The full stack names under `references:` by reference name, to be looked up before `load`.

    Entries with mistakes are left out: `load` reports them.

    Raises:
        StackFileError: when the file is not YAML.
        UserError: when it cannot be read.
    """
    document = _read(stack_path(path), overlay) if definition is None else _defined(definition)
    sink = DiagnosticSink(document.source_map)
    parameters = read_parameters(document.root, values, sink, unknown)
    root = _substitution(document.root, parameters, None, sink).document(document.root)
    block = root.get("references")
    found = {}
    for name, node in block.items() if block else []:
        stack = node.get("stack")
        if stack is not None and isinstance(stack.value, str):
            found[name] = stack.value
    return found


def _substitution(
    root: Node,
    parameters: Parameters,
    references: Mapping[str, Mapping[str, Any]] | None,
    sink: DiagnosticSink,
) -> Substitution:
    block = root.get("references")
    return Substitution(parameters, references, [name for name, _ in block.items()] if block else [], sink)


def _read(file: Path, overlay: str | None, drafts: Mapping[Path, str] = {}) -> _Document:
    """Read the file and its overlay; of `drafts` the text that is given.

    Raises:
        StackFileError: when they are not YAML documents to go on with.
    """
    text, name = _text(file, drafts), shown(file)
    root, found = read(text, name)
    sources = {name: text}
    over, over_name = None, ""
    over_file = overlay_path(file, overlay) if overlay else None
    if over_file is not None and over_file.exists():
        over_text, over_name = _text(over_file, drafts), shown(over_file)
        over, over_found = read(over_text, over_name)
        sources[over_name] = over_text
        found = [*found, *over_found]
        if over is not None and over.value is not None and not isinstance(over.value, dict):
            found.append(_not_a_map(over, "the overlay", "write only what is to change, below the same keys"))
            over, over_name = None, ""
    if root is not None and not isinstance(root.value, dict):
        empty = root.value is None
        if not found:
            found.append(_empty(name) if empty else _not_a_map(root, "the stack file", "begin it with 'version: 1'"))
        root = None
    elif root is None and not found:
        found.append(_empty(name))
    if root is None or found:
        raise StackFileError(in_order(found), SourceMap(sources=sources))
    merged = merge(root, over) if over is not None and isinstance(over.value, dict) else root
    source_map = SourceMap(Places(merged, keys=True), Places(merged, keys=False), sources)
    sink = DiagnosticSink(source_map)
    if over is not None and merged is not root:
        check_weakening(root, merged, over, sink)
    return _Document(merged, source_map, sources, list(sink))


def _text(file: Path, drafts: Mapping[Path, str]) -> str:
    return drafts[file] if file in drafts else read_text(file)


def _defined(definition: Definition) -> _Document:
    """Read a document that is no file.

    Raises:
        StackFileError: when it is not one to go on with.
    """
    name = definition.name
    root, found = read(definition.text, name)
    sources = {name: definition.text}
    if root is None or not isinstance(root.value, dict):
        found = [
            *found,
            _empty(name) if root is None else _not_a_map(root, f"the {name}", "begin it with 'version: 1'"),
        ]
    if root is None or found:
        raise StackFileError(in_order(found), SourceMap(sources=sources))
    root = _with_secrets(root, definition.secrets) if definition.secrets else root
    return _Document(root, SourceMap(Places(root, keys=True), Places(root, keys=False), sources), sources, [])


def _with_secrets(node: Node, secrets: Mapping[str, SecretStr]) -> Node:
    value = node.value
    if isinstance(value, dict):
        return node.with_value({key: _with_secrets(child, secrets) for key, child in value.items()})
    if isinstance(value, list):
        return node.with_value([_with_secrets(child, secrets) for child in value])
    return node.with_value(secrets[value]) if isinstance(value, str) and value in secrets else node


def _empty(name: str) -> Diagnostic:
    return Diagnostic(Severity.ERROR, "the stack file is empty", "begin it with 'version: 1'", (), Position(name, 1, 1))


def _not_a_map(node: Node, what: str, fix: str) -> Diagnostic:
    return Diagnostic(Severity.ERROR, f"{what} must be a map", fix, (), Position(*node.place))
