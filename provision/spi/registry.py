"""Finding plugins by entry point, loading them lazily and checking them when loaded."""

import importlib
import inspect
import traceback
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from provision.errors import PluginError, ProvisionError, UserError
from provision.spi.declarations import complaints
from provision.spi.properties import Properties
from provision.spi.provider import API_VERSION, Provider
from provision.spi.resource import ResourceType

GROUP = "provision.providers"

_NOT_THEIRS = (__file__, str(Path(importlib.__file__).parent))
"""Between the question for a plugin and its code."""


def installed() -> Sequence[EntryPoint]:
    """Entry points of all installed plugins by name; nothing is imported.

    Where several distributions bring a plugin of the same name it stands here once, and `load` refuses it.
    """
    return tuple(claims[0] for claims in _by_name().values())


def rivals(name: str) -> Sequence[EntryPoint]:
    """The entry points that claim a name: more than one when distributions collide."""
    return _by_name().get(name, ())


def _by_name() -> Mapping[str, Sequence[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, distribution(e))):
        found.setdefault(entry.name, []).append(entry)
    return found


def distribution(entry: EntryPoint) -> str:
    """The name of the distribution that brings a plugin; `?` when it is not known."""
    return entry.dist.name if entry.dist else "?"


@cache
def load(name: str) -> Provider[Any, Any]:
    """The plugin of that name, imported and checked; whatever is wrong with others does not matter.

    Raises:
        UserError: when no such plugin is installed.
        PluginError: when it cannot be imported, does not keep to the interface, or two distributions bring it.
    """
    found = _by_name()
    if name not in found:
        close = get_close_matches(name, found, 1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        known = ", ".join(found) or "none"
        raise UserError(
            f"there is no platform called '{name}'",
            f"{hint}installed: {known}; others: pip install provision-{name}",
        )
    if len(found[name]) > 1:
        owners = ", ".join(distribution(entry) for entry in found[name])
        raise PluginError(f"{len(found[name])} plugins are called '{name}' ({owners})", "uninstall all but one of them")
    entry = found[name][0]
    try:
        loaded = entry.load()
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"plugin '{name}' ({entry.value}) cannot be imported: {told(error)}",
            "reinstall it, or report this to its author",
        ) from error
    try:
        return check(name, loaded)
    except ProvisionError:
        raise
    except Exception as error:
        raise PluginError(
            f"plugin '{name}' ({entry.value}) fails when it is made: {told(error)}",
            "report this to the plugin's author",
        ) from error


def told(error: BaseException) -> str:
    """An exception of a plugin's own code, with the line that raised it."""
    places = [
        f" ({frame.filename}:{frame.lineno})"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_absolute() and not frame.filename.startswith(_NOT_THEIRS)
    ]
    return f"{type(error).__name__}: {error}{''.join(places[-1:])}"


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
        raise PluginError(
            f"plugin '{name}': `api_version` is {loaded.api_version}; this release of provision speaks {API_VERSION}",
            f"install a release of the plugin that was made for version {API_VERSION} of the interface, "
            f"or the release of provision that speaks {loaded.api_version}",
        )
    if not isinstance(getattr(loaded, "version", None), str):
        raise wrong("`version`", "must be a string")
    config = getattr(loaded, "Config", None)
    if not (inspect.isclass(config) and issubclass(config, Properties)):
        raise wrong("`Config`", "must be a subclass of provision.spi.Properties")
    seen: set[str] = set()
    for kind in getattr(loaded, "resource_types", ()):
        if not (inspect.isclass(kind) and issubclass(kind, ResourceType)):
            raise wrong(f"`resource_types` entry {kind!r}", "must be a subclass of provision.spi.ResourceType")
        if inspect.isabstract(kind):
            missing = ", ".join(f"`{kind.__name__}.{method}`" for method in sorted(kind.__abstractmethods__))
            raise wrong(missing, "must be implemented")
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
    for member, expected in complaints(loaded):
        raise wrong(member, expected)
    return loaded()
