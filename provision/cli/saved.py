"""Plans that are saved by a preview and carried out by an update, as commands deal with them."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from provision.cli.changes import Action, Change
from provision.cli.configured import configured
from provision.cli.review.isolation import load_without_secrets
from provision.cli.run import Session
from provision.cli.words import details
from provision.errors import UserError
from provision.host.plans import Basis, SavedPlan, basis, discard, moved, new_salt, read, save
from provision.host.project import read_project
from provision.loader.rule_files import rule_files

_AGAIN = "look at it anew: provision preview --save-plan FILE"


@contextmanager
def planning(session: Session, directory: Path, file: Path, rules: Sequence[Path]) -> Iterator[Path]:
    """Give the engine's preview a place for its plan, and save that with what it was made from.

    Raises:
        ProvisionError: the plan cannot be saved.
    """
    discard(file)
    salt = new_salt()
    with tempfile.TemporaryDirectory(prefix="provision-plan-") as folder:
        path = Path(folder) / "plan.json"
        yield path
        if path.exists():  # else the preview failed, and has said why
            now = _basis(salt, session, directory, rules)
            save(file, SavedPlan(salt, now, json.loads(path.read_text(encoding="utf-8"))))


@contextmanager
def planned(session: Session, directory: Path, file: Path, rules: Sequence[Path]) -> Iterator[Path]:
    """The engine's plan of a saved one, when nothing has moved since.

    Raises:
        UserError: the file is no plan, or something has moved: in the files, the state or on the platform.
    """
    plan = read(file)
    found = moved(plan.basis, _basis(plan.salt, session, directory, rules)) or _drifted(session)
    if found:
        shown = "\n  ".join(found)
        raise UserError(f"the plan {file} does not hold any more, and nothing was changed:\n  {shown}", _AGAIN)
    with tempfile.TemporaryDirectory(prefix="provision-plan-") as folder:
        path = Path(folder) / "plan.json"
        path.write_text(json.dumps(plan.engine), encoding="utf-8")
        yield path


def _basis(salt: str, session: Session, directory: Path, rules: Sequence[Path]) -> Basis:
    workspace, folder = session.workspace, directory.resolve()
    settings = configured(folder, workspace.stack_name)
    texts = {
        _name(Path(name), folder): text
        for name, text in load_without_secrets(workspace, folder).source_map.sources.items()
    }
    for path in rule_files(folder, settings.rules, rules):
        texts[_name(path, folder)] = path.read_text(encoding="utf-8", errors="replace")
    config = read_project(folder).stack_settings(workspace.stack_name).get("config")
    return basis(salt, workspace.project, workspace.stack_name, texts, config, workspace.export())


def _name(path: Path, folder: Path) -> str:
    """A file's name that does not hang on where a pipeline has checked the project out."""
    whole = path.resolve()
    return str(whole.relative_to(folder)) if whole.is_relative_to(folder) else whole.name


def _drifted(session: Session) -> list[str]:
    """What the platform has otherwise than the state."""
    result, changes = session.run("preview-refresh", silent=True)
    if not result.succeeded:
        said = "; ".join(message.text for message in result.messages if message.severity == "error")
        return [f"the platform cannot be compared with the state: {said or 'the engine failed'}"]
    return [f"the platform has moved: {_moved(change)}" for change in changes.native()]


def _moved(change: Change) -> str:
    if change.action is Action.DELETE:
        return f"{change.name} is gone"
    return "; ".join((f"{change.name} was changed", *details(change)))
