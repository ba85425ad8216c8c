"""Rules of an organisation and the reviewer's page, with the real engine: what stops a run, and what a comment says."""

import json

import pytest
import yaml
from documented import documented
from test_engine_cli import STACK, Project, project  # noqa: F401 - a fixture

from provision.testing.store import Fault

pytestmark = pytest.mark.engine

RULES = "version: 1\nrules:\n  shut: {kind: unreachable, from: [internet], to: [machine.web], services: [tcp/5432]}\n"
BROKEN = (
    "policy refused: the stack breaks rules of the organisation in 1 place; nothing was changed\n"
    "stack.yaml:14:83: error: the rule 'shut' is broken: tcp/5432 from internet (1.0.0.0) to web-0 (10.1.0."
)
ROUTED = STACK.replace("10.1.0.0/24}", "10.1.0.0/24, internet: routed}")


def pages(project: Project, *words: str) -> list[str]:  # noqa: F811
    said = project.provision("preview", "--format", "markdown", *words)
    assert said.err == ""
    return said.out.splitlines()


def test_a_change_is_reviewed_and_refused_by_rules_wherever_they_are_named(project: Project) -> None:  # noqa: F811
    (project.folder / "stack.yaml").write_text(ROUTED)
    (project.folder / "rules.yaml").write_text(RULES)
    first = pages(project)
    assert first[0] == "<!-- provision preview shop/dev -->"
    assert "The first deployment: 1 way is open, all else is closed." in first
    assert "| outside | web | `tcp/80` | `web-open` |" in first
    project.fine("up", "--yes")
    calls = len(project.store.mutations())
    assert "Nothing changes in who reaches whom." in pages(project)

    project.edit("allow: [tcp/80]", "allow: [tcp/80, tcp/5432]")
    project.edit("count: 2", "count: 3")
    (project.folder / "rules.yaml").rename(project.folder / "org.yaml")
    changed = pages(project, "--allow-destroy", "*")
    assert "2 ways opened, 0 closed." in changed
    assert "| outside | web-0, web-1 | `tcp/5432` | `web-open` |" in changed
    assert "| outside | web-2 (new) | `tcp/80`, `tcp/5432` | `web-open` |" in changed
    assert "| Created | 2 | 1 |" in changed

    for words, env in (
        (("preview", "--rules", "org.yaml"), {}),
        (("up", "--yes"), {"PROVISION_RULES": str(project.folder / "org.yaml")}),
    ):
        said = project.provision(*words, **env)
        assert (said.code, said.out) == (3, "")
        assert said.err.startswith(BROKEN)
        assert "the rule is at org.yaml:3:3" in said.err
    config = project.folder / "Pulumi.dev.yaml"
    said_before = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump(said_before | {"config": said_before["config"] | {"provision:rules": "org.yaml"}}))
    refused = project.provision("preview", "--format", "markdown")
    assert refused.code == 3
    assert "### Refused policies" in refused.out.splitlines()
    assert len(project.store.mutations()) == calls


def test_what_was_planned_is_done_or_nothing(project: Project) -> None:  # noqa: F811
    project.fine("preview", "--save-plan", "plan.json")
    project.store.inject(Fault("create", "retry", name="shop-dev-web-1"))
    done = project.fine("up", "--yes", "--plan", "plan.json", "--events", "events")
    assert done.out.startswith("Done: 2 machines created")
    lines = [json.loads(line) for line in (project.folder / "events").read_text().splitlines()]
    for line in lines:
        documented("event", line)
    assert [lines[0]["kind"], lines[-1]["kind"]] == ["begin", "end"]
    made = [line["name"] for line in lines if line.get("phase") == "done" and line["op"] == "create"]
    assert {"machines/web-0/server", "machines/web-1/server"} <= set(made)
    calls_of = [(line["failure"], line["seconds"] >= 0) for line in lines if line.get("call") == "memory.Server.create"]
    assert sorted(calls_of, key=str) == [("RetriableError", True), (None, True), (None, True)]
    assert [
        (line["urn"].rpartition("::")[2], line["op"], line["attempt"]) for line in lines if line["kind"] == "retry"
    ] == [("machines/web-1/server", "create", 1)]

    project.edit("64MiB", "65MiB")
    project.fine("preview", "--save-plan", "plan.json")
    calls = len(project.store.mutations())
    project.edit("65MiB", "66MiB")
    refused = project.provision("up", "--yes", "--plan", "plan.json")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == (
        "error: the plan plan.json does not hold any more, and nothing was changed:\n"
        "  stack.yaml:8 is not as it was\n"
        "  fix: look at it anew: provision preview --save-plan FILE\n"
    )
    assert len(project.store.mutations()) == calls

    project.edit("66MiB", "65MiB")
    gone = next(item for item in project.store.objects() if item.name == "shop-dev-web-1-data")
    project.store.remove(gone.id)
    calls = len(project.store.mutations())
    refused = project.provision("up", "--yes", "--plan", "plan.json")
    assert "\n  the platform has moved: machines/web-1/disk-data is gone\n" in refused.err
    assert len(project.store.mutations()) == calls
    project.fine("refresh")
    refused = project.provision("up", "--yes", "--plan", "plan.json")
    assert "\n  the state no longer has machines/web-1/disk-data\n" in refused.err
