"""Sets of host CPUs as libvirt writes them: `0-3,8`."""

from collections.abc import Iterable
from typing import Any

from provision.spi import Normalized


def written(cpus: Iterable[int]) -> str:
    """The one spelling of a set: ranges, in order."""
    parts: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if parts and cpu == parts[-1][-1] + 1:
            parts[-1].append(cpu)
        else:
            parts.append([cpu])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def read(text: str) -> frozenset[int]:
    """The CPUs of a set; `^3` takes one out again.

    Raises:
        ValueError: it is none.
    """
    found: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part.startswith("^"):
            found.discard(int(part[1:]))
            continue
        first, dash, last = part.partition("-")
        found.update(range(int(first), int(last if dash else first) + 1))
    return frozenset(found)


def canonical(value: Any) -> Any:
    """A set, or each of a list, in its one spelling; what cannot be read is given back as it is."""
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        return written(read(value))
    except ValueError:
        return value


AS_CPUS = Normalized(canonical, "compared as sets of CPUs: their spelling does not matter")
