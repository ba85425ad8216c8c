"""Whether a run has to be looked ahead at: data that it might destroy is then refused before anything is changed."""

from pathlib import Path

from provision.host.interrupted import backend_folder
from provision.host.permission import DATA


def may_hold_data(url: str, project: str, stack: str) -> bool:
    """Whether the state of a stack at a backend may name objects with data; False only when it surely does not."""
    if not url.startswith("file://"):
        return True
    file = backend_folder(url) / "stacks" / project / f"{stack}.json"
    try:
        return f'"{DATA}"'.encode() in file.read_bytes()
    except FileNotFoundError:
        return Path(f"{file}.gz").exists()
    except OSError:
        return True
