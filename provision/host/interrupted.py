"""What a run that was killed leaves in Pulumi's own records, and how the next run goes on from there.

The engine notes each operation before it begins. One that never ended stays noted as pending, and from then on every
run warns that a person should find out what became of it. Here nobody need: creates take up what an interrupted create
left, and what was being changed or removed is read anew before anything is decided on it.
"""

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from provision.errors import ProvisionError

PENDING = re.compile(r"Attempting to deploy or update resources with (\d+) pending operations")
"""How the engine's warning about pending operations begins, whatever the run does."""

_OURS = "provision-"


def pending_creates(deployment: Mapping[str, Any]) -> list[str]:
    """URNs of our resources that an interrupted run was making."""
    return [
        operation["resource"]["urn"]
        for operation in deployment.get("pending_operations") or ()
        if operation.get("type") == "creating" and _is_ours(operation)
    ]


def uncertain(deployment: Mapping[str, Any]) -> list[str]:
    """URNs of our resources of which the record may be out of date: they were being changed or removed.

    A machine that was removed just before the kill is still recorded, and without a look at the platform it would be
    taken for unchanged.
    """
    return [
        operation["resource"]["urn"]
        for operation in deployment.get("pending_operations") or ()
        if operation.get("type") in ("deleting", "updating") and _is_ours(operation)
    ]


def half_replaced(deployment: Mapping[str, Any]) -> list[str]:
    """URNs of our resources whose replacement was being made while the one that is recorded went on living.

    The recorded one is as the file says, so nothing would be done, and nothing would find the other one again: only
    another replacement removes it. Only types whose new object comes first can be in that state. A create of another
    type that is pending beside a living object was taken up since, and a replacement would destroy what it holds.
    """
    living = {
        item["urn"]
        for item in deployment.get("resources") or ()
        if not item.get("delete") and not item.get("pendingReplacement")
    }
    return [urn for urn in pending_creates(deployment) if urn in living and not _deleted_first(urn)]


_TOLD = {
    "creating": "the next `provision up` takes up what was made of it",
    "updating": "the next `provision up` reads it anew before it decides",
    "deleting": "the next `provision up` reads it anew before it decides",
    "reading": "nothing was changed",
    "importing": "nothing was changed on the platform: import it again",
}


def left_in(deployment: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What a killed run was doing: URN, what it was doing to it, and what becomes of that."""
    found = []
    for operation in deployment.get("pending_operations") or ():
        doing = str(operation.get("type"))
        foreign = "look at it on the platform, then `pulumi refresh --clear-pending-creates`"
        then = _TOLD.get(doing, foreign) if _is_settled(operation) else foreign
        found.append((str(operation["resource"]["urn"]), doing, then))
    return found


def _deleted_first(urn: str) -> bool:
    """Whether the old object of that resource goes before the new one is made, as far as its plugin is here to tell."""
    from provision.spi import Replacement, registry  # a run that was not interrupted asks no plugin

    package, _, token = urn.partition("::")[2].partition("::")[2].partition("::")[0].rpartition("$")[2].partition(":")
    try:
        kinds = registry.load(package.removeprefix(_OURS)).resource_types
    except ProvisionError:
        return False
    return any(kind.token == token and kind.replacement is Replacement.DELETE_FIRST for kind in kinds)


def may_be_pending(url: str, project: str, stack: str) -> bool:
    """Whether it is worth asking the engine for pending operations, which takes it a moment."""
    if not url.startswith("file://"):
        return True
    try:
        state = json.loads(_record(url, project, stack).read_bytes())
        return bool((state["checkpoint"].get("latest") or {}).get("pending_operations"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, LookupError, AttributeError):
        return True


def is_recorded(url: str, project: str, stack: str) -> bool:
    """Whether the state of a stack is seen to be in a backend in a folder; False when that cannot be told from here."""
    return url.startswith("file://") and _record(url, project, stack).is_file()


def _record(url: str, project: str, stack: str) -> Path:
    return backend_folder(url) / "stacks" / project / f"{stack}.json"


def without_settled(deployment: Mapping[str, Any]) -> dict[str, Any] | None:
    """A state without the pending operations that a run which went well has settled; None when there are none."""
    pending = deployment.get("pending_operations") or []
    left = [operation for operation in pending if not _is_settled(operation)]
    return None if len(left) == len(pending) else {**deployment, "pending_operations": left}


def mend_file_backend(url: str, project: str) -> Sequence[Path]:
    """Remove half-written side files of a backend in a folder; gives those that were removed.

    The state itself is written whole or not at all, but beside each file lies one with its checksum, which a kill can
    leave empty; then the engine cannot read the state (`failed to load checkpoint: EOF`), and without it can.
    """
    if not url.startswith("file://"):
        return ()
    place = backend_folder(url)
    removed = []
    for pattern in ("*.attrs", f"stacks/{project}/*.attrs", "locks/**/*.attrs"):
        for file in place.glob(pattern):
            with contextlib.suppress(OSError):
                try:
                    json.loads(file.read_bytes())
                except ValueError:
                    file.unlink()
                    removed.append(file)
    return removed


def without_side_files(url: str) -> str:
    """The URL of a backend in a folder, with which the engine writes no such side files."""
    if not url.startswith("file://") or "metadata=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}metadata=skip"


def process_runs(pid: str) -> bool:
    """Whether the engine with this id still runs: not when it is dead but not yet reaped, or another program."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    name, _, rest = stat.partition("(")[2].rpartition(")")
    return rest.split()[0] not in "ZX" and "pulumi" in name


def backend_folder(url: str) -> Path:
    """Where a backend in a folder keeps its files."""
    return Path(url.removeprefix("file://").partition("?")[0]).expanduser() / ".pulumi"


def _is_settled(operation: Mapping[str, Any]) -> bool:
    """Whether a run that went well has dealt with it: ours, or what exists in the record alone."""
    kind = str(operation["resource"].get("type", ""))
    return _is_ours(operation) or kind.startswith(("provision:", "pulumi:"))  # components, the stash, providers


def _is_ours(operation: Mapping[str, Any]) -> bool:
    return str(operation["resource"].get("type", "")).startswith(_OURS)
