"""The report in each of its forms, word for word."""

import io
import json
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console
from test_verify_intent import machine, stack_of, traffic
from test_verify_run import also, verified, without
from verify_network import deployed_for, following

from provision.spi import Evidence
from provision.verify import PolicyRecord, VerifyReport, as_data, as_json, human, junit, markdown


@pytest.fixture
def report() -> VerifyReport:
    """Two machines: one way closed against the file, one open against it, one policy downgraded, no outside peer."""
    stack = stack_of(
        {
            "app-to-db": traffic("machine.app", "machine.db", "tcp/5432"),
            "quiet": traffic("machine.db", "machine.app", "tcp/99", level="preferred"),
        },
        {"back": {"cidr": "10.20.2.0/24", "cidr6": "fd00::/64", "internet": "routed"}},
        {"app": machine("back"), "db": machine("back")},
    )
    record = PolicyRecord("quiet", "traffic", "preferred", "downgrade", "this host cannot")
    deployed = deployed_for(stack, policies={"quiet": record})
    world = without(following(stack, deployed), "app", "10.20.2.11", 5432)
    return verified(stack, also(world, "db", "10.20.2.10", 99), deployed, has_outside=False)


def test_a_terminal_shows_the_matrix_and_every_difference_in_words(report: VerifyReport) -> None:
    text = io.StringIO()
    Console(file=text, width=150, color_system=None).print(human(report))
    shown = "\n".join(line.rstrip() for line in text.getvalue().splitlines())
    assert shown == HUMAN.strip("\n")


def test_nothing_of_a_wide_matrix_is_cut_off_on_a_terminal_of_eighty_columns() -> None:
    names = [f"machine-number-{index}" for index in range(8)]
    stack = stack_of(
        {"p": traffic("machine.*", "machine.*", "tcp/15432")},
        {"back": {"cidr": "10.20.2.0/24"}},
        {name: machine("back") for name in names},
    )
    text = io.StringIO()
    report = verified(stack, following(stack, deployed_for(stack)), has_outside=False)
    Console(file=text, width=80, color_system=None).print(human(report))
    assert text.getvalue().count("tcp/15432") == 8 * 7
    assert all(name in text.getvalue() for name in names)


def test_differences_are_red_on_a_terminal_with_colour(report: VerifyReport) -> None:
    text = io.StringIO()
    Console(file=text, width=150, force_terminal=True, color_system="standard").print(human(report))
    assert "\x1b[1;31m!tcp/99 open" in text.getvalue()


def test_the_document_for_a_pull_request(report: VerifyReport) -> None:
    assert markdown(report) == MARKDOWN.lstrip("\n")


def test_the_schema_of_the_json_form_stays(report: VerifyReport) -> None:
    data = json.loads(as_json(report))
    assert list(data) == [
        "schema", "project", "stack", "platform", "file", "exit_code", "counts", "pairs", "coverage", "rows",
        "policies",
        "downgraded", "not_probed", "left_out", "shares", "unmet", "translated", "accepted", "effective", "rules",
    ]  # fmt: skip
    assert data["schema"] == 1
    assert data["exit_code"] == 3
    assert data["counts"] == {"probed": 44, "agreed": 41, "differ": 3, "unproven": 0, "not_probed": 1, "left_out": 4}
    assert data["rows"][0] == {
        "source": "app",
        "source_address": "10.20.2.10",
        "destination": "db",
        "destination_address": "10.20.2.11",
        "service": "tcp/5432",
        "family": 4,
        "expected": "open",
        "seen": "timeout",
        "passed": False,
        "why": "app-to-db",
        "outcome": "differs",
        "agrees": False,
        "note": "",
        "attempts": 3,
        "counter_example": "tcp app (10.20.2.10) -> db (10.20.2.11):5432 is closed (timeout), "
        "but policy 'app-to-db' in stack.yaml allows it",
    }
    assert data["downgraded"] == [
        {
            "name": "quiet",
            "kind": "traffic",
            "level": "preferred",
            "verdict": "downgrade",
            "reason": "this host cannot",
        }
    ]


def test_every_kind_of_evidence_is_answered_for_every_policy(report: VerifyReport) -> None:
    for policy in as_data(report)["policies"]:
        assert set(policy["evidence"]) == {str(kind) for kind in Evidence}
        assert all(policy["evidence"].values())


