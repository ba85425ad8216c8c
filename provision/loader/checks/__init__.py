"""Checks over the whole stack that no single model can make."""

from pathlib import Path

from provision.diagnostics import DiagnosticSink, Position
from provision.diagnostics import Path as DataPath
from provision.loader.expressions import Expression
from provision.models import Stack


def check(
    stack: Stack,
    holes: set[DataPath],
    later: list[tuple[DataPath, Expression, Position]],
    sink: DiagnosticSink,
    directory: Path,
) -> Stack:
    return stack
