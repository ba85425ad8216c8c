"""What every check needs: the stack, what of it is known, and names to offer instead of misspelt ones."""

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property

from provision.diagnostics import DiagnosticSink, Path
from provision.models import Machine, Network, Stack

_INSTANCE = re.compile(r"(.+)-(0|[1-9][0-9]{0,5})\Z")
_COMPARISONS = 300_000  # about three seconds: a file with thousands of misspelt names gets fewer hints


@dataclass
class Context:
    """One stack under check.

    Attributes:
        stack: the stack; where the file was wrong it holds samples.
        sink: where findings go.
        holes: the paths of those samples.
    """

    stack: Stack
    sink: DiagnosticSink
    holes: set[Path]
    _budget: int = field(default=_COMPARISONS, init=False)

    @cached_property
    def _touched(self) -> set[Path]:
        return {path[:end] for path in self.holes for end in range(len(path))}

    def known(self, *path: str | int) -> bool:
        """Whether what stands at `path` and below it is what was written."""
        if not self.holes:
            return True
        return path not in self._touched and self.written(*path)

    def written(self, *path: str | int) -> bool:
        """Whether `path` itself is not, and is not within, something that was wrong."""
        return not self.holes or all(path[:end] not in self.holes for end in range(1, len(path) + 1))

    def suggest(self, name: str, known: Collection[str], prefix: str = "") -> str:
        """Offer the name that was probably meant, or the few that there are."""
        self._budget -= len(known)
        near = difflib.get_close_matches(name, known, 1, 0.6) if self._budget > 0 else []
        if near:
            return f"did you mean '{prefix}{near[0]}'?"
        if 0 < len(known) <= 12:
            return f"one of: {', '.join(prefix + item for item in sorted(known))}"
        return ""

    def is_close(self, name: str, known: Collection[str]) -> str | None:
        """The known name that `name` is probably a misspelling of."""
        self._budget -= len(known)
        near = difflib.get_close_matches(name, known, 1, 0.75) if self._budget > 0 else []
        return near[0] if near else None

    def entry_of(self, name: str) -> tuple[str, int] | None:
        """The entry with `count` that makes the machine `name`, and its number."""
        match = _INSTANCE.match(name)
        entry = self.stack.machines.get(match[1]) if match else None
        if match is None or entry is None or entry.count is None or int(match[2]) >= entry.count:
            return None
        return match[1], int(match[2])

    def network_of(self, machine: str, nic: int) -> Network | None:
        """The network of a NIC, when both are known."""
        if not self.known("machines", machine, "nics", nic, "network"):
            return None
        name = self.stack.machines[machine].nics[nic].network
        return self.stack.networks.get(name) if self.known("networks", name) else None


def families(network: Network) -> frozenset[int]:
    """The IP versions of a network."""
    return frozenset([4] * (network.cidr is not None) + [6] * (network.cidr6 is not None))


def makes(name: str, machine: Machine) -> str:
    """What an entry with `count` makes, in words."""
    count = machine.count or 0
    return {0: "no machine", 1: f"{name}-0"}.get(count, f"{name}-0 … {name}-{count - 1}")
