"""A project folder as it lies on the disk: Pulumi.yaml, and the configuration of a stack; the engine is not needed."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from provision.errors import UserError

if TYPE_CHECKING:  # every run reads a project, and needs no model for that
    from pydantic import SecretStr

RUNTIME = "provision"


@dataclass(frozen=True)
class Project:
    """What Pulumi.yaml says, as far as we need it.

    Attributes:
        directory: the folder.
        name: Pulumi's name of the project.
        runtime: what runs its program.
        backend: whether the file names the backend.
        config_directory: where the stacks' `Pulumi.STACK.yaml` lie.
    """

    directory: Path
    name: str
    runtime: str
    backend: bool
    config_directory: Path

    def stack_file(self, stack: str) -> Path:
        """Where the settings of a stack are kept."""
        return self.config_directory / f"Pulumi.{stack}.yaml"

    def stack_settings(self, stack: str) -> Mapping[str, Any]:
        """All that `Pulumi.STACK.yaml` says, scalars as text; empty when there is none.

        Raises:
            UserError: it cannot be read.
        """
        file = self.stack_file(stack)
        return _read(file) if file.exists() else {}

    def config(self, stack: str) -> "Mapping[str, str | SecretStr]":
        """Configuration of a stack by full key, as the engine hands it over; secrets, being encrypted, are empty.

        Raises:
            UserError: it cannot be read.
        """
        found = self.stack_settings(stack).get("config") or {}
        if not isinstance(found, Mapping):
            raise UserError(f"'config' in {self.stack_file(stack)} is not a map", "use `pulumi config set`")
        return {key: _value(item) for key, item in found.items()}


def stack_name(given: str | None) -> str:
    """The Pulumi stack that is meant: the given one, else that of PULUMI_STACK, else `dev`."""
    return given or os.environ.get("PULUMI_STACK") or "dev"


def names(directory: Path, stack: str | None) -> tuple[str, str]:
    """Names of the project in a folder and of the Pulumi stack that is meant.

    Raises:
        UserError: the folder is no project.
    """
    return read_project(directory.resolve()).name, stack_name(stack)


def read_project(directory: Path) -> Project:
    """The project of a folder.

    Raises:
        UserError: the folder is no project, or its Pulumi.yaml cannot be read.
    """
    file = directory / "Pulumi.yaml"
    if not file.is_file():
        raise UserError(
            f"{directory} is no Pulumi project: it has no Pulumi.yaml",
            f"go to the folder of the stack, or write a Pulumi.yaml with `name: …` and `runtime: {RUNTIME}`",
        )
    said = _read(file)
    name, runtime = said.get("name"), said.get("runtime")
    if isinstance(runtime, Mapping):
        runtime = runtime.get("name")
    if not isinstance(name, str) or not name:
        raise UserError(f"{file} has no name", "write `name: …` into it")
    settings = directory / str(said.get("stackConfigDir") or ".")
    return Project(directory, name, str(runtime or "none"), "backend" in said, settings)


def _read(file: Path) -> Mapping[str, Any]:
    try:  # the loader makes text alone, as the engine hands configuration over
        said = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}", "look at its permissions") from None
    except UnicodeDecodeError:
        raise UserError(f"{file} is not text in UTF-8", "save it as UTF-8") from None
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "it is not YAML"
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UserError(f"{file}{place}: {problem}", "mend the YAML") from None
    if not isinstance(said, Mapping):
        raise UserError(f"{file} is not a map of keys and values", "begin it with `name: …`")
    return said


def _value(item: Any) -> "str | SecretStr":
    from pydantic import SecretStr

    if isinstance(item, str):
        return item
    if isinstance(item, Mapping) and list(item) == ["secure"]:
        return SecretStr("")
    return json.dumps(item)
