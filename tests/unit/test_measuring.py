"""Limits that are measured: machines are made busy only when asked, and what they show joins the evidence of shares."""

from collections.abc import Sequence
from typing import Any

import pytest
from verify_network import FakeChannel, FakeProvider, deployed_for, following

from provision.diagnostics import SourceMap
from provision.errors import PlatformError
from provision.loader import Loaded
from provision.models import Stack
from provision.spi import Evidence, EvidenceRequest, Shown
from provision.verify import VerifyReport, as_data, verify
from provision.verify.report import Standing
from provision.verify.words import differences, gaps, shown

STACK = Stack.model_validate(
    {
        "version": 1,
        "networks": {"lan": {"cidr": "10.0.0.0/24"}},
        "machines": {
            name: {"image": "micro", "memory": "96MiB", "nics": [{"network": "lan"}]} for name in ("one", "two", "free")
        },
        "sharing": {"shares": {"slow": {"machines": ["machine.one", "machine.two"], "cpu": {"cap": 0.5}}}},
    }
)


class Measuring(FakeProvider):
    """A platform whose machines show what they are told to."""

    says: dict[str, Any]

    def measure(self, session: Any, channel: FakeChannel, request: EvidenceRequest) -> Sequence[Sequence[Shown]]:
        assert channel.name == request.machine.name
        assert list(request.asked) == [STACK.sharing.shares["slow"]]
        said = self.says[channel.name]
        if isinstance(said, Exception):
            raise said
        return [[Shown(Evidence.PROBED, *said)]]


def measured(says: dict[str, Any] | None, *, measuring: bool = True) -> VerifyReport:
    deployed = deployed_for(STACK)
    world = following(STACK, deployed)
    provider: Any = FakeProvider(world) if says is None else Measuring(world)
    provider.says = says
    loaded = Loaded(STACK, SourceMap(), (), None)  # type: ignore[arg-type]
    return verify(loaded, deployed, provider, None, measuring=measuring)


def probed(report: VerifyReport) -> tuple[bool | None, str]:
    (share,) = report.shares
    return share.holds[Evidence.PROBED], share.evidence[Evidence.PROBED]


def test_nothing_is_made_busy_unless_asked() -> None:
    report = measured({}, measuring=False)
    assert probed(report) == (None, "not measured: --measure makes machines busy to see that limits hold them")
    assert report.exit_code == 0


def test_limits_that_hold_every_machine_are_evidence() -> None:
    report = measured({"one": (True, "held"), "two": (True, "held")})
    assert probed(report) == (True, "one, two: held")
    assert report.shares[0].standing is Standing.PROVEN
    assert "slow, probed: one, two: held" in shown(report)
    assert as_data(report)["shares"][0]["holds"]["probed"] is True


def test_a_machine_that_gets_more_than_its_limit_contradicts_the_file() -> None:
    report = measured({"one": (True, "held"), "two": (False, "0.9 CPUs")})
    assert probed(report) == (False, "two: 0.9 CPUs")
    assert (report.shares[0].standing, report.exit_code) == (Standing.DIFFERS, 3)
    assert differences(report) == ["share 'slow' is contradicted by what is probed: two: 0.9 CPUs"]


def test_what_could_not_be_shown_is_a_gap_and_no_failure() -> None:
    report = measured({"one": (True, "held"), "two": (None, "its host gave it no more")})
    assert probed(report) == (None, "its host gave it no more")
    assert report.exit_code == 0
    assert "no evidence 'probed' of slow: its host gave it no more" in gaps(report)


@pytest.mark.parametrize("says", [{"one": PlatformError("it is gone"), "two": (True, "held")}])
def test_a_machine_that_cannot_be_made_busy_proves_nothing(says: dict[str, Any]) -> None:
    report = measured(says)
    assert probed(report) == (None, "one: it is gone")
    assert (report.shares[0].standing, report.exit_code) == (Standing.UNPROVEN, 3)


def test_a_platform_that_cannot_says_so() -> None:
    assert probed(measured(None)) == (None, "the plugin 'pretend' cannot make machines busy")
