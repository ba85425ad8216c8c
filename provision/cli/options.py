"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_PARALLEL = "Most operations at the same time [default: $PULUMI_PARALLEL, else at least 16]."


def directory(function: F) -> F:
    """`[DIRECTORY]`: folder of the stack."""
    return click.argument(
        "directory", type=click.Path(path_type=Path, file_okay=False, exists=True), default=".", required=False
    )(function)


def stack(function: F) -> F:
    """`--stack NAME`."""
    return click.option("-s", "--stack", help="Pulumi stack [default: $PULUMI_STACK, else dev].")(function)


def output_format(*formats: str) -> Callable[[F], F]:
    """`--format`."""
    return click.option(
        "--format",
        "output",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="Form of the output.",
    )


def run_options(function: F) -> F:
    """Options of every command that runs the engine."""
    return output_format("human", "json")(engine_options(function))


def engine_options(function: F) -> F:
    """The same without the form of the output."""
    function = events(function)
    function = click.option("--parallel", type=click.IntRange(1), help=_PARALLEL)(function)
    function = click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")(function)
    return stack(directory(function))


def events(function: F) -> F:
    """`--events FILE`."""
    return click.option(
        "--events",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Add a line of JSON to this file for everything that happens, while it happens.",
    )(function)


def lock_timeout(function: F) -> F:
    """`--lock-timeout SECONDS`."""
    return click.option(
        "--lock-timeout",
        metavar="SECONDS",
        type=click.FloatRange(0),
        default=0.0,
        help="Wait so long for another run on the same stack to end [default: not at all].",
    )(function)


def rules(function: F) -> F:
    """`--rules FILE`."""
    return click.option(
        "--rules",
        metavar="FILE",
        multiple=True,
        type=click.Path(path_type=Path, dir_okay=False),
        help="Rules that the stack must keep, beside rules.yaml and what is configured; may be repeated.",
    )(function)


def allow_destroy(function: F) -> F:
    """`--allow-destroy NAME`."""
    return click.option(
        "--allow-destroy",
        metavar="NAME",
        multiple=True,
        help="Machine, MACHINE/DISK or pattern whose data this run may destroy; may be repeated.",
    )(function)


def replace(function: F) -> F:
    """`--replace NAME`."""
    return click.option(
        "--replace",
        metavar="NAME",
        multiple=True,
        help="Machine, MACHINE/DISK, path such as networks/front, or pattern that is made anew; may be repeated.",
    )(function)


def refuse_planned(replace: tuple[str, ...], plan: Path | None, option: str) -> None:
    """Refuse a replacement together with a saved plan, which would not have it.

    Raises:
        click.UsageError: both are given.
    """
    if replace and plan is not None:
        raise click.UsageError(
            f"a plan holds what the files say, not what is asked for besides: give {option} or --replace"
        )
