"""`provision ci`: pipelines, and what they say to people."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli import options

if TYPE_CHECKING:
    from provision.cli.pipelines import Forge

_FORGES = click.Choice(("github", "gitlab"))
_PAGE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group()
def command() -> None:
    """Make a pipeline; let it comment on changes and keep one issue for drift."""


@command.command()
@click.argument("forge", type=click.Choice(("github", "gitlab", "generic")))
@click.option(
    "--stacks", default="dev", show_default=True, metavar="NAME,…", help="Pulumi stacks, in the order of promotion."
)
@click.option("--branch", default="main", show_default=True, help="Branch whose merges are applied.")
@options.directory
def init(forge: str, stacks: str, branch: str, directory: Path) -> None:
    """Write a pipeline for the stack in DIRECTORY into its repository.

    A proposed change is checked and gets one comment that says what it would do; a merge applies it, stack by stack,
    and verifies what was made; every night drift is looked for. Nothing that is there is overwritten.
    """
    from provision.cli.pipelines import making
    from provision.cli.repository import root_of
    from provision.errors import UserError
    from provision.host.project import read_project
    from provision.loader import load
    from provision.spi import registry

    names = [name.strip() for name in stacks.split(",") if name.strip()]
    if not names or len(set(names)) != len(names):
        raise UserError("--stacks names no stack, or one twice", "such as: --stacks dev,prod")
    folder = directory.absolute()
    root = root_of(folder)
    place = folder.relative_to(root).as_posix()
    making.refuse_names(place, names, branch)
    platform = load(directory, overlay=names[0]).stack.platform
    if not platform:
        raise UserError("the stack file names no platform", "write 'platform:' into it: the pipeline depends on it")
    files = making.pipeline(
        forge,
        project=read_project(folder).name,
        folder=place,
        stacks=names,
        branch=branch,
        provider=registry.load(platform),
    )
    making.write(root, files)
    for path, _ in files:
        click.echo(f"{path} written")
    click.echo("next: read it, set the variables that it names, commit it")


@command.command()
@click.argument("forge", type=_FORGES)
@click.argument("page", type=_PAGE)
def comment(forge: str, page: Path) -> None:
    """Write PAGE as a comment of the change that this pipeline runs for; over its earlier one, when there is one.

    PAGE is what `provision preview --format markdown` printed.
    """
    click.echo(_forge(forge).comment(page.read_text(encoding="utf-8")))


@command.command()
@click.argument("forge", type=_FORGES)
@click.argument("page", type=_PAGE)
def issue(forge: str, page: Path) -> None:
    """Keep one open issue as PAGE says; close it when PAGE says that there is no drift.

    PAGE is what `provision drift --format markdown` printed.
    """
    from provision.cli.drifting import is_quiet
    from provision.cli.pipelines import marker_of

    text = page.read_text(encoding="utf-8")
    marker = marker_of(text)
    if is_quiet(text):
        closed = _forge(forge).close(marker)
        click.echo(closed or "no drift, and no issue is open")
        return
    stack = marker.removeprefix("<!-- provision drift ").removesuffix(" -->")
    click.echo(_forge(forge).issue(f"Drift of {stack}", text))


def _forge(name: str) -> "Forge":
    from provision.cli.pipelines import GitHub, GitLab

    return GitHub() if name == "github" else GitLab()
