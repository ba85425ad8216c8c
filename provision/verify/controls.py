"""Controls: proof that a probe can tell open from closed, before and after it is believed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from provision.packets import Protocol
from provision.spi import Observation, Probe, Seen
from provision.verify.endpoints import Family
from provision.verify.expectation import Expectation
from provision.verify.plan import ProbePlan

Runner = Callable[[Sequence[Probe]], Sequence[Observation]]
_PROBE_SECONDS = 3.0
_TRIES = 3
_Target = tuple[str, Protocol, int]


@dataclass(frozen=True)
class Health:
    """What the controls of one machine showed.

    Attributes:
        answers: (address, protocol, port) at which the machine was seen to answer itself, before and after.
        lies: why its own probes prove nothing, by protocol; absent when they can be believed.
        failure: why its channel could not be used at all, empty when it could.
    """

    answers: frozenset[_Target] = frozenset()
    lies: tuple[tuple[Protocol, str], ...] = ()
    failure: str = ""

    def distrust(self, protocol: Protocol) -> str:
        """Why a probe of this protocol from this machine proves nothing; empty when it can be believed."""
        return self.failure or next((reason for lied, reason in self.lies if lied is protocol), "")

    def answers_to(self, expectation: Expectation) -> bool:
        """Whether the machine was seen to answer what the expectation speaks of."""
        service = expectation.service
        return (expectation.address, service.protocol, service.first if service.has_ports else 0) in self.answers


class Controls:
    """The controls of one machine: probes from it to itself.

    A port on which it listens must be open and one on which nothing listens must be refused, at the very addresses that
    others probe.
    """

    def __init__(self, name: str, plan: ProbePlan) -> None:
        """Prepare the controls of the machine `name`."""
        self._quiet = plan.ports.quiet
        addresses = [
            (str(address), family)
            for end in plan.addresses[name]
            for family in Family
            if (address := end.address(family)) is not None
        ]
        self._targets: list[_Target] = [
            (address, protocol, port) for address, _ in addresses for protocol, port in plan.listeners[name]
        ]
        self._targets += [(address, family.echo.protocol, 0) for address, family in addresses]
        self._silent: list[_Target] = [
            (address, protocol, self._quiet) for address, _ in addresses for protocol in (Protocol.TCP, Protocol.UDP)
        ]
        self._seen: dict[_Target, Seen] = {}
        self._still: set[_Target] = set()

    def before(self, run: Runner) -> None:
        """Run the controls; what fails is tried again, since a machine may just have started."""
        self._seen = _look(run, self._targets, Seen.OPEN) | _look(run, self._silent, Seen.REFUSED)

    def after(self, run: Runner) -> None:
        """Ask again for what answered before: a machine that went away in between proves nothing."""
        answered = [target for target in self._targets if self._seen.get(target) is Seen.OPEN]
        self._still = {target for target, seen in _look(run, answered, Seen.OPEN).items() if seen is Seen.OPEN}

    def health(self, failure: str = "") -> Health:
        """What they showed."""
        if failure:
            return Health(failure=failure)
        lies = []
        for protocol in (Protocol.TCP, Protocol.UDP, Protocol.ICMP, Protocol.ICMPV6):
            reason = self._lie(protocol)
            if reason:
                lies.append((protocol, reason))
        return Health(frozenset(self._still), tuple(lies))

    def _lie(self, protocol: Protocol) -> str:
        liar = next((target for target in self._silent if self._seen.get(target) is Seen.OPEN), None)
        if liar is not None:
            return f"its own {liar[1]} probe says that port {self._quiet} is open, where nothing listens"
        own = [target for target in self._targets if target[1] is protocol]
        quiet = [self._seen.get(target) for target in self._silent if target[1] is protocol]
        if own and not any(target in self._still for target in own):
            return f"its own {protocol} probe does not reach itself"
        if quiet and Seen.REFUSED not in quiet:
            return f"its own {protocol} probe does not see that port {self._quiet} is closed on itself"
        return ""


def _look(run: Runner, targets: Sequence[_Target], wanted: Seen) -> dict[_Target, Seen]:
    found: dict[_Target, Seen] = {}
    missing = list(targets)
    for _ in range(_TRIES):
        if not missing:
            break
        probes = [Probe(protocol, address, port, _PROBE_SECONDS) for address, protocol, port in missing]
        found.update((target, it.seen) for target, it in zip(missing, run(probes), strict=True))
        # An answer that should not be is believed at once; silence is asked again.
        missing = [t for t in missing if found[t] is not wanted and found[t] is not Seen.OPEN]
    return found
