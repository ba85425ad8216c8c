"""`provision graph`."""

import shutil
import subprocess
from pathlib import Path

import click

from provision.cli import options
from provision.errors import EnvironmentProblem


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=".")
@options.stack
@click.option("-o", "--output", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("mermaid", "dot", "svg")),
    help="Form of the picture [default: as the file's name ends, else mermaid].",
)
def command(path: Path, stack: str | None, file: Path | None, form: str | None) -> int:
    """Draw a stack: machines, networks, and who may reach whom; nothing is contacted.

    PATH is the stack file, the folder that holds stack.yaml, or - for standard input. Mermaid is what forges draw in
    Markdown; svg is drawn by Graphviz, which must be installed.
    """
    from provision.cli.configured import configured, on_disk
    from provision.loader import load
    from provision.verify.diagram import as_dot, as_mermaid, draw

    settings = configured(path, stack)
    with on_disk(path) as found:
        values = settings.parameters(found)
        loaded = load(found, overlay=settings.stack, values=values, platform=settings.platform)
        name = "stack" if str(path) == "-" else loaded.directory.resolve().name
    form = form or {".dot": "dot", ".gv": "dot", ".svg": "svg"}.get(file.suffix if file else "", "mermaid")
    diagram = draw(loaded.stack, name)
    text = as_mermaid(diagram) if form == "mermaid" else as_dot(diagram)
    if form == "svg":
        text = _svg(text)
    if file is None:
        click.echo(text, nl=False)
        return 0
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentProblem(
            f"{file} cannot be written: {error.strerror}", "choose another file with --output"
        ) from error
    return 0


def _svg(dot: str) -> str:
    program = shutil.which("dot")
    if program is None:
        raise EnvironmentProblem(
            "an SVG is drawn by Graphviz, and its program 'dot' is not here",
            "install it (Debian: apt-get install graphviz), or choose --format mermaid or --format dot",
        )
    done = subprocess.run([program, "-Tsvg"], input=dot, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise EnvironmentProblem(f"Graphviz failed: {done.stderr.strip()}", "choose --format mermaid or --format dot")
    return done.stdout
