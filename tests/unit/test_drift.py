"""What a look for drift tells, and in which forms."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from provision.cli.changes import Action, Change, Changes
from provision.cli.drifting import Finding, Kind, Report, as_data, as_junit, as_sarif, collected, human, markdown
from provision.diagnostics import Position
from provision.errors import PlatformError
from provision.host.events import PropertyChange
from provision.loader import load
from provision.spi import Evidence, Stranger
from provision.testing.memory_types import Server
from provision.verify.evidence import Gathered
from provision.verify.held import Held

FILE = """\
version: 1
platform: memory
networks:
  front: {cidr: 10.1.0.0/24}
machines:
  web:
    image: micro
    memory: 64MiB
    count: 2
    nics: [{network: front}]
isolation:
  policies:
    web-open: {kind: traffic, from: [outside], to: [machine.web], allow: [tcp/80]}
"""
SERVER = "provision-memory:compute:Server"


@pytest.fixture
def loaded(tmp_path: Path):
    (tmp_path / "stack.yaml").write_text(FILE)
    return load(tmp_path)


def changed(*found: Change) -> Changes:
    changes = Changes(preview=True)
    changes.found = list(found)
    changes.unchanged = 5
    return changes


def change(name: str, *paths: str, action: Action = Action.UPDATE, failed: bool = False) -> Change:
    values = tuple(PropertyChange(path, "1 → 2") for path in paths)
    return Change(action, SERVER, name, f"urn::{name}", values, failed=failed)


def report(loaded, *found: Change, gathered: Gathered | None = None) -> Report:
    return collected("shop", "dev", loaded, changed(*found), gathered, {SERVER: Server})


def position(line: int, column: int) -> Position:
    return Position("stack.yaml", line, column)


def places(told: Report) -> list[tuple[str, int]]:
    return [(item.name, item.position.line if item.position else 0) for item in told.findings]


def test_nothing_found_is_no_drift(loaded) -> None:
    told = report(loaded)
    assert (told.drifted, told.exit_code) == (False, 0)
    assert list(human(told)) == ["No drift: 5 resources as recorded."]


def test_every_finding_points_at_the_entry_that_it_is_about(loaded) -> None:
    told = report(
        loaded,
        change("machines/web-1/server", "memoryMib"),
        change("networks/front/network", action=Action.DELETE),
        change("isolation/web-open/group", "rules"),
        change("elsewhere/thing"),
    )
    assert sorted(places(told)) == [
        ("elsewhere/thing", 0),
        ("isolation/web-open/group", 13),
        ("machines/web-1/server", 6),
        ("networks/front/network", 4),
    ]


def test_what_isolates_comes_first_and_has_an_exit_code_of_its_own(loaded) -> None:
    plain = report(loaded, change("machines/web-0/server", "memoryMib"))
    assert (plain.exit_code, plain.findings[0].isolates) == (2, False)
    grave = report(loaded, change("machines/web-0/server", "memoryMib"), change("isolation/web-open/group", "rules"))
    assert grave.exit_code == 3
    assert [item.isolates for item in grave.findings] == [True, False]
    assert list(human(grave))[-2] == "Drift: 2 findings, 1 of what isolates; 5 resources as recorded."


def test_evidence_that_disagrees_is_drift_and_evidence_that_is_missing_is_not(loaded) -> None:
    seen = {Evidence.ACCEPTED: Held(False, "the filter 'x' was changed by hand")}
    told = report(loaded, gathered=Gathered(policies={"web-open": seen}))
    assert [(item.kind, item.summary) for item in told.findings] == [
        (Kind.POLICY, "isolation/web-open: the filter 'x' was changed by hand")
    ]
    assert places(told) == [("isolation/web-open", 13)]
    cannot = {Evidence.EFFECTIVE: Held(None, "over SSH nobody sees it")}
    assert report(loaded, gathered=Gathered(policies={"web-open": cannot})).findings == ()
    blind = report(loaded, gathered=Gathered(not_applied="the host does not answer", failed=True))
    assert (blind.drifted, blind.exit_code) == (False, 1)
    assert list(human(blind))[-1] == "No drift: 5 resources as recorded; 1 thing could not be looked at."


def test_a_machine_of_others_on_a_network_is_drift_that_nobody_puts_back(loaded) -> None:
    others = (
        Stranger("networks/front/network", "the machine '<x> @all'"),
        PlatformError("the host does not answer"),
    )
    told = collected("shop", "dev", loaded, changed(), None, {}, others=others)
    assert [(one.kind, one.name, one.summary, one.isolates) for one in told.findings] == [
        (Kind.UNSEEN, "networks", "whether machines of others are on the networks is not known: the host does not "
         "answer", True),
        (Kind.FOREIGN, "networks/front", "the machine '<x> @all' is on networks/front, and is none of the stack's",
         False),
    ]  # fmt: skip
    assert places(told) == [("networks", 3), ("networks/front", 4)]
    assert (told.drifted, told.exit_code) == (True, 2)
    assert (
        list(human(told))[-1] == "What is none of the stack's is never touched: remove it, or give it another network."
    )
    assert r"- the machine '\<x\> \@all' is on networks/front" in markdown(told)  # it mentions nobody
    assert as_sarif(told, "1", Path("/"))["runs"][0]["results"][1]["ruleId"] == "foreign-object"
    assert 'type="foreign-object"' in as_junit(told)


def test_what_could_not_be_read_is_not_called_unchanged(loaded) -> None:
    told = report(loaded, change("machines/web-0/server", failed=True))
    assert [(item.kind, item.summary) for item in told.findings] == [
        (Kind.UNSEEN, "machines/web-0/server could not be read")
    ]
    assert told.exit_code == 1


GRAVE = Finding(Kind.RULES, "isolation", "tcp/22 passes <from> outside", ("by | rule\x00",), True, position(9, 1))
BLIND = Finding(Kind.UNSEEN, "machines/db/server", "it could not be read", position=position(5, 3))
BOTH = Report("shop", "dev", (GRAVE, BLIND), 4)


def test_sarif_points_into_the_repository_and_keeps_fingerprints() -> None:
    told: Any = as_sarif(BOTH, "1.2", Path.cwd().parent)
    run = told["runs"][0]
    known = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in run["results"]} <= known == {str(kind) for kind in Kind}
    assert [result["level"] for result in run["results"]] == ["error", "note"]
    physical = run["results"][0]["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == f"{Path.cwd().name}/stack.yaml"
    assert physical["region"] == {"startLine": 9, "startColumn": 1}
    moved = Report("shop", "dev", (Finding(**{**_fields(GRAVE), "position": position(20, 1)}),), 0)
    again: Any = as_sarif(moved, "1.2", Path("/elsewhere"))
    assert again["runs"][0]["results"][0]["partialFingerprints"] == run["results"][0]["partialFingerprints"]


def test_junit_counts_drift_as_failures_and_blindness_as_errors() -> None:
    suites = ET.fromstring(as_junit(BOTH))
    assert {key: suites.get(key) for key in ("tests", "failures", "errors")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
    }
    assert [case.get("name") for case in suites.iter("testcase")] == [
        "4 resources as recorded",
        "isolation",
        "machines/db/server",
    ]
    assert "by | rule?" in (next(suites.iter("failure")).text or "")


def test_markdown_can_be_found_again_and_shows_names_as_they_are() -> None:
    text = markdown(BOTH)
    assert text.splitlines()[0] == "<!-- provision drift shop/dev -->"
    assert r"- **isolation**: tcp/22 passes \<from\> outside (stack.yaml:9:1)" in text
    many = Report("shop", "dev", tuple(Finding(Kind.GONE, f"n{i}", "gone " * 20) for i in range(1000)), 0)
    assert len(markdown(many)) < 65_536
    assert "… and 800 more" in markdown(many)


def test_the_json_form_is_whole() -> None:
    told = json.loads(json.dumps(as_data(BOTH)))
    assert (told["schema"], told["drifted"], told["exit_code"]) == (1, True, 3)
    assert told["findings"][0]["position"] == "stack.yaml:9:1"


def _fields(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in Finding.__dataclass_fields__}
