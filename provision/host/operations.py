"""How many operations the engine runs at a time, which it must be told before any plugin is asked."""

import re
from collections.abc import Iterable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

USUAL = 16
"""A hypervisor has all of them to do by itself."""

_SAID = re.compile(r"^OPERATIONS = ([0-9]+)$", re.MULTILINE)


def operations(platforms: Iterable[str]) -> int:
    """As many as suit all of some platforms: the fewest that one of their plugins says, `USUAL` where it says nothing.

    A plugin whose platform does the work elsewhere, and which limits its own calls, has a line such as
    `OPERATIONS = 64` in its package `provision_NAME`. It is read as text: importing a plugin takes longer than the
    engine needs to start.
    """
    return min((_said(platform) for platform in platforms), default=USUAL)


def _said(platform: str) -> int:
    with suppress(ImportError, OSError, ValueError):
        spec = find_spec(f"provision_{platform.replace('-', '_')}")
        if spec is not None and spec.origin and (found := _SAID.search(Path(spec.origin).read_text(encoding="utf-8"))):
            return max(USUAL, int(found[1]))
    return USUAL
