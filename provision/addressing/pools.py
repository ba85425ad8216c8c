"""Free addresses of one prefix: a start by hash, then the next free one, never one twice."""

from hashlib import blake2s
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

_DERIVED_BITS = 63  # of a wide IPv6 prefix no more are needed for a start by hash


class Full(Exception):
    """No address of the prefix is left."""


class Pool:
    """Addresses of one prefix and which of them are taken.

    Attributes:
        network: the prefix.
        capacity: how many addresses a machine may have.
    """

    def __init__(self, cidr: str, reserved: tuple[str, ...] = ()) -> None:
        """Start with everything free but the prefix's own addresses and `reserved`: addresses, or ranges `first-last`.

        A range is only kept clear of derived addresses; a machine may have one of it by name.
        """
        self.network: IPv4Network | IPv6Network = ip_network(cidr)
        base, size = int(self.network.network_address), self.network.num_addresses
        v4 = isinstance(self.network, IPv4Network)
        narrow = size <= 2
        self._first = base if narrow else base + 1
        self._last = base + size - (2 if v4 and not narrow else 1)
        self._taken: dict[int, str] = {}
        self._ranges: list[tuple[int, int]] = []
        self._jump: dict[int, int] = {}
        for item in reserved:
            low, dash, high = item.partition("-")
            first = ip_address(low.strip())
            last = ip_address(high.strip()) if dash else first
            if first.version != self.network.version:
                continue
            if dash:
                self._ranges.append((int(first), int(last)))
            else:
                self._taken[int(first)] = ""
        self._ranges.sort()
        self.capacity = self._count()

    def _count(self) -> int:
        blocked, end = 0, self._first - 1
        for first, last in self._ranges:
            low, high = max(first, end + 1, self._first), min(last, self._last)
            if high >= low:
                blocked, end = blocked + high - low + 1, high
        single = sum(1 for a in self._taken if self._first <= a <= self._last and not self._ranged(a))
        return self._last - self._first + 1 - blocked - single

    def _ranged(self, address: int) -> bool:
        return any(first <= address <= last for first, last in self._ranges)

    def fits(self, text: str | None) -> bool:
        """Whether `text` is a free address of this prefix that a machine may have."""
        return text is not None and self.problem(text) is None

    def problem(self, text: str) -> str | None:
        """Why a machine cannot have the address, in words; None when it can."""
        address = ip_address(text)
        if address not in self.network:
            return f"{text} is not in {self.network}"
        if not self._first <= int(address) <= self._last:
            return f"{text} is the network or broadcast address of {self.network}"
        owner = self._taken.get(int(address))
        if owner is None:
            return None
        return f"{text} is already the address of {owner}" if owner else f"{text} is reserved on {self.network}"

    def take(self, text: str, owner: str) -> None:
        """Mark an address as that of `owner`."""
        self._taken[int(ip_address(text))] = owner

    def derive(self, key: str) -> str:
        """Take an address for `key`: the one that its hash names, or the next free one after it.

        Raises:
            Full: none is left.
        """
        space = self._last - self._first + 1
        start = int.from_bytes(blake2s(key.encode()).digest()[:8]) % min(space, 1 << _DERIVED_BITS)
        found = self._next(self._first + start)
        if found > self._last:
            found = self._next(self._first)
        if found > self._last:
            raise Full
        self._taken[found] = key
        address = self.network.network_address + (found - int(self.network.network_address))
        return str(address)

    def _next(self, address: int) -> int:
        """The first free address from `address` on; what is passed over is remembered, and walked only once."""
        passed: list[int] = []
        while True:
            jump = self._jump.get(address)
            if jump is not None:
                passed.append(address)
                address = jump
            elif address in self._taken:
                passed.append(address)
                address += 1
            else:
                end = next((last for first, last in self._ranges if first <= address <= last), None)
                if end is None:
                    break
                passed.append(address)
                address = end + 1
        for item in passed:
            self._jump[item] = address
        return address
