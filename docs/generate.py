"""Write the generated parts of the documentation, so that they cannot say something else than the code.

`python docs/generate.py` rewrites every block between `<!-- generated: NAME -->` and `<!-- end -->` in the pages below,
and every block that begins with `<!-- code: FILE PART … -->`, which shows a file of `docs/examples`, or parts of it: a
name of the module, `Class.method`, `Class.` for a class down to its first method, or `imports`. With `--check` it
changes nothing and exits with 1 when a block is out of date. All else is written by hand.
"""

import ast
import json
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import partial
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from annotated_types import Ge, Gt, Le, MinLen
from pydantic import BaseModel, SecretStr, WithJsonSchema, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from provision.cli.commands.schema import REPORTS, printed
from provision.cli.main import COMMANDS, cli
from provision.models import BitRate, Duration, Peer, Selector, Size, Stack, Throughput
from provision.models.base import NAME_PATTERN
from provision.packets import Service
from provision.spi import CanDescribe, Capabilities, registry
from provision.translate.grammar import answers, kind_of, models_in, policies, refusals
from provision.verify.guardrails.models import Rule, UnreachableRule

DOCS = Path(__file__).parent
_BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_CODE = re.compile(r"(<!-- code: (\S+)((?: \S+)*) -->\n).*?(<!-- end -->)", re.DOTALL)
_WORDS: Mapping[Any, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "`true`, `false`",
    Any: "any value",
    SecretStr: "secret",
    type(None): "nothing",
    Peer: "[peer](#peers)",
    Selector: "[selector](#peers)",
    Service: "[service](#services)",
}
_SCALARS = {"size": Size, "duration": Duration, "bit rate": BitRate, "throughput": Throughput}


def _schema_of(metadata: Any) -> str:
    found = next((item for item in metadata if isinstance(item, WithJsonSchema)), None)
    return str(found.json_schema) if found else ""


_BY_SCHEMA = {_schema_of(get_args(scalar)[1:]): f"[{word}](#scalars)" for word, scalar in _SCALARS.items()}


def _is_name(metadata: Any) -> bool:
    return any(
        getattr(item, "pattern", None) == NAME_PATTERN
        or (isinstance(item, FieldInfo) and any(getattr(m, "pattern", None) == NAME_PATTERN for m in item.metadata))
        for item in metadata
    )


def _words(annotation: Any, metadata: Any = ()) -> str:
    """A type as a person would say it."""
    if (schema := _schema_of(metadata)) in _BY_SCHEMA:
        return _BY_SCHEMA[schema]
    if _is_name(metadata):
        return "[name](#scalars)"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(arguments[0], arguments[1:])
    if origin in (Union, types.UnionType):
        kinds = [_kind_link(a) for a in arguments if isinstance(a, type) and "kind" in getattr(a, "model_fields", {})]
        if kinds:
            return f"map with `kind` of {', '.join(kinds)}"
        words = [_words(a) for a in arguments if a not in (type(None), SecretStr)]
        return ", or ".join(dict.fromkeys(words))
    if origin is Literal:
        return ", ".join(f"`{a}`" for a in arguments)
    if origin is list:
        inner = _words(arguments[0])
        return f"list of ({inner})" if ", or " in inner else f"list of {inner}"
    if origin is tuple:
        return f"list of {len(arguments)}: " + ", ".join(_words(a) for a in arguments)
    if origin is dict:
        return f"map of {_words(arguments[0])} to {_words(arguments[1])}"
    if annotation in _WORDS:
        return _WORDS[annotation]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"map, see [{annotation.__name__}](#{annotation.__name__.lower()})"
    return {
        "IPv4Network": "IPv4 prefix",
        "IPv6Network": "IPv6 prefix",
        "IPv4Address": "IPv4 address",
        "IPv6Address": "IPv6 address",
    }[annotation.__name__]


def _kind_link(model: type[BaseModel]) -> str:
    return f"[`{kind_of(model)}`](#{model.__name__.lower()})"


def _limits(metadata: Any) -> str:
    found = []
    for item in metadata:
        match item:
            case Ge(ge=bound):
                found.append(f"at least {bound}")
            case Gt(gt=bound):
                found.append(f"above {bound}")
            case Le(le=bound):
                found.append(f"at most {bound}")
            case MinLen(min_length=bound):
                found.append(f"at least {bound}")
            case _:
                pattern = getattr(item, "pattern", None)
                if pattern and pattern != NAME_PATTERN:
                    found.append("matching `" + pattern.replace("|", "\\|") + "`")
    return ", ".join(found)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or value in ({}, [], ""):
        return ""
    if isinstance(value, BaseModel):
        return "its own defaults"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, float) and _schema_of(field.metadata) in _BY_SCHEMA:
        return f"`{value:g}s`" if "duration" in _BY_SCHEMA[_schema_of(field.metadata)] else f"`{value:g}`"
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _table(model: type[BaseModel]) -> Iterator[str]:
    rows = [(key, field) for key, field in model.model_fields.items() if key != "kind"]
    if not rows:
        yield "No further fields."
        yield ""
        return
    yield "| field | type | default | meaning |"
    yield "|---|---|---|---|"
    for key, field in rows:
        kind = _words(field.annotation, field.metadata)
        limits = _limits(field.metadata)
        yield f"| `{field.alias or key}` | {kind}{f' ({limits})' if limits else ''} | {_default(field)} | " + (
            (field.description or "").replace("|", "\\|") + " |"
        )
    yield ""


