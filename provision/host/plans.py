"""Saved plans: what a preview has shown, with what it was made from, so that an update does exactly that or nothing.

The engine holds every resource of an update to its plan, but finds a difference only when it comes to that resource.
What could make one is therefore compared before anything is changed: files, configuration and state.
"""

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from errno import ENOTDIR
from hashlib import blake2s
from pathlib import Path
from typing import Any

from provision.errors import EnvironmentProblem, UserError
from provision.host.events import name_of, without_secrets

SCHEMA = 1
"""Version of the file."""

_FORM = "provision plan"
_KEPT = ("type", "id", "custom", "parent", "protect", "provider", "inputs", "outputs", "delete")
_MOST = 5


@dataclass(frozen=True)
class Basis:
    """What a plan is made from, as digests: a plan is handed around, and a stack file is nobody else's business.

    Attributes:
        project: Pulumi project.
        stack: Pulumi stack.
        files: by name, a digest of each line.
        config: of the stack's configuration; secrets are in it as they are encrypted.
        resources: of what the state holds of each resource, by URN.
    """

    project: str
    stack: str
    files: Mapping[str, list[str]]
    config: str
    resources: Mapping[str, str]


@dataclass(frozen=True)
class SavedPlan:
    """A plan as its file holds it.

    Attributes:
        salt: of all digests.
        basis: what it is made from.
        engine: the engine's own plan.
    """

    salt: str
    basis: Basis
    engine: Mapping[str, Any]


def new_salt() -> str:
    """A salt for one plan, so that digests of short texts cannot be guessed from a list."""
    return secrets.token_hex(16)


def basis(
    salt: str, project: str, stack: str, files: Mapping[str, str], config: object, state: Mapping[str, Any]
) -> Basis:
    """What a plan is, or would be, made from.

    Args:
        salt: of the plan.
        project: Pulumi project.
        stack: Pulumi stack.
        files: texts by name.
        config: the stack's configuration, with encrypted secrets.
        state: the exported state.
    """
    found = {
        str(item["urn"]): _digest(salt, without_secrets({key: item.get(key) for key in _KEPT}))
        for item in state.get("resources") or ()
    }
    texts = {name: [_digest(salt, line) for line in text.splitlines()] for name, text in files.items()}
    return Basis(project, stack, texts, _digest(salt, config), found)


def save(path: Path, plan: SavedPlan) -> None:
    """Write a plan; what stood there before is gone in any case.

    Raises:
        EnvironmentProblem: it cannot be written.
    """
    text = json.dumps({"form": _FORM, "schema": SCHEMA, **asdict(plan)})
    discard(path)
    with (
        _explained(path),
        open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file,
    ):
        file.write(text)


def discard(path: Path) -> None:
    """Remove an earlier plan, so that nobody takes it for one that could not be made.

    Raises:
        EnvironmentProblem: it cannot be removed, or there is no folder for one.
    """
    with _explained(path):
        path.unlink(missing_ok=True)
        if not path.parent.is_dir():
            raise NotADirectoryError(ENOTDIR, f"there is no folder {path.parent}")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EnvironmentProblem(
            f"{path} cannot be written: {error.strerror}", "choose another file with --save-plan"
        ) from error


def read(path: Path) -> SavedPlan:
    """Read a plan.

    Raises:
        UserError: it is none, or of another version.
    """
    again = "make one with `provision preview --save-plan FILE`"
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", again) from None
    except ValueError:
        said = None
    if not isinstance(said, dict) or said.get("form") != _FORM:
        raise UserError(f"{path} is no plan of provision", again)
    if said.get("schema") != SCHEMA:
        raise UserError(f"{path} is a plan of another version of provision", again)
    try:
        return SavedPlan(said["salt"], Basis(**said["basis"]), said["engine"])
    except (KeyError, TypeError):
        raise UserError(f"{path} is a plan that something has broken", again) from None


def moved(then: Basis, now: Basis) -> list[str]:
    """What is no longer as it was when the plan was made, each in one line; nothing when the plan still holds."""
    if (then.project, then.stack) != (now.project, now.stack):
        return [f"the plan is for the stack '{then.stack}' of '{then.project}'"]
    found = [*_moved_files(then.files, now.files)]
    if then.config != now.config:
        found.append("the configuration of the stack has changed")
    return [*found, *_moved_resources(then.resources, now.resources)]


def _moved_files(then: Mapping[str, list[str]], now: Mapping[str, list[str]]) -> Iterator[str]:
    for name in dict.fromkeys((*then, *now)):
        if name not in now:
            yield f"{name} is no longer read"
        elif name not in then:
            yield f"{name} is read now, and was not"
        elif then[name] != now[name]:
            pairs = zip(then[name], now[name], strict=False)
            same = next((index for index, (one, two) in enumerate(pairs) if one != two), None)
            line = min(len(then[name]), len(now[name])) if same is None else same
            yield f"{name}:{line + 1} is not as it was"


def _moved_resources(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    changed = [urn for urn in then if urn in now and then[urn] != now[urn]]
    for words, urns in (
        ("the state has other values for", changed),
        ("the state no longer has", [urn for urn in then if urn not in now]),
        ("the state has in addition", [urn for urn in now if urn not in then]),
    ):
        if urns:
            yield f"{words} {_listed(map(name_of, urns))}"


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - _MOST} more" if len(known) > _MOST else ""
    return ", ".join(known[:_MOST]) + more


def _digest(salt: str, value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return blake2s(text.encode(), key=bytes.fromhex(salt), digest_size=10).hexdigest()
