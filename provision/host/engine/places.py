"""Where the engine, its home and our cache lie on this machine."""

import os
from collections.abc import Mapping
from pathlib import Path

from provision.host.engine.release import ENGINE_VERSION


def pulumi_home(env: Mapping[str, str] = os.environ) -> Path:
    """The Pulumi home: `$PULUMI_HOME`, by default `~/.pulumi`. It holds the plugins and the credentials."""
    named = env.get("PULUMI_HOME")
    return Path(named) if named else _home(env) / ".pulumi"


def engine_cache(env: Mapping[str, str] = os.environ) -> Path:
    """The directory that holds engines installed by us, one folder for each version."""
    return _base(env, "XDG_CACHE_HOME", ".cache") / "engine"


def user_state(env: Mapping[str, str] = os.environ) -> Path:
    """The directory for what must outlive a run, and is of this account alone."""
    return _base(env, "XDG_STATE_HOME", ".local/state")


def installed_path(env: Mapping[str, str] = os.environ) -> Path:
    """Where the pinned release is, or would be, installed by us."""
    return engine_cache(env) / ENGINE_VERSION / "bin" / "pulumi"


def _base(env: Mapping[str, str], variable: str, usual: str) -> Path:
    """Our folder in one of the XDG specification's, which says that a relative path is to be ignored."""
    named = Path(env.get(variable) or "")
    return (named if named.is_absolute() else _home(env) / usual) / "provision"


def _home(env: Mapping[str, str]) -> Path:
    """The home directory of `env`, or of the account when it names none."""
    named = env.get("HOME")
    return Path(named) if named else Path.home()
