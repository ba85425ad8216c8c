"""A new plugin distribution from the template."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click

from provision.cli.filling import filled
from provision.errors import EnvironmentProblem, UserError
from provision.models.base import NAME_PATTERN
from provision.spi import registry

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TAKEN = {
    "any": "in a stack file it stands for every platform",
    "index": "Pulumi packages have a module of that name",
}


def run(name: str, directory: Path | None) -> None:
    """Make the distribution and say what to do next.

    Raises:
        UserError: the name cannot be that of a plugin, or the folder is not empty.
        EnvironmentProblem: the folder cannot be written.
    """
    check_name(name)
    folder = directory or Path(f"provision-{name}")
    make(name, folder)
    shown = os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) or not folder.is_absolute() else folder
    click.echo(f"{shown}: a plugin for the platform '{name}', with folders as machines\n")
    click.echo("next:")
    click.echo(f"  cd {shown}")
    click.echo("  pip install -e .[test]               # or: uv pip install -e .[test]")
    click.echo("  pytest && ruff check . && mypy       # passes as it is")
    click.echo(f"  provision plugin show {name}")
    click.echo("  provision validate example")
    click.echo("README.md says which file to change for a platform of your own.")


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a new plugin.

    Raises:
        UserError: saying why.
    """
    if not (_NAME.fullmatch(name) and re.fullmatch(NAME_PATTERN, name)):
        raise UserError(
            f"'{name}' cannot be the name of a platform",
            "write lower-case letters and digits in words joined by '-', beginning with a letter, 40 at most",
        )
    if name in _TAKEN:
        raise UserError(f"a platform cannot be called '{name}': {_TAKEN[name]}", "choose another name")
    rivals = registry.rivals(name)
    if rivals:
        raise UserError(
            f"a plugin called '{name}' is installed already ({registry.distribution(rivals[0])})",
            "choose another name, or uninstall it first",
        )


def make(name: str, folder: Path) -> None:
    """Write the distribution to `folder`, whole or not at all.

    Raises:
        UserError: something is there already.
        EnvironmentProblem: it cannot be written.
    """
    try:
        if os.path.lexists(folder) and not (folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())):
            raise UserError(f"{folder} is there and is not an empty folder", "choose another one with --directory")
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            made = scratch / folder.name
            made.mkdir()
            for path, text in _files(name):
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_text(text, encoding="utf-8")
            made.rename(folder)  # an empty folder gives way; one that was filled meanwhile does not
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise EnvironmentProblem(
            f"{folder} cannot be made: {error.strerror or error}", "choose another folder with --directory"
        ) from error


def _files(name: str) -> Iterator[tuple[Path, str]]:
    module = f"provision_{name.replace('-', '_')}"
    words = {
        "name": name,
        "module": module,
        "variable": module.upper(),
        "compatible": compatible(version("provision")),
    }
    return filled("plugin", words, {"module": module})


def compatible(release: str) -> str:
    """Which releases fit a plugin that was made with `release`: such as `>=0.1.0,<0.2`."""
    numbers = [int(part) for part in re.findall(r"\d+", release)[:3]]
    major, minor = [*numbers, 0, 0][:2]
    return f">={release},<{major + 1}" if major else f">={release},<0.{minor + 1}"
