"""Puts distributions with plugins on the path, as an installer would, without installing anything."""

import textwrap
from pathlib import Path

GOOD = """
from typing import Annotated, ClassVar
from pydantic import Field
from provision.spi import *

class Settings(Properties):
    '''Nothing much.'''
    place: Annotated[str, Field(description="Where.")] = "here"

class Plugin(Provider):
    '''A platform that does nothing.'''
    name: ClassVar = "NAME"
    version: ClassVar = "1.2.3"
    Config: ClassVar = Settings
    resource_types: ClassVar = ()

    def connect(self, config):
        return None

    def capabilities(self, session):
        return Capabilities(self.name)

    def supports(self, use, capabilities):
        return unsupported("it does nothing", "remove it")

    def translate(self, request):
        return GraphBuilder().build()
"""


def install(folder: Path, name: str, code: str = GOOD, *, distribution: str = "", suite: str = "") -> None:
    """A distribution below `folder` that brings the plugin `name`; `suite` is the code of a conformance suite."""
    distribution = distribution or f"provision-{name}"
    module = distribution.replace("-", "_")
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(textwrap.dedent(code).replace("NAME", name))
    entries = f"[provision.providers]\n{name} = {module}:Plugin\n"
    if suite:
        (folder / f"{module}_suite.py").write_text(textwrap.dedent(suite).replace("NAME", name))
        entries += f"[provision.conformance]\n{name} = {module}_suite:Suite\n"
    info = folder / f"{module}-4.5.6.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 4.5.6\n")
    (info / "entry_points.txt").write_text(entries)
