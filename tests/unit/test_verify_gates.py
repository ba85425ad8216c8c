"""Gates: evidence that is required and missing fails a verification, although nothing contradicts the file."""

from typing import Any

import pytest
from click import BadParameter, UsageError
from click.testing import CliRunner
from test_verify_evidence import Showing, both, pinned, stack
from test_verify_run import agreeing, loaded
from verify_network import deployed_for

from provision.cli.commands.verify import command
from provision.models import Stack
from provision.spi import Evidence
from provision.verify import PolicyRecord, VerifyReport, as_data, human, markdown, verify
from provision.verify.words import summary

TRAFFIC = ["world-to-web", "web-to-app", "app-to-db", "web-to-host"]


def report(*required: Evidence, effective: bool | None = True, records: Any = {}, **policy: Any) -> VerifyReport:  # noqa: B006 - only read
    made: Stack = stack(own=pinned(**policy))
    provider = Showing(agreeing(made), answer=both(effective=effective))
    return verify(loaded(made), deployed_for(made, policies=records), provider, None, required=required)  # type: ignore[arg-type]


def test_evidence_that_a_policy_asks_for_itself_is_required_as_it_stands() -> None:
    assert report(evidence=["accepted", "effective"]).exit_code == 0

    found = report(evidence=["effective", "probed"])

    assert found.unmet == (
        "own: the stack file requires the evidence 'probed', and there is none: no probe speaks of this kind of policy",
    )
    assert found.exit_code == 3
    assert summary(found).endswith("required evidence is missing in 1 place")
    assert as_data(found)["unmet"] == list(found.unmet)
    assert "### Required evidence that is missing" in markdown(found)


def test_what_is_asked_of_all_is_asked_of_those_of_which_it_can_exist() -> None:
    assert report(Evidence.PROBED, Evidence.ACCEPTED).exit_code == 0

    found = report(Evidence.EFFECTIVE, effective=None)

    assert found.exit_code == 3
    assert [line.split(":")[0] for line in found.unmet] == [*TRAFFIC, "own"]
    assert found.unmet[-1] == (
        "own: --require requires the evidence 'effective', and there is none: dedicated_cpus seen"
    )  # fmt: skip


def test_a_translation_that_cannot_be_proven_is_missing_for_traffic_alone() -> None:
    found = report(Evidence.TRANSLATED)

    assert [line.split(":")[0] for line in found.unmet] == TRAFFIC


def test_of_preferred_and_downgraded_policies_nothing_more_is_asked() -> None:
    record = {"own": PolicyRecord("own", "dedicated_cpus", "preferred", "downgrade", "too few cores")}

    assert report(Evidence.EFFECTIVE, effective=None, level="preferred").unmet == tuple(
        line for line in report(Evidence.EFFECTIVE, effective=None).unmet if not line.startswith("own")
    )
    assert report(level="preferred", evidence=["effective"], effective=None, records=record).unmet == ()


def test_missing_evidence_is_told_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    Console(soft_wrap=True).print(human(report(evidence=["probed"])))

    assert "required: own: the stack file requires" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (["--require", "probed,believed"], BadParameter, "'believed' is no kind of evidence"),
        (["--static", "--require", "probed"], UsageError, "'translated' alone"),
    ],
)
def test_a_gate_that_cannot_be_is_refused(words: list[str], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        CliRunner().invoke(command, words, standalone_mode=False, catch_exceptions=False)