def test_a_pipeline_shows_every_policy_as_a_test(report: VerifyReport) -> None:
    suite = ET.fromstring(junit(report))
    outcomes = {case.get("name"): [part.tag for part in case] for case in suite.iter("testcase")}
    assert outcomes == {
        "app-to-db": ["failure"],
        "quiet": ["skipped"],
        "what is seen is what the file says": ["failure"],
        "required evidence is there": [],
    }
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["4", "2", "0", "1"]
    failed = next(case for case in suite.iter("testcase") if case.get("classname") == "isolation")
    assert "tcp app (10.20.2.10) -> db (10.20.2.11):5432 is closed" in "".join(failed.itertext())


HUMAN = r"""
who reaches whom
┏━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━┓
┃ from \ to ┃ app          ┃ db                    ┃ host (back) ┃
┡━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━┩
│ app       │ .            │ !tcp/5432 (v4) closed │ -           │
│           │              │ tcp/5432 (v6)         │             │
├───────────┼──────────────┼───────────────────────┼─────────────┤
│ db        │ !tcp/99 open │ .                     │ -           │
└───────────┴──────────────┴───────────────────────┴─────────────┘
Cells: what passes; ! differs from the file; - nothing passes; . not probed.
policies
┏━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━┓
┃ policy    ┃ kind    ┃ level     ┃ standing   ┃ evidence ┃ probed               ┃
┡━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━┩
│ app-to-db │ traffic │ required  │ differs    │ - - - !  │ 1 of 2 probes differ │
│ quiet     │ traffic │ preferred │ downgraded │ - - - -  │ not enforced here    │
└───────────┴─────────┴───────────┴────────────┴──────────┴──────────────────────┘
Evidence: T translated, A accepted, E effective, P probed; ! contradicts the file; - none.
sent: all 44 probes of 2 machines and 2 ordered pairs of them
difference: tcp app (10.20.2.10) -> db (10.20.2.11):5432 is closed (timeout), but policy 'app-to-db' in stack.yaml allows it
difference: tcp db (10.20.2.11) -> app (10.20.2.10):99 is open, but no policy in stack.yaml allows it
difference: tcp db (fd00::b) -> app ([fd00::a]):99 is open, but no policy in stack.yaml allows it
downgraded: policy 'quiet' (traffic) is preferred and NOT enforced: this host cannot
note: outside was not probed: the platform has no probing peer beyond the stack's networks
note: left out: 4 ways to or from outside (there is no probing peer outside of the stack)
note: no evidence 'translated' of app-to-db: the plugin 'pretend' cannot read its native rules back
note: no evidence 'accepted' of app-to-db: the plugin 'pretend' cannot show it
note: no evidence 'effective' of app-to-db: the plugin 'pretend' cannot show it
44 probes: 41 agree, 3 differ
"""  # noqa: E501 - a terminal of 150 columns

MARKDOWN = r"""
## Verification of shop/dev on pretend

**44 probes: 41 agree, 3 differ**

| from \ to | app | db | host (back) |
|---|---|---|---|
| app | . | **!tcp/5432 (v4) closed**, tcp/5432 (v6) | - |
| db | **!tcp/99 open** | . | - |

Cells: what passes; ! differs from the file; - nothing passes; . not probed.

Sent: all 44 probes of 2 machines and 2 ordered pairs of them.

| policy | kind | level | standing | evidence | probed |
|---|---|---|---|---|---|
| app-to-db | traffic | required | differs | - - - ! | 1 of 2 probes differ |
| quiet | traffic | preferred | downgraded | - - - - | not enforced here |

Evidence: T translated, A accepted, E effective, P probed; ! contradicts the file; - none.

### Differences

- tcp app (10.20.2.10) -> db (10.20.2.11):5432 is closed (timeout), but policy 'app-to-db' in stack.yaml allows it
- tcp db (10.20.2.11) -> app (10.20.2.10):99 is open, but no policy in stack.yaml allows it
- tcp db (fd00::b) -> app ([fd00::a]):99 is open, but no policy in stack.yaml allows it

### Downgraded policies

- policy 'quiet' (traffic) is preferred and NOT enforced: this host cannot

### Not shown by this report

- outside was not probed: the platform has no probing peer beyond the stack's networks
- left out: 4 ways to or from outside (there is no probing peer outside of the stack)
- no evidence 'translated' of app-to-db: the plugin 'pretend' cannot read its native rules back
- no evidence 'accepted' of app-to-db: the plugin 'pretend' cannot show it
- no evidence 'effective' of app-to-db: the plugin 'pretend' cannot show it
"""
