"""Saved plans: whatever has moved since is found before anything is changed, and said with its place."""

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provision.errors import EnvironmentProblem, UserError
from provision.host.plans import Basis, SavedPlan, basis, discard, moved, new_salt, read, save

SALT = new_salt()
FILES = {"stack.yaml": "version: 1\nplatform: memory\n", "stack.dev.yaml": "{}\n"}
URN = "urn:pulumi:dev::shop::provision-memory:index:Server::machines/web/server"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "one"}
STATE = {"resources": [{"urn": URN, "type": "t", "outputs": {"a": 1, "key": SECRET}, "modified": "then"}]}


def made(files: Any = FILES, config: Any = None, state: Any = STATE, salt: str = SALT) -> Basis:
    return basis(salt, "shop", "dev", files, config, state)


def test_nothing_has_moved_when_all_is_as_it_was() -> None:
    state = {"resources": [STATE["resources"][0] | {"modified": "now"}]}
    encrypted = json.loads(json.dumps(state).replace('"one"', '"another"'))
    assert moved(made(), made(state=encrypted)) == []  # the same secret is encrypted anew in each export


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (made({**FILES, "stack.yaml": "version: 1\nplatform: other\n"}), ["stack.yaml:2 is not as it was"]),
        (made({**FILES, "stack.yaml": "version: 1\n"}), ["stack.yaml:2 is not as it was"]),
        (made({**FILES, "stack.yaml": "version: 1\nplatform: memory\nx-a: 1\n"}), ["stack.yaml:3 is not as it was"]),
        (made({"stack.yaml": FILES["stack.yaml"]}), ["stack.dev.yaml is no longer read"]),
        (made({**FILES, "rules.yaml": ""}), ["rules.yaml is read now, and was not"]),
        (made(config={"shop:size": "2"}), ["the configuration of the stack has changed"]),
        (made(state={}), ["the state no longer has machines/web/server"]),
        (
            made(state={"resources": [STATE["resources"][0] | {"outputs": {"a": 2, "key": SECRET}}]}),
            ["the state has other values for machines/web/server"],
        ),
        (
            made(state={"resources": [*STATE["resources"], *({"urn": f"u::p::t::m{i}"} for i in range(7))]}),
            ["the state has in addition m0, m1, m2, m3, m4 and 2 more"],
        ),
        (replace(made(), stack="prod"), ["the plan is for the stack 'dev' of 'shop'"]),
    ],
)
def test_what_has_moved_is_named(now: Basis, said: list[str]) -> None:
    assert moved(made(), now) == said


def test_a_plan_is_read_as_it_was_saved_by_nobody_else_and_says_no_line_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text("an older plan")
    file.chmod(0o666)
    plan = SavedPlan(SALT, made(config={"key": {"secure": "v1:abc"}}), {"resourcePlans": {}})
    save(file, plan)
    assert read(file) == plan
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "platform: memory" not in file.read_text()
    assert "v1:abc" not in file.read_text()
    assert made(salt=new_salt()) != made()  # digests of one plan say nothing of another
    for place in (tmp_path / "nowhere" / "plan.json", file / "plan.json"):
        for made_or_removed in (lambda place=place: save(place, plan), lambda place=place: discard(place)):
            with pytest.raises(EnvironmentProblem, match="cannot be written"):
                made_or_removed()
    discard(file)
    assert not file.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no plan of provision"),
        ("[]", "is no plan of provision"),
        ('{"manifest": {}, "resourcePlans": {}}', "is no plan of provision"),
        ('{"form": "provision plan", "schema": 2}', "is a plan of another version"),
        ('{"form": "provision plan", "schema": 1}', "is a plan that something has broken"),
        ('{"form": "provision plan", "schema": 1, "salt": "", "basis": {"x": 1}, "engine": {}}', "has broken"),
    ],
)
def test_what_is_no_plan_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(UserError, match=message) as refused:
        read(tmp_path / "plan.json")
    assert "--save-plan" in refused.value.fix


def test_a_plan_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read(tmp_path / "plan.json")
