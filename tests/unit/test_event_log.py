"""The file of `--events`: a line for everything that happens, as its schema says, whatever becomes of the run."""

import json
import resource
import signal
from pathlib import Path

import pytest
from documented import documented

from provision.cli.event_log import event_log
from provision.cli.watched import phases, watched
from provision.errors import EnvironmentProblem
from provision.host.events import Message, PropertyChange, ResourceStep
from provision.host.told import NativeCall, Retry
from provision.spi.calls import calls_are_watched, native_call

URN = "urn:pulumi:dev::shop::provision:index:Stack$provision-memory:index:Server::machines/web/server"


def lines(path: Path) -> list[dict[str, object]]:
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for line in found:
        documented("event", line)
    return found


def test_every_event_is_a_line_with_what_it_took(tmp_path: Path) -> None:
    with event_log(tmp_path / "events", "up") as write:
        write(ResourceStep("started", "update", URN, (PropertyChange("memoryMib", "1 → 2"),)))
        assert len(lines(tmp_path / "events")) == 2  # while it happens
        write(Message("warning", "tried again", URN))
        write(ResourceStep("done", "update", URN, (PropertyChange("memoryMib", "1 → 2"),)))
    begin, started, said, done, end = lines(tmp_path / "events")
    assert [begin["kind"], end["kind"]] == ["begin", "end"]
    assert (started["phase"], started["seconds"]) == ("started", None)
    assert (said["severity"], said["text"]) == ("warning", "tried again")
    assert (done["phase"], done["name"], done["properties"]) == ("done", "machines/web/server", ["memoryMib"])
    assert isinstance(done["seconds"], float)
    assert {line["command"] for line in (begin, started, end)} == {"up"}


def test_native_calls_and_what_is_tried_again_are_lines_too(tmp_path: Path) -> None:
    with event_log(tmp_path / "events", "up") as write:
        write(NativeCall("ec2.RunInstances", URN, 1e9, 0.25, "RequestLimitExceeded"))
        write(Retry(URN, "create", 1, 2.5, "Throttled"))
        write(NativeCall("ec2.DescribeInstances", "", 1e9, 0.125))
    _, failed, retry, fine, _ = lines(tmp_path / "events")
    assert (failed["kind"], failed["call"], failed["seconds"], failed["failure"], failed["urn"]) == (
        "call", "ec2.RunInstances", 0.25, "RequestLimitExceeded", URN,
    )  # fmt: skip
    assert (retry["kind"], retry["op"], retry["attempt"], retry["wait"], retry["failure"]) == (
        "retry", "create", 1, 2.5, "Throttled",
    )  # fmt: skip
    assert (fine["urn"], fine["failure"]) == ("", None)


def test_a_run_that_fails_has_an_end_and_a_second_one_is_added(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), event_log(tmp_path / "events", "up"):
        raise RuntimeError
    with event_log(tmp_path / "events", "down"):
        pass
    assert [(line["command"], line["kind"]) for line in lines(tmp_path / "events")] == [
        ("up", "begin"), ("up", "end"), ("down", "begin"), ("down", "end"),
    ]  # fmt: skip


def test_without_a_file_nothing_is_written(tmp_path: Path) -> None:
    with event_log(None, "up") as write:
        write(Message("info", "hello"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_said_before_anything_is_done(tmp_path: Path) -> None:
    log = event_log(tmp_path, "up")
    with pytest.raises(EnvironmentProblem, match="cannot be written: Is a directory"):
        log.__enter__()


def test_a_full_disk_is_told_once_and_stops_no_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(EnvironmentProblem, match="cannot be written: No space left on device"),
        event_log(Path("/dev/full"), "up"),
    ):
        pytest.fail("this is before the run begins")  # pragma: no cover
    file = tmp_path / "events"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with event_log(file, "up") as write:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 40, limits[1]))
            try:
                write(Message("info", "a longer text than there is room for: " + "x" * 80))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            write(Message("info", "another"))
    finally:
        signal.signal(signal.SIGXFSZ, handler)
    assert len(file.read_text().splitlines()) == 2  # the second is not whole: no third is glued to it
    assert capfd.readouterr().err == f"warning: {file} lacks events: File too large\n"


def test_phases_and_calls_of_this_process_are_told_while_somebody_watches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    shown: list[tuple[str, int, int]] = []
    with watched(tmp_path / "events", "verify", "shop", "dev", here=True) as tell:
        progress = phases(tell, lambda *said: shown.append(said))
        native_call("fake.look", lambda: None)
        for done in (1, 2):
            progress("probing", done, 2)
        progress("looking again", 1, 1)
    assert not calls_are_watched()
    assert shown == [("probing", 1, 2), ("probing", 2, 2), ("looking again", 1, 1)]
    _, call, *told, _ = lines(tmp_path / "events")
    assert (call["kind"], call["call"], call["urn"]) == ("call", "fake.look", "")
    assert [(line["kind"], line["text"], line["parts"]) for line in told] == [
        ("phase", "probing", 2), ("phase", "looking again", 1),
    ]  # fmt: skip

    with watched(None, "verify", "shop", "dev", here=True) as tell:
        assert not calls_are_watched()
        phases(tell, lambda *said: shown.append(said))("probing", 1, 1)
    assert len(shown) == 4