def _summary(thing: Any) -> str:
    return " ".join((thing.__doc__ or "").strip().split("\n\n")[0].split())


def _places(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every model of the grammar with the path at which it stands, in the order of the fields."""
    yield path, model
    for key, field in model.model_fields.items():
        for rest, inner in models_in(field.annotation):
            yield from _places(inner, f"{path}.{field.alias or key}{rest}".lstrip("."))


def stack_file() -> str:
    """The reference of the whole grammar."""
    lines: list[str] = []
    said: set[type[BaseModel]] = set()
    for path, model in _places(Stack):
        if model in said:
            continue
        said.add(model)
        lines += [f'### <a id="{model.__name__.lower()}"></a>{_title(path, model)}', "", _summary(model), ""]
        lines += _table(model)
    return "\n".join(lines)


def _title(path: str, model: type[BaseModel]) -> str:
    path = path.replace("sources.NAME", "sources.PLATFORM")
    if "kind" in model.model_fields:
        return f"`{path}` with `kind: {kind_of(model)}`"
    return f"`{path}`" if path else "Top level"


def commands() -> str:
    """Every command with its arguments and options."""
    root = click.Context(cli, info_name="provision")
    lines: list[str] = []
    for name in COMMANDS:
        command = cli.get_command(root, name)
        assert command is not None
        lines += _command(command, click.Context(command, info_name=name, parent=root))
    return "\n".join(lines)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    depth = context.command_path.count(" ")
    yield f"{'#' * (depth + 1)} `{context.command_path}`"
    yield ""
    yield cleandoc(command.help or "")
    yield ""
    yield "```text"
    yield command.get_usage(context).removeprefix("Usage: ")
    yield "```"
    yield ""
    options = [item for item in command.params if isinstance(item, click.Option)]
    if options:
        yield "| option | meaning |"
        yield "|---|---|"
        for option in options:
            yield f"| {_option(option)} | {(option.help or '').replace('|', chr(92) + '|')}{_chosen(option)} |"
        yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _command(inner, click.Context(inner, info_name=name, parent=context))


def _option(option: click.Option) -> str:
    if option.is_flag:
        return ", ".join(f"`{name}`" for name in option.opts)
    if isinstance(option.type, click.Choice):
        return f"{', '.join(f'`{name}`' for name in option.opts)} {' or '.join(f'`{c}`' for c in option.type.choices)}"
    value = "NUMBER" if isinstance(option.type, click.IntRange) else option.make_metavar(click.Context(cli))
    return f"{', '.join(f'`{name}`' for name in option.opts)} `{value}`"


def _chosen(option: click.Option) -> str:
    return f" Default: `{option.default}`." if option.show_default and isinstance(option.default, str) else ""


def code(file: str, parts: list[str]) -> str:
    """A file below `docs/examples`, or parts of it, as it runs in the tests."""
    text = (DOCS / "examples" / file).read_text("utf-8")
    shown = text.rstrip()
    for index, part in enumerate(parts):
        # After its head the members of a class keep their place in it; alone they stand at the margin.
        inside = f"{part.partition('.')[0]}." in parts[:index]
        piece = _part(text, part) if inside else dedent(_part(text, part))
        shown = f"{shown}{chr(10) * (2 if inside else 3)}{piece}" if index else piece
    language = {"py": "python", "toml": "toml", "yaml": "yaml"}[file.rpartition(".")[2]]
    return f"```{language}\n{shown}\n```"


def _part(text: str, part: str) -> str:
    body, lines = ast.parse(text).body, text.splitlines()
    if part == "imports":
        found = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
        return "\n".join(lines[found[0].lineno - 1 : found[-1].end_lineno])
    name, _, member = part.partition(".")
    node = next(node for node in body if name in _names(node))
    start, end = _lines(node)
    if isinstance(node, ast.ClassDef) and part.endswith("."):
        end = next(_lines(item)[0] for item in node.body if isinstance(item, ast.FunctionDef)) - 1
    elif isinstance(node, ast.ClassDef) and member:
        start, end = _lines(next(item for item in node.body if member in _names(item)))
    return "\n".join(lines[start - 1 : end]).rstrip()


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _lines(node: ast.stmt) -> tuple[int, int]:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(item.lineno for item in decorators)]), node.end_lineno or node.lineno


def platforms() -> str:
    """What the libvirt plugin answers for each policy and field."""
    platform = registry.load("libvirt")
    assert isinstance(platform, CanDescribe)
    found = answers(platform, platform.best_capabilities())
    lines = ["Policies on libvirt:", "", "| kind | on libvirt | instead |", "|---|---|---|"]
    for policy in policies(found):
        words = "enforced" if policy.whole.enforced else f"refused: {_shorter(policy.whole.reason)}"
        lines.append(f"| `{policy.kind}` | {words} | {policy.whole.fix} |")
    lines += [
        "",
        "Fields that are refused on libvirt when they are set:",
        "",
        "| field | why | instead |",
        "|---|---|---|",
    ]
    for refusal in refusals(found):
        fields = ", ".join(f"`{field}`" for field in refusal.fields)
        lines.append(f"| {fields} | {_shorter(refusal.reason)} | {refusal.fix} |")
    return "\n".join(lines)


def policies_on(name: str) -> str:
    """Each kind of policy on a platform: how it is carried out, its evidence, and when it is refused."""
    said = import_module(f"provision_{name}.described")
    platform = registry.load(name)
    assert isinstance(platform, CanDescribe)
    best = platform.best_capabilities()
    refused: dict[str, dict[str, None]] = {}
    for facts in (best.facts, *said.lacking(best.facts)):
        for policy in policies(answers(platform, Capabilities(best.platform, facts))):
            reasons = refused.setdefault(policy.kind, {})
            if not policy.whole.enforced:
                reasons[policy.whole.reason] = None
            else:
                for answer in policy.fields:
                    field = answer.feature.rpartition(".")[2]
                    reasons.update({f"`{field}`: {support.reason}": None for _, support in answer.refused})
    lines = ["| policy | carried out by | evidence | refused when |", "|---|---|---|---|"]
    for policy in policies(answers(platform, best)):
        why = "<br>".join((*refused[policy.kind], *said.TOGETHER.get(policy.kind, ())))
        evidence = ", ".join(policy.evidence)
        lines.append(
            f"| `{policy.kind}` | {said.ENFORCED_BY[policy.kind]} | {evidence} | {why.replace('|', chr(92) + '|')} |"
        )
    return "\n".join(lines)


def _shorter(reason: str) -> str:
    return reason.replace(": this release of the libvirt plugin does not do it yet", ": not in this release")


def rules() -> str:
    """The reference of rules files."""
    kinds = get_args(get_args(Rule)[0])
    common = {key: field for key, field in UnreachableRule.model_fields.items() if key in ("level", "description")}
    lines = [
        f"- `{key}`: {field.description} Default: {_default(field) or 'nothing'}." for key, field in common.items()
    ]
    for model in kinds:
        own = create_model(model.__name__, **{
            key: (field.annotation, field) for key, field in model.model_fields.items() if key not in common
        })  # fmt: skip
        lines += ["", f"### `kind: {kind_of(model)}`", "", _summary(model), "", *_table(own)]
    return "\n".join(lines).replace("](#", "](stack-file.md#")


BLOCKS: Mapping[str, Callable[[], str]] = {
    "rules": rules,
    "stack-file": stack_file,
    "commands": commands,
    "platforms": platforms,
    "libvirt-policies": partial(policies_on, "libvirt"),
    "aws-policies": partial(policies_on, "aws"),
    "openstack-policies": partial(policies_on, "openstack"),
}
PAGES = (
    "aws.md",
    "libvirt.md",
    "openstack.md",
    "stack-file.md",
    "commands.md",
    "rules.md",
    "plugin-guide.md",
    "plugin-tutorial.md",
    "../README.md",
)


def render(page: str) -> str:
    """The text of a page with every generated block made anew."""
    text = _BLOCK.sub(lambda m: f"{m[1]}\n{BLOCKS[m[2]]().rstrip()}\n\n{m[3]}", (DOCS / page).read_text("utf-8"))
    return _CODE.sub(lambda m: f"{m[1]}\n{code(m[2], m[3].split())}\n\n{m[4]}", text)


def schemas() -> Mapping[str, str]:
    """The published schemas by file name; that of stack files is printed by `provision schema` alone."""
    made = {name: printed(name) for name in ("rules", *REPORTS)}
    return {f"schemas/{name}.json": json.dumps(schema, indent=2) + "\n" for name, schema in made.items()}


def main(arguments: list[str]) -> int:
    """Write the pages and schemas, or with `--check` only say which are out of date."""
    stale = [page for page in PAGES if render(page) != (DOCS / page).read_text("utf-8")]
    old = [name for name, text in schemas().items() if not (DOCS / name).exists() or (DOCS / name).read_text() != text]
    if "--check" in arguments:
        for page in stale:
            print(f"docs/{page} is out of date: run python docs/generate.py", file=sys.stderr)
        for name in old:
            print(f"docs/{name} is out of date: run python docs/generate.py", file=sys.stderr)
        return 1 if stale or old else 0
    for name in old:
        (DOCS / "schemas").mkdir(exist_ok=True)
        (DOCS / name).write_text(schemas()[name], "utf-8")
        print(f"docs/{name}: written")
    for page in stale:
        (DOCS / page).write_text(render(page), "utf-8")
        print(f"docs/{page}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
