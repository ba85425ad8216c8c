"""`provision up`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli import options
from provision.errors import UserError

if TYPE_CHECKING:  # imported when the command runs
    from provision.cli.run import Session


@click.command()
@options.run_options
@options.lock_timeout
@options.allow_destroy
@options.rules
@options.replace
@click.option(
    "--plan",
    "plan_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Do exactly what `preview --save-plan FILE` has shown, or nothing.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask; needed without a terminal.")
def command(
    directory: Path,
    stack: str | None,
    output: str,
    parallel: int | None,
    detailed_exitcode: bool,
    events: Path | None,
    lock_timeout: float,
    allow_destroy: tuple[str, ...],
    rules: tuple[Path, ...],
    replace: tuple[str, ...],
    plan_file: Path | None,
    yes: bool,
) -> int:
    """Make the platform as the stack file in DIRECTORY says.

    With --replace what is named is made anew although the file says nothing else; `preview --replace` shows what that
    does. A machine is made anew with its boot disk, and without its data disks and NICs.

    With --plan nothing is done when the files, the configuration, the state or the platform have moved since the plan
    was saved; what has is named.
    """
    from provision.cli.mending import mend_left
    from provision.cli.run import Session
    from provision.host.automation import open_workspace

    options.refuse_planned(replace, plan_file, "--plan")
    if not yes and not sys.stdin.isatty():
        raise UserError(
            "`up` asks before it changes anything, and there is no terminal",
            "look at `provision preview`, then add --yes",
        )
    workspace = open_workspace(directory.resolve(), stack, create=True, allow_destroy=allow_destroy, rules=rules)
    mend_left(workspace, directory)
    session = Session(workspace, output, parallel, events=events, wait=lock_timeout, replace=replace)
    if plan_file is not None:
        return _as_planned(session, directory, plan_file, rules, yes, detailed_exitcode)
    if not yes:
        code = session.confirmed("preview", "Make these changes?")
        if code is not None:
            return code
    return session.finish("up", detailed_exitcode=detailed_exitcode)


def _as_planned(
    session: "Session", directory: Path, file: Path, rules: tuple[Path, ...], yes: bool, detailed_exitcode: bool
) -> int:
    from provision.cli.asking import agreed
    from provision.cli.saved import planned

    with planned(session, directory, file, rules) as plan:
        if not yes and not agreed(f"Make the changes of {file}?"):
            raise click.ClickException("not confirmed: nothing was changed")
        return session.finish("up", detailed_exitcode=detailed_exitcode, plan=plan)
