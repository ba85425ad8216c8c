"""The conformance kit passes a provider without a fault, and finds the fault of every broken one."""

import re

import broken_suites
import pytest
from broken import CATALOGUE
from tiny_suite import TinyConformance

from provision.testing import Outcome, run_conformance


class TestTheGoodProvider(TinyConformance):
    """Every check of the kit, as an author's own test run shows them."""


def _kind(check: str) -> str:
    """A check without the sample that it is made with, and without its number."""
    subject, _, name = check.partition("-")
    return re.sub(r"-\d+$", "", name if ":" in subject else check)


def test_every_kind_of_check_finds_the_fault_of_some_broken_provider():
    kinds = {_kind(case.name) for case in TinyConformance.cases()} - {"suite-declarations"}  # of suites, not providers

    assert kinds - {_kind(broken.check) for broken in CATALOGUE.values()} == set()
    assert len(CATALOGUE) >= 25


@pytest.mark.parametrize("broken", CATALOGUE.values(), ids=CATALOGUE)
def test_the_kit_finds(broken):
    report = run_conformance(getattr(broken_suites, broken.name), only=broken.check)

    (result,) = report.results
    assert result.outcome is Outcome.FAILED, f"{broken.check} passes"
    assert broken.words in result.message
    assert "the check could not be made" not in result.message
