"""The repository that a stack file is kept in."""

from pathlib import Path


def root_of(folder: Path) -> Path:
    """The root of the repository that `folder`, an absolute path, is in; itself when it is in none."""
    return next((above for above in (folder, *folder.parents) if (above / ".git").exists()), folder)
