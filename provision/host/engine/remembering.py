"""What engines answered, kept while their files stay the same: asking costs every command a tenth of a second."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provision.host.engine.find import probe
from provision.host.engine.places import engine_cache
from provision.host.engine.release import refusal


def remembered(path: Path, env: Mapping[str, str] = os.environ) -> tuple[str, str | None]:
    """As `probe`, but an engine that served before is not asked again unless its file is another one now."""
    looks = _looks(path)
    if looks is None:
        return probe(path, env)
    file = engine_cache(env) / "answers.json"
    kept = _read(file)
    known = kept.get(str(path))
    if isinstance(known, dict) and known.get("looks") == looks and refusal(str(known.get("version"))) is None:
        return str(known["version"]), None
    version, problem = probe(path, env)
    if problem is None:
        _write(file, {**kept, str(path): {"looks": looks, "version": version}})
    return version, problem


def _looks(path: Path) -> list[int] | None:
    """What tells a file from another one; None for what only stands for an engine: a script, or a version manager."""
    try:
        real = path.resolve()
        with real.open("rb") as program:
            if real.name != path.name or program.read(2) == b"#!":
                return None
            seen = os.fstat(program.fileno())
    except OSError:
        return None
    return [seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns]


def _read(file: Path) -> dict[str, Any]:
    try:
        kept = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write(file: Path, kept: Mapping[str, Any]) -> None:
    scratch = file.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):  # what cannot be kept is only asked again
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(kept))
        scratch.replace(file)
