"""What a rule means by ranges of addresses, when machines have other addresses than the stack file says."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv6Network, ip_network

from provision.packets.sets import Field, PacketSet, PacketSpace, Prefix
from provision.packets.special import NOT_PUBLIC
from provision_aws.readers.model import Own

_GIVEN = IPv6Network("2000::/3")
"""Where the IPv6 ranges lie that Amazon gives: global unicast (RFC 4291), but for `NOT_PUBLIC`."""


@dataclass(frozen=True)
class Ranges:
    """Makes sets of packets from ranges of real addresses.

    Attributes:
        space: of the sets.
        own: all addresses of the stack's machines.
        odd: told of what cannot be decided.
    """

    space: PacketSpace
    own: Sequence[Own]
    odd: Callable[[str], None]

    def set_of(self, side: Field, prefixes: Iterable[Prefix]) -> PacketSet:
        """Packets whose real address on that side is in one of the ranges."""
        found = list(prefixes)
        made = self.certain(side, found)
        return made | self.space.prefixes(side, self.unknown) if self.holds_unknown(found) else made

    def certain(self, side: Field, prefixes: Iterable[Prefix]) -> PacketSet:
        """The same without addresses that Amazon has not given yet."""
        found = list(dict.fromkeys(prefixes))
        made = self.space.prefixes(side, found)
        if not found or not (self._moved or self.unknown):
            return made
        inside = [ip_network(one.known) for one in self._moved if any(one.real in prefix for prefix in found)]
        return (made - self._elsewhere[side]) | self.space.prefixes(side, inside)

    @cached_property
    def _elsewhere(self) -> Mapping[Field, PacketSet]:
        """Packets from and to addresses, as the file has them, in the place of which machines have others."""
        known = [*(ip_network(one.known) for one in self._moved), *self.unknown]
        return {side: self.space.prefixes(side, known) for side in (Field.SOURCE, Field.DESTINATION)}

    @cached_property
    def unknown(self) -> tuple[Prefix, ...]:
        """Addresses, as the file has them, in the place of which Amazon will give others."""
        return tuple(ip_network(one.known) for one in self.own if one.real is None)

    def holds_unknown(self, prefixes: Iterable[Prefix]) -> bool:
        """Whether ranges hold all addresses that Amazon may give; what holds some of them is told."""
        six = tuple(one for one in dict.fromkeys(prefixes) if one.version == 6)
        if not self.unknown or not six:
            return False
        meant = self.space.prefixes(Field.SOURCE, six)
        if self._given <= meant:
            return True
        if self._given & meant:
            more = f" and {len(six) - 1} more" if len(six) > 1 else ""
            self.odd(f"whether {six[0]}{more} holds addresses of the stack is not known before Amazon gives them")
        return False

    @cached_property
    def _given(self) -> PacketSet:
        special = [one for one in NOT_PUBLIC if one.version == 6]
        return self.space.prefixes(Field.SOURCE, [_GIVEN]) - self.space.prefixes(Field.SOURCE, special)

    @cached_property
    def _moved(self) -> Sequence[Own]:
        """Addresses that are known to be other ones than the file says."""
        return [one for one in self.own if one.real is not None and one.real != one.known]
