"""Which plugins a run will ask for, guessed from text alone: a wrong guess costs a process that nobody uses."""

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from provision.host.interrupted import backend_folder
from provision.host.project import Project
from provision.host.standby.starting import Expected

_RUNNING = ("up", "preview")
"""Commands that have the language host run the stack file; the others take all from the state."""

_NAME = r"""\s*["']?([a-z][a-z0-9-]*)"""
_TOP = re.compile(rf"^platform:{_NAME}", re.MULTILINE)
_BELOW = re.compile(rf"^[ \t{{].*?\bplatform:{_NAME}", re.MULTILINE)
_CONFIGURED = re.compile(rf"\bprovision:platform:{_NAME}")
_RECORDED = re.compile(r'"pulumi:providers:provision-([a-z][a-z0-9-]*)"')


def expected_plugins(project: Project, stack: str, backend: str, command: str) -> Expected:
    """The plugins that a run of `command` (see `provision.host.running`) will most likely ask for.

    Args:
        project: the folder.
        stack: Pulumi's name of the stack.
        backend: its URL.
        command: what is run.
    """
    runs = command in _RUNNING
    if runs:
        platforms = _written(project, stack)
    elif backend.startswith("file://"):
        record = backend_folder(backend) / "stacks" / project.name / f"{stack}.json"
        platforms = list(dict.fromkeys(_RECORDED.findall(_text(record))))
    else:
        platforms = []
    return Expected(runs, tuple(platforms))


def _written(project: Project, stack: str) -> list[str]:
    """Platforms that the stack file, its overlay and the configuration name."""
    texts = [_text(project.directory / name) for name in (f"stack.{stack}.yaml", "stack.yaml")]
    chosen = _CONFIGURED.findall(_text(project.stack_file(stack))) or _first(_TOP.findall(text) for text in texts)
    return list(dict.fromkeys([*chosen, *(name for text in texts for name in _BELOW.findall(text))]))


def _first(found: Iterable[list[str]]) -> list[str]:
    return next((names for names in found if names), [])


def _text(file: Path) -> str:
    with suppress(OSError):
        return file.read_text(encoding="utf-8", errors="replace")
    return ""
