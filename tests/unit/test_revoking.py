"""Open connections whose policy is taken away for a moment: what is concluded, and that all is mended."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from selftest_wall import Note, Wall, deployed, wall

from provision.models import Revoke
from provision.packets import Protocol, Service
from provision.spi import Node, Observation, Output, Probe, ResourceGraph, Seen
from provision.verify.endpoints import Endpoint, EndpointKind, Family
from provision.verify.expectation import Expectation
from provision.verify.intent import Verdict
from provision.verify.plan import PlannedProbe
from provision.verify.selftest import live_data, live_lines, live_summary
from provision.verify.selftest.live import LiveScore, _away
from provision.verify.selftest.natives import Native
from provision.verify.selftest.revoking import Revocation, Revoking

AWAY = {"ports": []}


@dataclass
class Network:
    """A machine's channel over a wall: a connection that is open lives on or not, as it is told."""

    live: dict[str, Any]
    keeps: bool = False
    leaks: bool = False
    dead: bool = False
    carries: bool = True
    failures: dict[str, str] = field(default_factory=dict)
    held: bool = False
    waited: list[float] = field(default_factory=list)

    def able(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name not in self.failures]

    def channel(self, name: str) -> "Network":
        return self

    def run(self, name: str, probes: Sequence[Probe]) -> list[Observation]:
        passes = (self.leaks or 80 in self.live["ports"]) and not (self.dead and self.live["writes"])
        return [Observation(probe, Seen.OPEN if passes else Seen.TIMEOUT) for probe in probes]

    def hold(self, probe: Probe) -> Observation:
        self.held = 80 in self.live["ports"] and not self.dead
        return Observation(probe, Seen.OPEN if self.held else Seen.TIMEOUT)

    def beat(self, seconds: float) -> Seen:
        self.waited.append(seconds)
        if not self.held:
            return Seen.FAILED
        return Seen.OPEN if self.carries and (self.keeps or 80 in self.live["ports"]) else Seen.TIMEOUT


def revoking(native: Native, expected: Revoke = Revoke.CUT) -> Revoking:
    web, db = (Endpoint(EndpointKind.MACHINE, name, "lan") for name in ("web", "db"))
    expectation = Expectation(web, db, Service(Protocol.TCP, 80, 80), Family.V4, Verdict(True, "open"), True)
    return Revoking("open", expected, PlannedProbe(expectation, Probe(Protocol.TCP, "10.0.0.2", 80)), [(native, AWAY)])


def tried(expected: Revoke = Revoke.CUT, **network: Any) -> tuple[Revocation, dict[str, Any], Note]:
    native, live = wall(**network.pop("wall", {}))
    note, crew = Note(), Network(live, **network)
    found = _away(revoking(native, expected), crew, note)  # type: ignore[arg-type]
    return found, live, note


@pytest.mark.parametrize(
    ("expected", "keeps", "right"),
    [(Revoke.CUT, False, True), (Revoke.CUT, True, False), (Revoke.KEEP, True, True), (Revoke.KEEP, False, False)],
)
def test_an_open_connection_ends_or_goes_on_as_the_file_says_or_not(expected: Revoke, keeps: bool, right: bool) -> None:
    found, live, note = tried(expected, keeps=keeps)
    assert (found.ended, found.right) == (not keeps, right)
    assert (live["ports"], live["writes"], note.history) == ([80], [[], [80]], ["noted", "cleared"])
    assert "an open connection web -> db (tcp/80)" in str(found)


@pytest.mark.parametrize(
    ("network", "why"),
    [
        ({"leaks": True}, "new connections pass without it, so something else allows them"),
        ({"carries": False}, "nothing comes back through its connection: timeout"),
        ({"dead": True}, "its connection could not be opened: timeout"),
        ({"failures": {"web": "it is gone"}}, "web: it is gone"),
        ({"wall": {"stuck": [[]]}}, "it is stuck"),
    ],
)
def test_what_shows_nothing_is_said_and_nothing_stays_broken(network: dict[str, Any], why: str) -> None:
    found, live, note = tried(**network)
    assert (found.ended, found.right) == (None, None)
    assert why in found.text
    assert (live["ports"], bool(note)) == ([80], False)


def test_a_connection_that_ends_with_its_machine_is_not_taken_for_a_cut() -> None:
    native, live = wall()
    crew = Network(live)
    crew.run = lambda name, probes: [Observation(one, Seen.TIMEOUT) for one in probes]  # type: ignore[method-assign]
    found = _away(revoking(native), crew, Note())  # type: ignore[arg-type]
    assert (found.ended, found.text) == (None, "no new connection passes after it was mended")


def test_a_channel_that_holds_nothing_is_said_and_nothing_is_written() -> None:
    native, live = wall()
    crew: Any = SimpleNamespace(able=lambda names: names, failures={}, channel=lambda name: object())
    assert _away(revoking(native), crew, Note()).text == "web: its channel cannot hold a connection"
    assert live["writes"] == []


def test_a_score_tells_of_open_connections() -> None:
    outcomes = (
        Revocation("a", Revoke.CUT, True, "an open connection x -> y (tcp/1)"),
        Revocation("b", Revoke.CUT, False, "an open connection x -> y (tcp/2)"),
        Revocation("c", Revoke.KEEP, None, "nobody holds it"),
    )
    score = LiveScore(revoked=outcomes)
    assert score.astray
    assert not LiveScore(revoked=outcomes[:1]).astray
    assert live_summary(score).endswith("; 1 of 2 policies taken away did with open connections what the file says")
    assert live_lines(score) == [
        "difference: policy 'b', revoke: cut: an open connection x -> y (tcp/2) went on without it",
        "note: policy 'c', revoke: keep: nothing is shown: nobody holds it",
    ]
    assert [(one["policy"], one["right"]) for one in live_data(score)["revoked"]] == [
        ("a", True), ("b", False), ("c", None),
    ]  # fmt: skip


def graph(**ports: Any) -> ResourceGraph:
    return ResourceGraph((), tuple(Node(Wall, name, {"ports": value}) for name, value in ports.items()))


def test_only_what_differs_in_both_graphs_is_written() -> None:
    natives = deployed({"ports": [80], "writes": [], "stuck": []})
    changes = natives.changes(graph(wall=[80], gone=[1]), graph(wall=[81]))
    assert changes is not None
    assert [(native.state.name, dict(inputs)) for native, inputs in changes] == [("wall", {"ports": [81]})]
    assert natives.changes(graph(wall=[80]), graph(wall=[80])) == []
    assert natives.changes(graph(other=[80]), graph(other=[81])) is None  # it may not be touched
    assert natives.changes(graph(wall=[80]), graph(wall=[Output("new", "id")])) is None  # what is not there
