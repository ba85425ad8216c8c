"""The self-test on live machines: what is broken is noted, looked at by every layer, and mended whatever comes."""

import os
import signal
import stat
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from selftest_wall import WRONG, Note, deployed, wall

from provision.cli.broken import BrokenNote
from provision.errors import EnvironmentProblem, PlatformError
from provision.packets.sets import PacketSpace
from provision.spi import (
    ResourceGraph,
)
from provision.verify.selftest import live_data, live_summary
from provision.verify.selftest.choosing import Break, chosen
from provision.verify.selftest.live import LiveScore, _count
from provision.verify.selftest.looking import Look
from provision.verify.selftest.mutants import Mutant
from provision.verify.selftest.natives import Native
from provision.verify.selftest.score import Layer


class Looker:
    """Layers that say what they are told to."""

    def __init__(self, live: dict[str, Any], says: Any) -> None:
        self.live, self.says, self.sent, self.seen = live, says, 7, list[list[int]]()

    def look(self, one: Break) -> Mapping[Look, bool]:
        self.seen.append(list(self.live["ports"]))
        found: Mapping[Look, bool] = self.says()
        return found


def a_break(native: Native, inputs: Mapping[str, Any] = WRONG) -> Break:
    space = PacketSpace(1)
    bench: Any = SimpleNamespace()
    return Break(
        Mutant("wall", ("ports",), "80 became 81", ResourceGraph((), ())), native, inputs, space.none, bench, True
    )


def counted(one: Break, looker: Looker, note: Note, seconds: float = 20.0) -> LiveScore:
    return _count([one], looker, note, lambda *_: None, seconds, 5)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.verify.selftest.natives._PAUSE", 0.0)


def test_a_break_is_noted_made_looked_at_and_mended() -> None:
    native, live = wall()
    note, looker = Note(), Looker(live, lambda: {Look.STATIC: True, Look.EFFECTIVE: False, Look.PROBED: True})
    score = counted(a_break(native), looker, note)

    assert looker.seen == [[80, 81]]
    assert (live["ports"], live["writes"], note.history) == ([80], [[80, 81], [80]], ["noted", "cleared"])
    assert live_data(score) == {
        "total": 1,
        "caught": 1,
        "by_layer": {"probed": 1},
        "layers": {
            "static": {"looked": 1, "noticed": 1},
            "effective": {"looked": 1, "noticed": 0},
            "probed": {"looked": 1, "noticed": 1},
        },
        "missed": [], "refused": [], "late": [], "possible": 5, "probes": 7, "revoked": [],
    }  # fmt: skip
    assert "1 of 1 rules and settings broken on the live platform were noticed" in live_summary(score)


def test_what_the_translation_alone_would_show_is_not_noticed() -> None:
    native, live = wall()
    score = counted(a_break(native), Looker(live, lambda: {Look.STATIC: True, Look.ACCEPTED: False}), Note())
    assert (score.total, score.caught, score.missed) == (1, 0, ("wall.ports: 80 became 81",))


def test_a_failing_look_leaves_nothing_broken() -> None:
    def fails() -> Mapping[Look, bool]:
        raise RuntimeError("a defect")

    native, live = wall()
    note = Note()
    with pytest.raises(RuntimeError, match="a defect"):
        counted(a_break(native), Looker(live, fails), note)
    assert (live["ports"], note.nodes) == ([80], ())


def test_a_look_that_takes_too_long_is_not_waited_for() -> None:
    native, live = wall()
    ended = list[bool]()

    def slow() -> Mapping[Look, bool]:
        end = time.monotonic() + 60
        while live["ports"] != [80] and time.monotonic() < end:
            time.sleep(0.01)
        ended.append(live["ports"] == [80])
        return {Look.PROBED: True}

    score = counted(a_break(native), Looker(live, slow), Note(), seconds=0.01)
    assert (score.late, score.caught, score.total) == (("wall.ports: 80 became 81",), 0, 1)
    assert ended == [True]  # it was mended while it still looked


def test_a_signal_is_heeded_once_all_is_mended() -> None:
    native, live = wall()
    note, heard = Note(), list[list[int]]()

    def interrupted() -> Mapping[Look, bool]:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return {Look.PROBED: True}

    before = signal.signal(signal.SIGINT, lambda *_: heard.append(list(live["ports"])))
    try:
        counted(a_break(native), Looker(live, interrupted), note)
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [[80]]
    assert note.nodes == ()


def test_what_the_platform_refuses_is_counted_apart_and_mended_too() -> None:
    native, live = wall(stuck=[[80, 81]])
    score = counted(a_break(native), Looker(live, dict), Note())
    assert score.refused == ("wall.ports: 80 became 81: it is stuck",)
    assert (score.total, live["ports"]) == (0, [80])


def test_what_cannot_be_mended_stays_noted_and_is_said() -> None:
    native, live = wall(stuck=[[80]])
    note = Note()
    with pytest.raises(PlatformError, match="could not be mended: it is stuck") as caught:
        counted(a_break(native), Looker(live, lambda: {Look.PROBED: True}), note)
    assert "provision refresh" in (caught.value.fix or "")
    assert note.nodes == ("wall",)


@pytest.mark.parametrize("names", [("wall", "gone since"), None])
def test_the_next_command_mends_what_was_left(names: Any) -> None:
    live: dict[str, Any] = {"ports": [80, 81], "writes": [], "stuck": []}
    assert deployed(live).mend(names) == ("wall",)
    assert live["ports"] == [80]


def test_what_holds_a_secret_that_the_state_hides_is_never_touched() -> None:
    assert deployed({}, {"ports": [80], "key": "[secret]"}).get("wall") is None


def test_a_note_is_this_users_alone_outlives_the_process_and_need_not_be_readable(tmp_path: Path) -> None:
    env = {"XDG_STATE_HOME": str(tmp_path)}
    note = BrokenNote.of(tmp_path, "dev", env)
    assert not note
    assert note.read() == ()
    note.write(["machines/web/nic-0/filter"])
    assert stat.S_IMODE(os.stat(note.path).st_mode) == 0o600
    assert BrokenNote.of(tmp_path, "dev", env).read() == ("machines/web/nic-0/filter",)
    assert not BrokenNote.of(tmp_path, "prod", env)
    note.path.write_text("{half")
    assert note
    assert note.read() is None
    note.clear()
    assert not note
    note.clear()


def test_without_a_note_nothing_may_be_broken(tmp_path: Path) -> None:
    (tmp_path / "provision").write_text("no folder")
    with pytest.raises(EnvironmentProblem, match="nothing may be broken"):
        BrokenNote.of(tmp_path, "dev", {"XDG_STATE_HOME": str(tmp_path)}).write(["x"])


def test_of_every_type_something_is_broken_before_more_of_any() -> None:
    fields = {"card": ["filter", "parameters", "queues"], "network": ["closed"], "rules": ["list", "references"]}
    tokens = {name: SimpleNamespace(state=SimpleNamespace(token=name)) for name in fields}
    natives: Any = SimpleNamespace(get=tokens.get, inputs=lambda mutant: {})
    bench: Any = SimpleNamespace(fate=lambda mutant: Layer.PROOF, changed=lambda mutant: PacketSpace(1).none)
    made = [Mutant(name, (path,), "wrong", ResourceGraph((), ())) for name, paths in fields.items() for path in paths]
    found = [one.mutant.node for one in chosen([(bench, made)], natives, 5)]
    assert found == ["card", "network", "rules", "card", "rules"]
