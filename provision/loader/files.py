"""Getting a file's text: every way in which that can fail, in words."""

import os
import re
from pathlib import Path

from provision.diagnostics import Diagnostic, Position, Severity, SourceMap
from provision.errors import StackFileError, UserError
from provision.loader.reader import MAX_BYTES

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff\ud800-\udfff]")
STACK_FILE = "stack.yaml"


def shown(path: Path) -> str:
    """The name of a file as messages show it: relative to the current directory when below it."""
    absolute = path.absolute()
    try:
        return str(absolute.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(absolute)


def stack_path(path: Path) -> Path:
    """The stack file that `path` names: itself, or `stack.yaml` in it."""
    return path / STACK_FILE if path.is_dir() else path


def read_text(path: Path) -> str:
    """The text of a stack file, without a byte order mark.

    Raises:
        UserError: when the file cannot be read.
        StackFileError: when it is not text.
    """
    name = shown(path)
    try:
        if path.is_dir():
            raise UserError(f"{name} is a directory", "give the path of a stack file")
        if path.exists() and not path.is_file():
            raise UserError(f"{name} is not a regular file", "give the path of a stack file")
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > MAX_BYTES:
                raise UserError(
                    f"{name} has {size / 1e6:.1f} MB; a stack file has at most {MAX_BYTES // 1_000_000} MB",
                    "use 'count:' for machines that are alike, or split the stack",
                )
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"there is no {name}", "run in the stack's directory, or give the file's path") from None
    except PermissionError:
        raise UserError(f"{name} may not be read by this user", f"chmod u+r {name}, or run as its owner") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise UserError(f"{name} cannot be read: {reason}", "check the path and the disk") from None
    return _decode(data, name)


def _decode(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        hint = "save the file as UTF-8"
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            hint = "the file is UTF-16: save it as UTF-8"
        raise _refuse(name, data.decode("utf-8-sig", "replace"), len(before), "this is not UTF-8 text", hint) from None
    if match := _CONTROL.search(text):
        code = ord(match[0])
        what = "a NUL character" if code == 0 else f"the control character U+{code:04X}"
        raise _refuse(name, text, match.start(), f"{what} cannot stand in a stack file", "remove it, or escape it")
    return text


def _refuse(name: str, text: str, offset: int, summary: str, fix: str) -> StackFileError:
    lines = re.split(r"\r\n|[\r\n\x85\u2028\u2029]", text[:offset])
    position = Position(name, len(lines), len(lines[-1]) + 1)
    return StackFileError([Diagnostic(Severity.ERROR, summary, fix, (), position)], SourceMap(sources={name: text}))
