"""Packets on their way through the chains of one table."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from provision.packets.sets import PacketSet, PacketSpace
from provision_libvirt.readers.kernel.match import Matcher
from provision_libvirt.readers.kernel.tables import Rule, Table

_STOPS = {"DROP", "REJECT"}
_NOTHING = {"", "LOG", "NFLOG", "CHECKSUM", "CONTINUE", "MARK", "CONNMARK", "TCPMSS", "DSCP", "TOS"}
_DEPTH = 16


@dataclass
class Walk:
    """Follows sets of packets through a table at one gate.

    Attributes:
        table: the table, None when the kernel has none of that name.
        matcher: what rules match.
        unmodelled: told of each rule that is in the way and not understood.
    """

    table: Table | None
    matcher: Matcher
    unmodelled: dict[str, None] = field(default_factory=dict)

    @property
    def _space(self) -> PacketSpace:
        return self.matcher.around.space

    def passing(self, chain: str, packets: PacketSet) -> PacketSet:
        """Those of `packets` that a chain of the kernel's own lets pass."""
        if self.table is None or chain not in self.table.chains:
            return packets
        accepted, fallen = self._through(chain, packets, 0)
        return accepted | fallen if self._default(chain) == "ACCEPT" else accepted

    def _default(self, chain: str) -> str:
        return self.table.policies.get(chain, "ACCEPT") if self.table is not None else "ACCEPT"

    def _through(self, chain: str, packets: PacketSet, depth: int) -> tuple[PacketSet, PacketSet]:
        """What a chain accepts, and what comes out at its end undecided."""
        accepted, returned = self._space.none, self._space.none
        if self.table is None or depth > _DEPTH:
            return accepted, packets
        for rule in self.table.chains.get(chain, ()):
            if not packets:
                break
            matching = packets & self._matching(rule, packets)
            if not matching:
                continue
            if rule.target == "ACCEPT":
                accepted |= matching
            elif rule.target == "RETURN":
                returned |= matching
            elif rule.target in _STOPS:
                pass
            elif rule.target in _NOTHING:
                continue
            elif rule.target in self.table.chains:
                inner, back = self._through(rule.target, matching, depth + 1)
                accepted |= inner
                if rule.goto:
                    returned |= back
                else:
                    packets = (packets - matching) | back
                    continue
            else:
                self._odd(rule, f"the target '{rule.target}'")
                continue
            packets -= matching
        # Only ebtables gives chains of one's own a policy: there, `RETURN` is its name for going back.
        policy = self.table.policies.get(chain, "") if depth else ""
        if policy == "ACCEPT":
            return accepted | packets, returned
        return accepted, returned if policy == "DROP" else packets | returned

    def _matching(self, rule: Rule, packets: PacketSet) -> PacketSet:
        made, odd = self.matcher.match(rule)
        if odd and packets & made:
            self._odd(rule, f"'{odd}'")
        return self._space.none if odd else made

    def _odd(self, rule: Rule, what: str) -> None:
        self.unmodelled[f"the kernel rule '{rule.text}': {what} is not understood"] = None

    def deciding(self, chain: str, packet: PacketSet, depth: int = 0) -> Iterator[Rule]:
        """The rules with a verdict that a single packet meets on its way."""
        if self.table is None or depth > _DEPTH:
            return
        for rule in self.table.chains.get(chain, ()):
            made, odd = self.matcher.match(rule)
            if odd or not packet <= made or rule.target in _NOTHING:
                continue
            if rule.target not in self.table.chains:
                yield rule
                return
            inner = list(self.deciding(rule.target, packet, depth + 1))
            yield from inner
            if rule.goto or (inner and inner[-1].target != "RETURN"):
                return
