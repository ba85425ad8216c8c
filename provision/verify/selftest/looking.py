"""All layers of a verification, looking at a stack of which something is broken."""

import enum
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice

from provision.loader import Loaded
from provision.packets import PROTOCOL_NUMBERS
from provision.packets.sets import Packet
from provision.spi import Evidence, Seen
from provision.verify.entry import prepare
from provision.verify.evidence import applied, live
from provision.verify.expectation import Expectation
from provision.verify.judge import Outcome
from provision.verify.places import Places
from provision.verify.plan import PlannedProbe
from provision.verify.report import Row, VerifyReport, service_name
from provision.verify.run import WORKERS, Crew, Progress, silent
from provision.verify.selftest.choosing import Break
from provision.verify.state import DeployedStack

_MOST_MORE = 8
_PORT = 40_000  # that of a probe is any: no rule of a policy speaks of it


class Look(enum.StrEnum):
    """A layer that looks at a broken stack."""

    STATIC = "static"
    ACCEPTED = "accepted"
    EFFECTIVE = "effective"
    PROBED = "probed"


class Looker:
    """All layers, with open channels to the machines.

    Attributes:
        crew: the channels.
        probes: those that agreed when nothing was broken.
        sent: how many probes were sent.
    """

    def __init__(
        self, loaded: Loaded, deployed: DeployedStack, places: Places, before: VerifyReport, progress: Progress
    ) -> None:
        """Open a channel to every machine that was probed."""
        self._loaded, self._deployed, self._places = loaded, deployed, places
        ready = prepare(loaded, deployed, places, exhaustive=True)
        self._plan = ready.plan
        self.crew = Crew(ready.open_channel, dict(ready.outsides.opened), silent, WORKERS)
        agreed = {_row_key(row) for row in before.having(Outcome.AGREES)}
        known = {_row_key(row) for row in before.rows}
        possible = {_key(planned.expectation): planned for source in self._plan.probes.values() for planned in source}
        self.probes = [planned for key, planned in possible.items() if key in agreed]
        self._unsent = [planned for key, planned in possible.items() if key not in known]
        self.sent = 0
        names = list(self._plan.addresses)
        self.crew.each("opening channels", names, lambda name: self.crew.enter(name, self._plan.listeners[name]))
        progress("opening channels", len(names), len(names))
        self._shown = self._evidence()

    def close(self) -> None:
        """Let go of the machines."""
        self.crew.dismiss()

    def rehearse(self, breaks: Sequence[Break]) -> None:
        """Send some of what the verification left out, for breaks that show in nothing that it sent.

        Machines that are alike share the probes of a verification, and a break may be of what one of them alone does
        with another. To be called while nothing is broken: what agrees now is sent again when something is.
        """
        more: dict[tuple[str, str, str, str], PlannedProbe] = {}
        for one in breaks:
            if not any(_decides(one, planned) for planned in self.probes):
                found = (planned for planned in self._unsent if _decides(one, planned))
                more.update((_key(planned.expectation), planned) for planned in islice(found, _MOST_MORE))
        able = [planned for planned in more.values() if planned.expectation.source.name not in self.crew.failures]
        self.probes += [planned for planned, agrees in self._sent(able) if agrees]

    def look(self, one: Break) -> Mapping[Look, bool]:
        """What each layer that can look says of a break that was made."""
        found = {Look.STATIC: one.static}
        wrong = self._evidence()
        for look, kind in ((Look.ACCEPTED, Evidence.ACCEPTED), (Look.EFFECTIVE, Evidence.EFFECTIVE)):
            if kind in wrong:
                found[look] = wrong[kind] > self._shown.get(kind, 0)
        probes = [planned for planned in self.probes if _decides(one, planned)]
        able = [planned for planned in probes if planned.expectation.source.name not in self.crew.failures]
        if able:
            found[Look.PROBED] = not all(agrees for _, agrees in self._sent(able))
        return found

    def _evidence(self) -> Mapping[Evidence, int]:
        """By kind that can be had: how many contradictions to the file it shows."""
        found = Counter[Evidence]()
        policies, shares = live(self._loaded.stack, self._deployed, self._places)
        for held in (*policies.values(), *shares.values()):
            for kind, item in held.items():
                if item.holds is not None:
                    found[kind] += item.holds is False
        proof, _, _ = applied(self._loaded.stack, self._deployed, self._places)
        if proof is not None:
            found[proof.kind] += not proof.holds
        return found

    def _sent(self, probes: Sequence[PlannedProbe]) -> Sequence[tuple[PlannedProbe, bool]]:
        """Send probes: whether each shows what the file says; without those that could not be sent."""
        by_source: dict[str, list[PlannedProbe]] = defaultdict(list)
        for planned in probes:
            by_source[planned.expectation.source.name].append(planned)
        shown: list[tuple[PlannedProbe, bool]] = []

        def send(name: str) -> None:
            seen = self.crew.run(name, [planned.probe for planned in by_source[name]])
            for planned, it in zip(by_source[name], seen, strict=True):
                witnessed = planned.expectation.witness
                passed = it.seen is Seen.OPEN if witnessed else it.seen.passed
                if it.seen is not Seen.FAILED:
                    shown.append((planned, passed is planned.expectation.verdict.allowed))

        self.sent += len(probes)
        self.crew.each("probing", list(by_source), send)
        return shown


def _decides(one: Break, planned: PlannedProbe) -> bool:
    """Whether a probe passes with a break and does not without, or the other way round."""
    return bool(one.changed & one.bench.packet(_packet(planned.expectation)))


def _row_key(row: Row) -> tuple[str, str, str, str]:
    return row.source, row.source_address, row.destination_address, row.service


def _key(expectation: Expectation) -> tuple[str, str, str, str]:
    return (
        str(expectation.source),
        str(expectation.source.address(expectation.family)),
        expectation.address,
        service_name(expectation.service, expectation.family),
    )


def _packet(expectation: Expectation) -> Packet:
    """The first packet of a probe."""
    service, family = expectation.service, expectation.family
    source, destination = expectation.source.address(family), expectation.destination.address(family)
    assert source is not None
    assert destination is not None
    port = service.first if service.has_ports else (service.kind or 0) << 8 | (service.code or 0)
    known = PROTOCOL_NUMBERS[service.protocol]
    return Packet(int(family), known, source, destination, _PORT if service.has_ports else 0, port)
