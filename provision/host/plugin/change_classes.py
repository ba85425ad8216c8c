"""What a change does to a live object, in words for the person who looks at a preview."""

from collections.abc import Sequence

from provision.host.plugin.diffing import Difference, format_wire_path
from provision.host.plugin.shapes import SEVERITY
from provision.spi.properties import Change

MOST_NAMED = 6

_WORDS = {
    Change.RESTART: ("restarts", "may restart"),
    Change.DESTROYS_DATA: ("destroys data", "may destroy data"),
}
"""Of changes in place there is nothing to say, and every display shows replacements by itself."""


def severest(found: Sequence[Difference]) -> Change:
    """What the changes do together."""
    return max((item.change for item in found), key=SEVERITY.index, default=Change.IN_PLACE)


def told(found: Sequence[Difference], *, losing: bool = True) -> str:
    """One line such as `restarts: memoryMib, cpus change`; empty when the display says enough by itself.

    What hangs on values that are not known yet is told as such: `may restart: disks may change`. Unless the object is
    `losing` data, its replacement destroys none.
    """
    worst = severest(found)
    if worst is Change.DESTROYS_DATA and not losing:
        return ""
    if worst not in _WORDS:
        return ""
    worst_ones = [item for item in found if item.change is worst]
    certain = [item for item in worst_ones if not item.uncertain]
    names = list(dict.fromkeys(format_wire_path(item.path[:1]) for item in certain or worst_ones))
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    does, may = _WORDS[worst]
    if not certain:
        return f"{may}: {', '.join(names[:MOST_NAMED])}{more} may change"
    return f"{does}: {', '.join(names[:MOST_NAMED])}{more} {'changes' if len(names) == 1 else 'change'}"
