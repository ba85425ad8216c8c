"""Write the generated parts of the documentation, so that they cannot say something else than the code.

`python docs/generate.py` rewrites every block between `<!-- generated: NAME -->` and `<!-- end -->` in the pages below;
with `--check` it changes nothing and exits with 1 when a block is out of date. All else is written by hand.
"""

import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from annotated_types import Ge, Gt, Le, MinLen
from pydantic import BaseModel, SecretStr, WithJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from provision.cli.main import COMMANDS, cli
from provision.models import BitRate, Duration, Peer, Selector, Size, Stack, Throughput, UserData
from provision.models.base import NAME_PATTERN
from provision.packets import Service
from provision.spi import Capabilities, FeatureUse, registry
from provision.translate.features import _fields as asked_fields

DOCS = Path(__file__).parent
_BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
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
    return f"[`{_kind(model)}`](#{model.__name__.lower()})"


def _kind(model: type[BaseModel]) -> str:
    return str(get_args(model.model_fields["kind"].annotation)[0])


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


def _models_in(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """Models that a type holds, each with how its path goes on from the field."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "", annotation
    elif origin is Annotated:
        yield from _models_in(arguments[0])
    elif origin is dict:
        yield from ((f".NAME{rest}", model) for rest, model in _models_in(arguments[1]))
    elif origin in (list, tuple):
        yield from ((f"[]{rest}", model) for rest, model in _models_in(arguments[0]))
    else:
        for argument in arguments:
            yield from _models_in(argument)


def _places(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every model of the grammar with the path at which it stands, in the order of the fields."""
    yield path, model
    for key, field in model.model_fields.items():
        for rest, inner in _models_in(field.annotation):
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
        return f"`{path}` with `kind: {_kind(model)}`"
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


def example() -> str:
    """The example plugin as it runs in the tests."""
    folder = DOCS / "examples" / "files"
    code = (folder / "provision_files.py").read_text("utf-8")
    project = (folder / "pyproject.toml").read_text("utf-8")
    return f"`pyproject.toml`:\n\n```toml\n{project}```\n\n`provision_files.py`:\n\n```python\n{code}```"


def _features(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """What a platform is asked about for each field of the grammar: the feature, and a value that switches it on."""
    for name, _ in asked_fields(model):
        annotation = model.model_fields[name].annotation
        feature = f"{prefix}.{name}" if prefix else name
        inner = [found for _, found in _models_in(annotation) if found is not UserData]
        if not inner:
            yield feature, [] if get_origin(annotation) is list else True
        for found in inner:
            place = f"{feature}.{_kind(found)}" if "kind" in found.model_fields else feature
            if place != feature:
                yield place, True
            yield from _features(found, place)


def platforms() -> str:
    """What the libvirt plugin answers for each policy and field."""
    able = Capabilities("libvirt", {"nwfilter": True})
    platform = registry.load("libvirt")
    answers = {
        feature: platform.supports(FeatureUse(feature, (), value), able)
        for feature, value in _features(Stack)
        if not feature.endswith(("overrides", "machines.size"))  # asked about only when written for the platform
    }
    refused = {feature: answer for feature, answer in answers.items() if not answer.enforced}
    whole = [feature for feature in answers if re.fullmatch(r"isolation\.policies\.\w+", feature)]
    lines = ["Policies on libvirt:", "", "| kind | on libvirt | instead |", "|---|---|---|"]
    for feature in whole:
        said = answers[feature]
        words = "enforced" if said.enforced else f"refused: {_shorter(said.reason)}"
        lines.append(f"| `{feature.split('.')[-1]}` | {words} | {said.fix} |")
    lines += [
        "",
        "Fields that are refused on libvirt when they are set:",
        "",
        "| field | why | instead |",
        "|---|---|---|",
    ]
    rest: dict[tuple[str, str], list[str]] = {}
    for feature, answer in refused.items():
        above = any(feature.startswith(f"{policy}.") and policy in refused for policy in whole)
        if feature not in whole and not above:
            rest.setdefault((answer.reason, answer.fix), []).append(feature)
    for (reason, fix), fields in rest.items():
        lines.append(f"| {', '.join(_outermost(fields, set(answers)))} | {_shorter(reason)} | {fix} |")
    return "\n".join(lines)


def _shorter(reason: str) -> str:
    return reason.replace(": this release of the libvirt plugin does not do it yet", ": not in this release")


def _outermost(fields: list[str], everything: set[str]) -> Iterator[str]:
    """Field names, and for a whole branch only its root."""
    left = list(fields)
    while left:
        root = left[0]
        parts = root.split(".")
        for end in range(1, len(parts)):
            branch = ".".join(parts[:end])
            if {f for f in everything if f.startswith(f"{branch}.") or f == branch} <= set(left):
                root = branch
                break
        left = [f for f in left if f != root and not f.startswith(f"{root}.")]
        yield f"`{root}`"


BLOCKS: Mapping[str, Callable[[], str]] = {
    "stack-file": stack_file,
    "commands": commands,
    "example": example,
    "platforms": platforms,
}
PAGES = ("stack-file.md", "commands.md", "plugin-guide.md", "../README.md")


def render(page: str) -> str:
    """The text of a page with every generated block made anew."""
    return _BLOCK.sub(lambda m: f"{m[1]}\n{BLOCKS[m[2]]().rstrip()}\n\n{m[3]}", (DOCS / page).read_text("utf-8"))


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` only say which are out of date."""
    stale = [page for page in PAGES if render(page) != (DOCS / page).read_text("utf-8")]
    if "--check" in arguments:
        for page in stale:
            print(f"docs/{page} is out of date: run python docs/generate.py", file=sys.stderr)
        return 1 if stale else 0
    for page in stale:
        (DOCS / page).write_text(render(page), "utf-8")
        print(f"docs/{page}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
