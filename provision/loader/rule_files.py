"""Which rules files hold for a stack: named for a run, for this machine, in the configuration, or beside it."""

import os
from collections.abc import Collection, Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path

RULES_FILE = "rules.yaml"
"""A rules file of this name beside the stack file always holds."""

VARIABLE = "PROVISION_RULES"
"""Names rules files for every run, separated as in PATH; `--rules` adds to it."""

CONFIGURED = "rules"
"""Key in Pulumi's configuration, in the namespace `provision`: one path or a list, from the stack's folder."""


GROUP = "provision.rules"
"""Entry points of rules in Python; those that are installed always hold."""


def any_rules(files: Collection[Path]) -> bool:
    """Whether any rule may hold: of files, or installed."""
    return bool(files) or bool(entry_points(group=GROUP))


def rule_files(
    directory: Path,
    configured: Iterable[str] = (),
    named: Iterable[Path] = (),
    environment: Mapping[str, str] = os.environ,
) -> tuple[Path, ...]:
    """All rules files that hold, each once; one that is named need not be there, so that reading it says so.

    Args:
        directory: folder of the stack file.
        configured: what `provision:rules` lists.
        named: files that are given for this run.
        environment: of this process.
    """
    found = [path.absolute() for path in named]
    found += [Path(text).absolute() for text in environment.get(VARIABLE, "").split(os.pathsep) if text]
    found += [directory / text for text in configured]
    if (beside := directory / RULES_FILE).is_file():
        found.append(beside)
    once: dict[Path, Path] = {}
    for path in found:
        once.setdefault(path.resolve(), path)
    return tuple(once.values())
