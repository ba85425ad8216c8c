"""`provision preview`."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli import options

if TYPE_CHECKING:  # imported when the command runs
    from provision.cli.run import Session


@click.command()
@options.engine_options
@options.output_format("human", "json", "markdown")
@click.option(
    "--limit",
    type=click.IntRange(2_000),
    default=65_000,
    show_default=True,
    help="Most characters of the page that --format markdown prints.",
)
@click.option(
    "--save-plan",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Save what would be done, for `up --plan FILE` to do exactly that.",
)
@options.allow_destroy
@options.rules
@options.replace
def command(
    directory: Path,
    stack: str | None,
    output: str,
    parallel: int | None,
    detailed_exitcode: bool,
    events: Path | None,
    allow_destroy: tuple[str, ...],
    rules: tuple[Path, ...],
    replace: tuple[str, ...],
    limit: int,
    save_plan: Path | None,
) -> int:
    """Show what `up` would change in the stack in DIRECTORY; nothing is changed.

    With --format markdown it prints a page for the comment of a pull request: what is lost, what the change opens and
    closes, what is not enforced, and what changes. Its first line says which comment it replaces.
    """
    from provision.cli.run import Session
    from provision.host.automation import open_workspace

    options.refuse_planned(replace, save_plan, "--save-plan")
    workspace = open_workspace(directory.resolve(), stack, create=True, allow_destroy=allow_destroy, rules=rules)
    session = Session(workspace, output, parallel, events=events, replace=replace)
    with _saving(session, directory, save_plan, rules) as plan:
        if output == "markdown":
            return _page(session, directory, limit, detailed_exitcode, plan)
        return session.finish("preview", detailed_exitcode=detailed_exitcode, plan=plan)


def _saving(
    session: "Session", directory: Path, file: Path | None, rules: tuple[Path, ...]
) -> AbstractContextManager[Path | None]:
    if file is None:
        return nullcontext()
    from provision.cli.saved import planning

    return planning(session, directory, file, rules)


def _page(session: "Session", directory: Path, limit: int, detailed_exitcode: bool, plan: Path | None) -> int:
    result, changes = session.run("preview", plan=plan)
    from provision.cli.review import Isolation, Review, isolation, page
    from provision.cli.run import exit_code
    from provision.errors import ProvisionError

    try:
        # The engine has just said what the state holds: nothing need be read again where it is what the file says.
        known = result.succeeded and result.isolation_kept
        found = Isolation() if known else isolation(session.workspace, directory, result.downgraded)
    except ProvisionError as error:
        found = Isolation(unknown=error.summary)
    sized = None
    if changes.native():
        from provision.cli.review.sizes import sizes

        sized = sizes(changes)
    review = Review(session.workspace.project, session.workspace.stack_name, result, changes, found, sized)
    click.echo(page(review, limit), nl=False)
    return exit_code(result, detailed_exitcode=detailed_exitcode)
