"""Where machines are looked at: the plugin of each location of a stack, and its session."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from provision.spi import Provider

Site: TypeAlias = tuple[Provider[Any, Any], Any]
"""A plugin and its open session."""
Places: TypeAlias = Mapping[str, Site]
"""By location its site; of a stack with one location the name does not matter."""


def site_of(places: Places, location: str) -> Site:
    """The site of a location, or the only one."""
    return places.get(location) or next(iter(places.values()))
