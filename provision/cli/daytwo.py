"""What the commands for deployed machines share."""

from pathlib import Path
from typing import Any, TypeVar

import click

from provision.cli.options import F, stack
from provision.errors import UserError

P = TypeVar("P")


def of_machine(function: F) -> F:
    """`MACHINE`, `--stack NAME` and `-C DIRECTORY`."""
    function = click.option(
        "-C",
        "--directory",
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        default=".",
        help="Folder of the stack.",
    )(function)
    return click.argument("machine")(stack(function))


def able(provider: Any, protocol: type[P], lack: str) -> P:
    """The provider, which must have the methods of `protocol`.

    Raises:
        UserError: it has not: `lack` says what that means.
    """
    if not isinstance(provider, protocol):
        raise UserError(f"the platform '{provider.name}' {lack}")
    return provider
