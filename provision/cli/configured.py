"""What Pulumi's configuration says of a stack file, read from the files beside it; the engine is not needed."""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import SecretStr

from provision.diagnostics import Diagnostic, SourceMap
from provision.errors import UserError
from provision.host.project import read_project, stack_name
from provision.host.rules import configured_rules
from provision.loader.files import STACK_FILE, read_text, shown, stack_path
from provision.loader.overlay import overlay_path
from provision.loader.reader import read

STANDARD_INPUT = "<stdin>"
_OF_TYPE = {"integer": "1", "number": "1", "boolean": "true", "list": "[]"}


@dataclass(frozen=True)
class Configured:
    """The configuration of one stack.

    Attributes:
        stack: its name, which is that of the overlay; None when there is no project.
        platform: the platform that it chooses.
        rules: rules files that it names.
        values: of parameters; secret ones are empty.
    """

    stack: str | None = None
    platform: str | None = None
    rules: tuple[str, ...] = ()
    values: Mapping[str, str | SecretStr] = field(default_factory=dict)

    def parameters(self, file: Path) -> Mapping[str, str | SecretStr]:
        """The values, with something of the right type in the place of each secret."""
        if not any(isinstance(value, SecretStr) for value in self.values.values()):
            return self.values
        root, _ = read(read_text(file), "")
        kinds = {name: node.get("type") for name, node in (root.get("parameters") or root).items()} if root else {}
        return {
            name: SecretStr(_OF_TYPE.get(str(kind.value) if (kind := kinds.get(name)) else "", "secret"))
            if isinstance(value, SecretStr)
            else value
            for name, value in self.values.items()
        }


def configured(path: Path, stack: str | None) -> Configured:
    """The configuration that holds for the stack file `path`.

    Args:
        path: the file or its folder.
        stack: name of the Pulumi stack; default: as for all commands, when the folder is a project.

    Raises:
        UserError: a file cannot be read, or nothing is known of a stack that was named.
    """
    file = stack_path(path)
    folder = file.absolute().parent
    if not (folder / "Pulumi.yaml").is_file():
        return Configured(stack)
    project, name = read_project(folder), stack_name(stack)
    if stack and not project.stack_file(name).exists() and not overlay_path(file, name).exists():
        raise UserError(
            f"nothing is known of a stack '{stack}': there is no {shown(project.stack_file(name))}",
            f"make it: pulumi stack init {stack}",
        )
    found = project.config(name)
    own = f"{project.name}:"
    platform, rules = found.get("provision:platform"), found.get("provision:rules")
    return Configured(
        name,
        platform if isinstance(platform, str) else None,
        configured_rules(rules if isinstance(rules, str) else None),
        {key.removeprefix(own): value for key, value in found.items() if key.startswith(own)},
    )


@contextmanager
def on_disk(path: Path) -> Iterator[Path]:
    """The stack file itself, or for `-` a copy of standard input; files that it names are then not found."""
    if str(path) != "-":
        yield stack_path(path)
        return
    with tempfile.TemporaryDirectory(prefix="provision-") as folder:
        file = Path(folder) / STACK_FILE
        file.write_bytes(sys.stdin.buffer.read())
        yield file


def renamed(
    found: tuple[Diagnostic, ...], source_map: SourceMap, file: Path
) -> tuple[tuple[Diagnostic, ...], SourceMap]:
    """The diagnostics of a copy of standard input, under that name."""
    copy = shown(file)
    moved = tuple(
        replace(item, position=replace(item.position, file=STANDARD_INPUT))
        if item.position and item.position.file == copy
        else item
        for item in found
    )
    others = {name: text for name, text in source_map.sources.items() if name != copy}
    return moved, SourceMap(sources={STANDARD_INPUT: source_map.sources.get(copy, ""), **others})
