"""User data: one source for each machine; files are read here, so that all that follows needs no disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from provision.diagnostics import Diagnostic, Position, Severity
from provision.diagnostics import Path as DataPath
from provision.loader.checks.context import Context
from provision.loader.expressions import ExpressionError
from provision.loader.files import shown
from provision.models import Machine, Stack, UserData

MAX_BYTES = 1 << 20
Expand = Callable[[DataPath, str, Callable[[int, int], Position]], Any]
"""Puts values into a text: its path, the text, and from offset and length to a position."""


class UserDataFiles:
    """Reads each file once, however many machines use it."""

    def __init__(self, context: Context, directory: Path, expand: Expand, sources: dict[str, str]) -> None:
        """Read files below `directory`; `sources` takes their texts, for excerpts."""
        self._context = context
        self._directory = directory
        self._expand = expand
        self._sources = sources
        self._read: dict[tuple[str, bool], str | SecretStr | None] = {}

    def fill(self, stack: Stack) -> Stack:
        """The stack with every file in place of its name; what is wrong is reported."""
        changed: dict[str, Machine] = {}
        for name, machine in stack.machines.items():
            data = machine.user_data
            path: DataPath = ("machines", name, "user_data")
            if data is None or not self._context.known(*path):
                continue
            if isinstance(data, UserData):
                text = self._one(path, data)
                if text is not None and data.file is not None:
                    filled = UserData(text=text, template=data.template)
                    changed[name] = machine.model_copy(update={"user_data": filled})
        return stack.model_copy(update={"machines": {**stack.machines, **changed}}) if changed else stack

    def _one(self, path: DataPath, data: UserData) -> str | SecretStr | None:
        sink = self._context.sink
        if data.text is not None and data.file is not None:
            sink.error((*path, "file"), "both 'text' and 'file' are given", "keep one of them", key=True)
            return None
        if data.file is None:
            if data.text is None:
                sink.error(path, "the user data has neither 'text' nor 'file'", "add one of them", key=True)
            return data.text
        key = (data.file, data.template)
        if key not in self._read:
            self._read[key] = self._file((*path, "file"), data.file, data.template)
        return self._read[key]

    def _file(self, path: DataPath, name: str, template: bool) -> str | SecretStr | None:
        sink = self._context.sink
        file = self._directory / name
        try:
            inside = file.resolve().is_relative_to(self._directory.resolve())
            if not inside:
                sink.error(path, f"'{name}' is outside the stack's directory", "copy it beside the stack file")
                return None
            if not file.is_file():
                what = "is no regular file" if file.exists() else "does not exist"
                sink.error(path, f"the file '{name}' {what}", "paths are relative to the stack file")
                return None
            with file.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except PermissionError:
            sink.error(path, f"the file '{name}' may not be read by this user", f"chmod u+r {name}")
            return None
        except (OSError, ValueError, RuntimeError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            sink.error(path, f"the file '{name}' cannot be read: {reason}", "check the path")
            return None
        if len(data) > MAX_BYTES:
            sink.error(path, f"the file '{name}' is larger than 1 MiB", "let the machine download what is large")
            return None
        try:
            text = data.decode()
        except UnicodeDecodeError:
            sink.error(path, f"the file '{name}' is not UTF-8 text", "user data is text: encode what is binary")
            return None
        return self._template(path, file, text) if template else text

    def _template(self, path: DataPath, file: Path, text: str) -> str | SecretStr | None:
        label = shown(file)
        self._sources[label] = text

        def place(offset: int, length: int) -> Position:
            before = text[:offset]
            return Position(label, before.count("\n") + 1, offset - before.rfind("\n"), length)

        try:
            value = self._expand(path, text, place)
        except ExpressionError as error:
            position = place(error.offset, error.length)
            self._context.sink.add(Diagnostic(Severity.ERROR, error.summary, error.fix, path, position))
            return None
        return value if isinstance(value, str | SecretStr) or value is None else str(value)
