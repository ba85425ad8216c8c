"""Errors in words for a person."""

import traceback

from provision.errors import ProvisionError, StackFileError
from provision.loader import render


def explain(error: Exception) -> str:
    """What a person is told about an error; never a traceback, unless it is a defect of the product."""
    if isinstance(error, StackFileError):
        return f"{error.summary}\n{without_count(render(error))}"
    if isinstance(error, ProvisionError):
        return str(error)
    where = "".join(traceback.format_tb(error.__traceback__, limit=-3))
    return f"this is a defect of provision, please report it: {type(error).__name__}\n{where}"


def without_count(rendered: str) -> str:
    """Diagnostics without their number: the engine counts by itself."""
    return rendered.rstrip().rpartition("\n")[0]
