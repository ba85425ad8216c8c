"""The Pulumi engine: found on this machine, or installed once into the user's cache.

Looked for on PATH, then in the Pulumi home, then in our own cache; installed from Pulumi's official download
and, where that is not reachable, built from Pulumi's published Go modules. Nothing outside the cache is ever
changed.
"""

from typing import TYPE_CHECKING, Any

from provision.host.engine.environment import engine_environment
from provision.host.engine.find import (
    Engine,
    EngineFinding,
    EngineSource,
    EngineSurvey,
    find_engine,
    survey_engines,
)
from provision.host.engine.places import engine_cache, pulumi_home, user_state
from provision.host.engine.release import ENGINE_VERSION, MINIMUM_VERSION
from provision.host.engine.remembering import remembered

if TYPE_CHECKING:
    from provision.host.engine.install import ensure_engine

__all__ = [
    "ENGINE_VERSION",
    "MINIMUM_VERSION",
    "Engine",
    "EngineFinding",
    "EngineSource",
    "EngineSurvey",
    "engine_cache",
    "engine_environment",
    "ensure_engine",
    "find_engine",
    "pulumi_home",
    "remembered",
    "survey_engines",
    "user_state",
]


def __getattr__(name: str) -> Any:
    """What downloads and builds is imported when it is used: every command finds the engine, and one installs it."""
    if name != "ensure_engine":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from provision.host.engine.install import ensure_engine

    return ensure_engine
