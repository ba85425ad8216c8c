"""Finding plugins by entry point, loading them lazily and checking them when loaded."""

import inspect
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from provision.errors import PluginError, UserError
from provision.spi.properties import Properties
from provision.spi.provider import API_VERSION, Provider
from provision.spi.resource import ResourceType

GROUP = "provision.providers"


def installed() -> Sequence[EntryPoint]:
    """Entry points of all installed plugins by name; nothing is imported.

    Raises:
        PluginError: when two distributions bring a plugin of the same name.
    """
    found = sorted(entry_points(group=GROUP), key=lambda e: e.name)
    for name, count in Counter(e.name for e in found).items():
        if count > 1:
            owners = ", ".join(sorted(e.dist.name if e.dist else "?" for e in found if e.name == name))
            raise PluginError(f"{count} plugins are called '{name}' ({owners})", "uninstall all but one of them")
    return found


@cache
def load(name: str) -> Provider[Any, Any]:
    """The plugin of that name, imported and checked.

    Raises:
        UserError: when no such plugin is installed.
        PluginError: when it cannot be imported or does not keep to the interface.
    """
    entries = {entry.name: entry for entry in installed()}
    if name not in entries:
        close = get_close_matches(name, entries, 1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        known = ", ".join(entries) or "none"
        raise UserError(
            f"there is no platform called '{name}'",
            f"{hint}installed: {known}; others: pip install provision-{name}",
        )
    entry = entries[name]
    try:
        loaded = entry.load()
    except Exception as error:
        raise PluginError(
            f"plugin '{name}' ({entry.value}) cannot be imported: {type(error).__name__}: {error}",
            "reinstall it, or report this to its author",
        ) from error
    return check(name, loaded)


def check(name: str, loaded: Any) -> Provider[Any, Any]:
    """Verify that `loaded` is a provider class that keeps to the interface, and make its instance.

    Raises:
        PluginError: naming the plugin, the member and what is expected of it.
    """

    def wrong(member: str, expected: str) -> PluginError:
        return PluginError(f"plugin '{name}': {member} {expected}", "report this to the plugin's author")

    if not (inspect.isclass(loaded) and issubclass(loaded, Provider)):
        raise wrong("the entry point", "must name a subclass of provision.spi.Provider")
    if inspect.isabstract(loaded):
        missing = ", ".join(sorted(loaded.__abstractmethods__))
        raise wrong(missing, "must be implemented")
    if getattr(loaded, "name", None) != name:
        raise wrong("`name`", f"must be '{name}', the name of its entry point")
    if loaded.api_version != API_VERSION:
        raise wrong("`api_version`", f"is {loaded.api_version}; this release of provision speaks {API_VERSION}")
    if not isinstance(getattr(loaded, "version", None), str):
        raise wrong("`version`", "must be a string")
    config = getattr(loaded, "Config", None)
    if not (inspect.isclass(config) and issubclass(config, Properties)):
        raise wrong("`Config`", "must be a subclass of provision.spi.Properties")
    seen: set[str] = set()
    for kind in getattr(loaded, "resource_types", ()):
        if not (inspect.isclass(kind) and issubclass(kind, ResourceType)) or inspect.isabstract(kind):
            raise wrong(
                f"`resource_types` entry {kind!r}",
                "must be a complete subclass of provision.spi.ResourceType",
            )
        token = getattr(kind, "token", "")
        if token.count(":") != 1:
            raise wrong(f"`{kind.__name__}.token`", "must be 'module:Name'")
        if token in seen:
            raise wrong(f"`{kind.__name__}.token`", f"'{token}' is used twice")
        seen.add(token)
        for part in ("Inputs", "Outputs"):
            model = getattr(kind, part, None)
            if not (inspect.isclass(model) and issubclass(model, Properties)):
                raise wrong(f"`{kind.__name__}.{part}`", "must be a subclass of provision.spi.Properties")
    return loaded()
