"""Failures of a component as the engine and a program's author want them: by input, with the reason and the fix."""

from collections.abc import Mapping
from typing import Any

import grpc

from provision.diagnostics import Diagnostic, Severity, format_path
from provision.errors import EnvironmentProblem, StackFileError, UserError
from provision.host.component.refusing import Refused
from provision.host.deploying.explain import explain, without_count
from provision.loader import render


def refused(error: Exception, name: str, inputs: Mapping[str, Any]) -> Refused:
    """The status for whatever went wrong before or while the component `name` was made."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, StackFileError):
        return _file_error(error, name, inputs)
    if isinstance(error, UserError):
        code = grpc.StatusCode.INVALID_ARGUMENT
    elif isinstance(error, EnvironmentProblem):
        code = grpc.StatusCode.FAILED_PRECONDITION
    else:
        code = grpc.StatusCode.ABORTED
    return Refused(code, f"stack '{name}': {explain(error)}")


def _file_error(error: StackFileError, name: str, inputs: Mapping[str, Any]) -> Refused:
    reasons: dict[str, str] = {}
    others: list[Diagnostic] = []
    for item in map(_in_a_program, error.diagnostics):
        path = _input_path(item, inputs)
        if item.severity is Severity.ERROR and path is not None and path not in reasons:
            reasons[path] = f"{item.summary} ({item.fix})" if item.fix else item.summary
        else:
            others.append(item)
    text = f"stack '{name}': {error.summary}"
    if others:
        text += f"\n{without_count(render(others, error.source_map))}"
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, text, reasons)


def _input_path(item: Diagnostic, inputs: Mapping[str, Any]) -> str | None:
    """The input that a mistake lies in, when it can be named.

    The engine shows the value of an input that it names: none is named whose value is long, or secret.
    """
    path, parts = "", item.path
    value: Any = None
    if len(item.path) == 2 and item.path[0] == "parameters" and "parameters" in inputs:
        path, value, parts = format_path(item.path), inputs["parameters"], (item.path[1],)
    elif "definition" in inputs and item.path:
        path, value = f"definition.{format_path(item.path)}", inputs["definition"]
    if not path:
        return None
    for part in parts:
        try:
            value = value[part]
        except (TypeError, KeyError, IndexError):
            return path  # nothing is there, so nothing would be shown
    return path if value is None or isinstance(value, bool | int | float | str) else None


def _in_a_program(item: Diagnostic) -> Diagnostic:
    """Fixes that speak of configuration speak of the component's inputs instead."""
    if len(item.path) == 2 and item.path[0] == "parameters" and item.fix.startswith("run: pulumi config set"):
        default = "; or give it a default" if item.fix.endswith("give it a default") else ""
        fix = f"set '{item.path[1]}' in the 'parameters' of the component{default}"
        return Diagnostic(item.severity, item.summary, fix, item.path, item.position)
    return item
