"""Locks on a state: what the engine says of them, when another try is worth it, and which are removed."""

import json
import os
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provision.errors import UserError
from provision.host.locks import Holder, Lock, Turn, alone, locks_in, refusal, remove, slept

HERE = socket.gethostname()
SAID = f"""
 code: 255
 stdout:
 stderr: error: the stack is currently locked by 2 lock(s). Either wait for the other process(es) to end or delete the \
lock file with `pulumi cancel`.
  s3://bucket/.pulumi/locks/organization/shop/dev/1b.json?region=eu: created by ann lee@{HERE} (pid 1) at 2026-01-02T03:04:05Z
  postgres://****:****@db/.pulumi/locks/organization/shop/dev/2c.json: created by CI\\bob@far (pid 23) at 2026-01-02T03:04:06+02:00
"""  # noqa: E501


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def lock(since: datetime | None = None, host: str = "far", pid: str = "7") -> Lock:
    return Lock("where", "ann", host, pid, since)


def test_who_holds_a_stack_is_read_from_what_the_engine_says() -> None:
    one, two = locks_in(SAID)
    assert (one.where, one.user, one.host, one.pid) == (
        "s3://bucket/.pulumi/locks/organization/shop/dev/1b.json?region=eu", "ann lee", HERE, "1",
    )  # fmt: skip
    assert str(two) == "CI\\bob@far, process 23, since 2026-01-02 01:04:06 UTC"
    assert two.holder is Holder.ELSEWHERE
    assert locks_in("created by ann@far (pid 7)") == [Lock("", "ann", "far", "7")]
    assert locks_in("[409] Conflict: Another update is currently in progress.") == []
    assert refusal([]).summary == "the stack is locked by another run"


def test_a_holder_is_gone_when_its_process_is_or_is_another_program() -> None:
    assert lock(host=HERE, pid=str(os.getpid())).holder is Holder.GONE
    assert lock(host=HERE, pid="99999999").holder is Holder.GONE
    assert lock(host=f"not-{HERE}", pid="99999999").holder is Holder.ELSEWHERE


def test_a_run_that_met_an_older_one_gives_up_at_once_unless_it_is_to_wait() -> None:
    now = time.time()
    old = lock(datetime.now(UTC) - timedelta(minutes=1))
    assert Turn(0, now).pause([old]) is None
    assert Turn(0, now).pause([lock()]) is None
    waiting = Turn(100, now).pause([old])
    assert waiting is not None
    assert 0 < waiting <= 2


def test_two_that_began_together_try_a_few_times_more_each_by_chance() -> None:
    turn, young = Turn(0, time.time()), lock(datetime.now(UTC))
    pauses = []
    while (pause := turn.pause([young])) is not None:
        pauses.append(pause)
    assert len(pauses) == 4
    assert len(set(pauses)) == 4
    assert Turn(0, time.time()).pause([young, lock(datetime.now(UTC) - timedelta(minutes=1))]) is None


def test_a_person_ends_the_waiting() -> None:
    asked = iter([False, True, True])
    assert not slept(60, lambda: next(asked))
    assert slept(0, lambda: False)


def folder_with(tmp_path: Path, *names: str) -> tuple[str, list[Lock]]:
    place = tmp_path / "a state/.pulumi/locks/organization/shop/dev"
    place.mkdir(parents=True)
    url = f"file://{tmp_path}/a state?metadata=skip"
    locks = []
    for name in names:
        (place / f"{name}.json").write_text(json.dumps({"pid": 1}))
        shown = f"file://{tmp_path}/a%20state/.pulumi/locks/organization/shop/dev/{name}.json?metadata=skip"
        locks.append(Lock(shown, "ann", HERE, "99999999"))
    return url, locks


def test_of_a_folder_only_the_named_lock_is_removed(tmp_path: Path) -> None:
    url, (one,) = folder_with(tmp_path, "one")

    def all_of_them() -> None:
        raise AssertionError("every lock was removed")

    def looks() -> Sequence[Lock]:
        (tmp_path / "a state/.pulumi/locks/organization/shop/dev/late.json").write_text("{}")  # comes after the look
        return [one]

    assert remove([one], url, looks, all_of_them)
    assert [file.name for file in tmp_path.rglob("locks/**/*.json")] == ["late.json"]


def test_a_lock_that_has_come_since_is_left_with_all_others(tmp_path: Path) -> None:
    url, (one, two) = folder_with(tmp_path, "one", "two")
    removed: list[str] = []
    assert not remove([one], url, lambda: [one, two], lambda: removed.append("all"))
    assert remove([one, two], "s3://bucket", lambda: [], lambda: removed.append("all"))
    assert removed == []
    assert remove([one, two], "s3://bucket", lambda: [one], lambda: removed.append("all"))
    assert removed == ["all"]


def test_a_name_that_leads_out_of_the_folder_removes_nothing(tmp_path: Path) -> None:
    url, _ = folder_with(tmp_path, "one")
    outside = tmp_path / "a state/.pulumi/meta.json"
    outside.write_text("{}")
    crooked = Lock(f"file://{tmp_path}/a%20state/.pulumi/locks/../meta.json", "ann", HERE, "99999999")
    removed: list[str] = []
    assert remove([crooked], url, lambda: [crooked], lambda: removed.append("all"))
    assert outside.exists()
    assert removed == ["all"]


def test_only_one_run_at_a_time_removes_locks() -> None:
    with alone("s3://b", "shop", "dev"), alone("s3://b", "shop", "prod"):
        child = os.fork()
        if child == 0:  # must wait, and is ended while it does
            with alone("s3://b", "shop", "dev"):
                os._exit(0)
        time.sleep(0.2)
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(Exception, match="cannot be written"), alone("s3://b", "shop", "dev"):
        pass


def test_a_refusal_names_every_run() -> None:
    error = refusal([lock(), lock(pid="8")])
    assert isinstance(error, UserError)
    assert error.summary == "the stack is locked by ann@far, process 7; ann@far, process 8"
