"""Which of many sets of endpoints hold one endpoint, answered once for all endpoints that are alike."""

from collections.abc import Iterable, Sequence

from provision.verify.endpoints import Endpoint, EndpointKind, Family
from provision.verify.rules import Side


class SideIndex:
    """Sets of endpoints by position; an answer is a number with one bit for each set."""

    def __init__(self, sides: Sequence[Side]) -> None:
        """Index `sides`."""
        self._sides = sides
        self._prefixed = [(1 << index, side) for index, side in enumerate(sides) if side.prefixes]
        self._by_name: dict[str, int] = {}
        self._by_network: dict[str, int] = {}
        for index, side in enumerate(sides):
            for name in side.entries:
                self._by_name[name] = self._by_name.get(name, 0) | 1 << index
            for network in side.networks:
                self._by_network[network] = self._by_network.get(network, 0) | 1 << index
        self._found: dict[tuple[Endpoint, Family], int] = {}

    def holding(self, endpoint: Endpoint, entry: str, family: Family) -> int:
        """The sets that hold `endpoint` (a NIC of the machine entry `entry`) by its address of `family`."""
        key = (endpoint, family)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._search(endpoint, entry, family)
        return found

    def _search(self, endpoint: Endpoint, entry: str, family: Family) -> int:
        if endpoint.kind is not EndpointKind.MACHINE:
            return bits(side.holds(endpoint, entry, family) for side in self._sides)
        found = self._by_name.get(entry, 0) | self._by_name.get(endpoint.name, 0)
        found |= self._by_network.get(endpoint.network, 0)
        for bit, side in self._prefixed:
            if side.contains(endpoint, family):
                found |= bit
        return found


def bits(values: Iterable[bool]) -> int:
    """A number whose bits are `values`, the first one lowest."""
    number = 0
    for index, value in enumerate(values):
        if value:
            number |= 1 << index
    return number
