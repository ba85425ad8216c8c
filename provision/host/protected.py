"""Machines and disks that are neither deleted nor made anew: `delete_protection`, which the engine calls `protect`."""

import re
from collections.abc import Mapping
from typing import Any

from provision.errors import UserError
from provision.host.interrupted import backend_folder
from provision.host.permission import subject

_LIFT = (
    "write 'delete_protection: false' for it (what has left the stack file is put back with that), run `provision up`, "
    "then do this again"
)
_ENGINE = re.compile(
    r'resource "[^"]+::(?P<name>[^":]+)"\s+'
    r"(?:cannot be deleted\s+because it is protected|as it is currently marked for protection)"
)


def may_be_protected(url: str, project: str, stack: str) -> bool:
    """Whether it is worth asking the engine for the state; False only when surely nothing in it is protected."""
    if not url.startswith("file://"):
        return True
    try:
        text = (backend_folder(url) / "stacks" / project / f"{stack}.json").read_bytes()
    except OSError:
        return True
    return b'"protect"' in text


def refuse_protected(state: Mapping[str, Any]) -> None:
    """Refuse to remove a stack of which anything is protected, before the rest of it is removed.

    Raises:
        UserError: something is.
    """
    found = [str(it["urn"]).rpartition("::")[2] for it in state.get("resources") or () if it.get("protect")]
    machines = list(dict.fromkeys(subject(name).machine or name for name in found))
    if machines:
        names = ", ".join(f"'{name}'" for name in machines)
        raise UserError(
            f"protected ('delete_protection'), so not removed: {names}; nothing was changed",
            "write 'delete_protection: false' for what is to go (what has left the stack file is put back with that), "
            "run `provision up`, then do this again",
        )


def reworded(text: str) -> str:
    """A message of the engine, in the words of a stack file when it is about protection."""
    match = _ENGINE.search(text)
    if match is None:
        return text
    return f"{subject(match['name']).words} is protected, so it is neither deleted nor made anew\nfix: {_LIFT}"
