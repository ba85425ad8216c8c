"""The environment variables of the programs that we run."""

import os
from collections.abc import Mapping
from pathlib import Path

from provision.host.engine.places import pulumi_home
from provision.host.operations import USUAL

_DEFAULTS = {
    # Asks api.pulumi.com for a newer release: slow without a network, and the version is ours to choose.
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    # A missing plugin of ours must fail at once with its name, not be looked for under the same name on the
    # Internet.
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    # Package names are never sent to Pulumi's registry.
    "PULUMI_DISABLE_REGISTRY_RESOLVE": "true",
    # Advertisement of a hosted assistant in failure messages.
    "PULUMI_SUPPRESS_NEO_LINK": "true",
    # The engine's own choice goes by the processors alone: 8 on two of them, while operations wait for a platform.
    "PULUMI_PARALLEL": str(max(USUAL, 4 * (os.cpu_count() or 1))),
    # It is short-lived and makes much rubbish, most of all when it writes state: with Go's own 100 a sixth of its time
    # goes into collecting that. The price is half as much memory again.
    "GOGC": "200",
}
"""What every engine run of ours has unless the user's environment says otherwise."""

_TOOL_VARIABLES = frozenset(
    {
        "HOME",
        "LANG",
        "LANGUAGE",
        "LOGNAME",
        "PATH",
        "PULUMI_HOME",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TMPDIR",
        "TZ",
        "USER",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        *(name for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY") for name in (proxy, proxy.lower())),
    }
)


def engine_environment(base: Mapping[str, str] = os.environ, engine: Path | None = None) -> dict[str, str]:
    """The environment for every engine run of ours.

    Args:
        base: the user's environment. All of it is kept (plugins read credentials from it), and its own
        choice wins
            over our defaults.
        engine: path of the engine; its folder comes first on PATH, so that whatever calls `pulumi` gets
        this one.
    """
    env = _DEFAULTS | dict(base)
    env["PULUMI_HOME"] = str(pulumi_home(base).absolute())
    if engine is not None:
        folder = str(engine.absolute().parent)
        entries = [entry for entry in env.get("PATH", os.defpath).split(os.pathsep) if entry != folder]
        env["PATH"] = os.pathsep.join([folder, *entries])
    return env


def tool_environment(base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """A small environment for tools that need no credentials of the user: what is not listed is left out."""
    return {name: value for name, value in base.items() if name in _TOOL_VARIABLES or name.startswith("LC_")}
