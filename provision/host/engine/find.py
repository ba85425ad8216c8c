"""Look for an engine that really runs.

A file that is called `pulumi` proves nothing: each candidate is asked for its version, and one that does not
answer, is too old or is of another major version is passed over and remembered, so that `provision doctor`
can say so.
"""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from provision.host.engine.environment import tool_environment
from provision.host.engine.places import installed_path, pulumi_home
from provision.host.engine.release import refusal

EngineSource = Literal["path", "pulumi-home", "cache"]

Ask: TypeAlias = Callable[[Path, Mapping[str, str]], tuple[str, str | None]]
"""Finds out about a candidate, with the answer of `probe`."""

PROBE_SECONDS = 20.0
"""How long `pulumi version` may take: it needs some tenths of a second, more from a cold disk."""


@dataclass(frozen=True)
class Engine:
    """A Pulumi engine that was seen to run."""

    path: Path
    version: str
    source: EngineSource

    @property
    def root(self) -> Path | None:
        """The folder whose `bin/pulumi` this is, as the Automation API wants it; None in another layout."""
        return self.path.parent.parent if self.path.parent.name == "bin" and self.path.name == "pulumi" else None


@dataclass(frozen=True)
class EngineFinding:
    """A candidate that was passed over, and why."""

    path: Path
    problem: str


@dataclass(frozen=True)
class EngineSurvey:
    """What was found: the engine to use, if any, and the candidates before it that do not serve."""

    engine: Engine | None
    findings: tuple[EngineFinding, ...] = ()


def find_engine(env: Mapping[str, str] = os.environ, ask: Ask | None = None) -> Engine | None:
    """The first engine that serves: on PATH, in the Pulumi home, in our cache; or None."""
    return survey_engines(env, ask).engine


def survey_engines(env: Mapping[str, str] = os.environ, ask: Ask | None = None) -> EngineSurvey:
    """As `find_engine`, with what was passed over on the way; `ask` finds out about a candidate (`probe`)."""
    findings: list[EngineFinding] = []
    for path, source in _candidates(env):
        version, problem = (ask or probe)(path, env)
        if problem is None:
            return EngineSurvey(Engine(path, version, source), tuple(findings))
        findings.append(EngineFinding(path, problem))
    return EngineSurvey(None, tuple(findings))


def _candidates(env: Mapping[str, str]) -> Iterator[tuple[Path, EngineSource]]:
    """Every existing file that could be the engine, in order of preference, each once."""
    seen: set[Path] = set()
    # An empty entry of PATH means the current directory: a stack's folder must not choose what runs.
    places: list[tuple[Path, EngineSource]] = [
        (Path(entry) / "pulumi", "path") for entry in env.get("PATH", "").split(os.pathsep) if os.path.isabs(entry)
    ]
    places += [(pulumi_home(env) / "bin" / "pulumi", "pulumi-home"), (installed_path(env), "cache")]
    for path, source in places:
        real = path.resolve()
        if path.is_file() and real not in seen:
            seen.add(real)
            yield path.absolute(), source


def probe(path: Path, env: Mapping[str, str] = os.environ) -> tuple[str, str | None]:
    """Run `pulumi version`.

    Returns:
        The version without its `v`, and None; or an empty string and why this engine does not serve.
    """
    try:
        answer = subprocess.run(
            [path, "version"],
            env=tool_environment(env) | {"PULUMI_SKIP_UPDATE_CHECK": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", f"`pulumi version` did not answer within {PROBE_SECONDS:.0f} seconds"
    except OSError as error:
        return "", f"it cannot be run: {error.strerror}"
    if answer.returncode != 0:
        last = (answer.stderr.strip().splitlines() or [""])[-1][:200]
        return "", f"`pulumi version` failed with exit code {answer.returncode}" + (f": {last}" if last else "")
    version = answer.stdout.strip()[:80]
    problem = refusal(version)
    return (version.removeprefix("v"), None) if problem is None else ("", problem)
