"""Random edits to a stack of 50 machines, each planned, applied as planned, looked at; then nothing is left to do."""

import json
from pathlib import Path

import pytest
from editing import Edited, standing
from test_engine_cli import Project, project  # noqa: F401 - a fixture

pytestmark = pytest.mark.engine
EDITS = 2
"""So many here; `python benchmarks/edits.py` makes a hundred."""


def begin(project: Project, seed: int) -> Edited:  # noqa: F811
    """A stack of 50 machines, deployed."""
    edited = Edited.of(seed, {"web": 20, "app": 15, "db": 5}, singles=10)
    for file in ("Pulumi.yaml", "stack.yaml"):
        (project.folder / file).unlink()
    (project.folder / "Pulumi.yaml").write_text("name: many\nruntime: provision\n")
    (project.folder / "stack.yaml").write_text(edited.text())
    project.fine("up", "--yes")
    assert standing(project.store) == edited.expected()
    return edited


def step(project: Project, edited: Edited) -> str:  # noqa: F811
    """One edit, from the plan to a second preview that is empty; gives its name."""
    name = edited.edit()
    (Path(project.folder) / "stack.yaml").write_text(edited.text())
    planned = project.fine("preview", "--save-plan", "plan.json", "--allow-destroy", "*", "--format", "json")
    done = project.fine("up", "--yes", "--plan", "plan.json", "--allow-destroy", "*", "--format", "json")
    assert _what(done.out) == _what(planned.out), name
    assert standing(project.store) == edited.expected(), name
    calls = len(project.store.mutations())
    assert project.fine("preview", "--detailed-exitcode").out.startswith("Nothing to change: "), name
    assert project.fine("drift", "--detailed-exitcode").out.startswith("No drift: "), name
    assert len(project.store.mutations()) == calls, name
    return name


def _what(text: str) -> list[tuple[str, str]]:
    """What was, or is to be, done on the platform."""
    steps = json.loads(text)["steps"]
    return sorted((one["op"], one["name"]) for one in steps if one["type"].startswith("provision-memory:"))


def test_edits_at_random_do_what_was_planned_and_leave_nothing_to_do(project: Project) -> None:  # noqa: F811
    edited = begin(project, seed=329)  # a disk is added, a machine removed
    for _ in range(EDITS):
        step(project, edited)
