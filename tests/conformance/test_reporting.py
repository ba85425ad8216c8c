"""How suites are run and reported: gaps, names, shared platforms, bounds, and suites that are wrong themselves."""

import itertools

import pytest
from broken.reading import ListMisses
from tiny_cabinet import Cabinet, CabinetError
from tiny_provider import (
    Box,
    Count,
    CountResult,
    LabelInputs,
    LabelOutputs,
    TinyProvider,
    explained,
    marker,
)
from tiny_suite import TinyConformance

from provision.spi import Checked, CheckFailure, Created, ResourceType
from provision.testing import ConformanceSuite, Effect, FunctionSample, Outcome, Platform, Sample, run_conformance

READ = "things:Box-read"


class FaultyList(TinyProvider):
    """A provider whose list is not whole."""

    resource_types = (ListMisses, TinyProvider.resource_types[1])


def one(suite, check):
    (result,) = run_conformance(suite, only=check).results
    return result


def test_a_failure_says_what_was_expected_what_was_seen_and_what_to_do():
    class Suite(TinyConformance):
        provider = FaultyList

    result = one(Suite, "things:Box-list")

    assert result.outcome is Outcome.FAILED
    expected, seen, do = result.message.splitlines()
    assert expected.startswith("expected: the object 'box-")
    assert seen == "seen:     listed: nothing"
    assert do == "do:       let list give every object of the type, by the ids that read takes"


def test_a_declared_gap_is_none_of_the_failures():
    class Suite(TinyConformance):
        provider = FaultyList
        gaps = {"things:Box-list": "the cabinet is slow", "things:Label-foreign": "names are random"}  # noqa: RUF012

    report = run_conformance(Suite, only=["things:Box-list", READ])

    assert report.ok
    assert [(result.name, result.outcome) for result in report.results] == [
        (READ, Outcome.PASSED),
        ("things:Box-list", Outcome.GAP),
    ]
    assert str(report).endswith("Suite: 1 passed, 1 gap")


def test_a_gap_that_is_none_fails():
    class Suite(TinyConformance):
        gaps = {"things:Box-re?d": "nobody knows"}  # noqa: RUF012

    result = one(Suite, READ)

    assert result.outcome is Outcome.FAILED
    assert "it passes, and is declared as a gap: nobody knows" in result.message


def test_a_gap_that_names_no_check_fails():
    class Suite(TinyConformance):
        gaps = {"things:Box-rad": "a slip of the pen"}  # noqa: RUF012

    result = one(Suite, "suite-declarations")

    assert result.outcome is Outcome.FAILED
    assert "things:Box-rad" in result.message


def test_samples_that_cannot_be_told_apart_are_named():
    class Suite(TinyConformance):
        samples = (Sample("things:Label", {"text": "a"}), Sample("things:Label", {"text": "b"}))

    result = one(Suite, "suite-declarations")

    assert result.outcome is Outcome.FAILED
    assert "things:Label-read" in result.message


@pytest.mark.parametrize(
    ("needs", "words"),
    [(["things:Bix"], "'things:Bix', which is needed, is the id of a sample"), (["things:Label"], "in a circle")],
)
def test_needs_that_cannot_be_met_are_named(needs, words):
    class Suite(TinyConformance):
        samples = (Sample("things:Label", {"text": "a"}, needs=needs),)

    assert words in one(Suite, "things:Label-preview").message


def test_samples_are_made_from_what_they_need():
    class Suite(TinyConformance):
        samples = (
            *TinyConformance.samples,
            Sample(
                "things:Label",
                lambda made: {"text": f"on-{made['things:Box'].outputs['name']}"},
                name="on-box",
                needs=["things:Box"],
            ),
        )

    report = run_conformance(Suite, only="things:Label/on-box-re*")

    assert [result.name for result in report.results] == [
        f"things:Label/on-box-{check}"
        for check in ("read", "refresh-gone", "read-error", "read-throttled", "read-lost-before")
    ]
    assert report.ok


def test_a_suite_without_a_platform_says_what_is_missing():
    class Suite(ConformanceSuite):
        provider = TinyProvider
        samples = (Sample("things:Label", {"text": "a"}),)

    assert "def platform(self, directory)" in one(Suite, "things:Label-read").message


def test_an_exception_that_cannot_be_made_is_told_from_a_defect_of_the_plugin():
    class Suite(TinyConformance):
        errors = {Effect.ERROR: lambda: CabinetError(no_such_name)}  # noqa: F821, RUF012

    result = one(Suite, "plugin-transport")

    assert result.outcome is Outcome.FAILED
    assert "`errors[Effect.ERROR]` makes what the SDK raises" in result.message


def test_a_shared_platform_is_made_once_and_cleaned_after_a_check_that_fails(tmp_path):
    began, cleaned = [], []

    class Suite(TinyConformance):
        provider = FaultyList
        platform_scope = "suite"

        def platform(self, directory):
            folder = tmp_path / "cabinet"
            folder.mkdir()
            began.append(folder)

            def clean():
                cleaned.append(len(list(folder.iterdir())))
                for path in folder.iterdir():
                    path.unlink()

            yield Platform({"folder": str(folder)}, lambda: [path.name for path in folder.iterdir()], folder, clean)
            began.append("over")

        def transport(self, session, faults):
            return super().transport(session, faults)

    def leave(folder, made):
        Cabinet(folder).make("lid", "lost", "")

    Suite.samples = (Sample("things:Label", {"text": "a"}, updates=[{"size": 2}], outside=leave),)
    report = run_conformance(Suite, only=["things:Label-read", "things:Label-refresh-changed", "things:Label-preview"])

    assert [result.name for result in report.failed] == ["things:Label-refresh-changed"]
    assert began == [tmp_path / "cabinet", "over"]
    assert cleaned == [1]


def test_more_calls_than_may_be_tried_are_spread_and_the_report_says_so():
    class Suite(TinyConformance):
        calls_tried = 2

    result = one(Suite, "things:Box-create-error")

    assert result.outcome is Outcome.PASSED
    assert result.notes == ("create-error: 2 of 5 calls to the platform were made to fail",)


def test_a_check_that_does_not_end_is_ended():
    class Suite(TinyConformance):
        check_seconds = 0.0

    result = one(Suite, "things:Box-create-error")

    assert result.outcome is Outcome.FAILED
    assert "the check ends within 0 s" in result.message


def test_progress_is_told_as_it_is_made():
    seen = []

    report = run_conformance(TinyConformance, only="things:Box-check*", progress=seen.append)

    assert tuple(seen) == report.results
    assert len(seen) == 6


class Growing(Box):
    """A box that only grows, as disks do."""

    def check(self, request):
        old, new = (request.old_inputs or {}).get("size"), request.inputs.get("size")
        shrinks = isinstance(old, int) and isinstance(new, int) and new < old
        return Checked(request.inputs, [CheckFailure("size", "cannot shrink")] if shrinks else [])


def test_what_cannot_be_changed_back_is_made_anew():
    class Grower(TinyProvider):
        """Growing boxes."""

        resource_types = (Growing, TinyProvider.resource_types[1])

    class Suite(TinyConformance):
        provider = Grower

    report = run_conformance(Suite, only=["things:Box-update-*", "things:Box-refresh-changed", "things:Box-secrets"])

    assert [result.name for result in report.failed] == ["things:Box-update-killed"]
    assert "can be imported by a process of its own" in report.failed[0].message


def test_functions_may_need_objects_and_have_results_that_change():
    class Guessing(Count):
        """A count with noise."""

        def call(self, request):
            """Count, and tick."""
            return CountResult(count=super().call(request).count + next(ticks))

    class Ticking(TinyProvider):
        """A provider with a clock."""

        functions = (Guessing,)

    class Suite(TinyConformance):
        provider = Ticking
        functions = (
            FunctionSample(
                "things:count", lambda made: {"kind": made["things:Box"].id.partition("-")[0]}, "a", ["things:Box"]
            ),
            FunctionSample("things:count", {"kind": "box"}, "b", volatile=["count"]),
        )

    ticks = itertools.count()
    report = run_conformance(Suite, only="things:count*")

    assert [(result.name, result.outcome) for result in report.results] == [
        ("things:count/a-answer", Outcome.FAILED),
        ("things:count/b-answer", Outcome.PASSED),
    ]
    assert "first {'count': 1}, then {'count': 2}" in report.results[0].message


class Stamp(ResourceType):
    """A type that can only be made."""

    token = "things:Stamp"
    Inputs = LabelInputs
    Outputs = LabelOutputs

    def create(self, request):
        """Make it, or take what is there."""
        cabinet, inputs = request.operation.session.cabinet, request.inputs
        mark = marker(inputs.stack_id, request.operation.urn)
        with explained("making a stamp"):
            found = next((thing for thing in cabinet.things("stamp") if thing.marker == mark), None)
            made = found or cabinet.make("stamp", inputs.text, mark)
            request.operation.made(made.id, {"name": made.name, "size": made.size})
            made = cabinet.resize(made.id, inputs.size)
        return Created(made.id, LabelOutputs(name=made.name, size=made.size))


class Stamps(TinyProvider):
    """A provider of the smallest type that there can be."""

    resource_types = (Stamp,)


def test_a_type_that_can_only_be_made_is_checked_for_what_it_can():
    class Suite(TinyConformance):
        provider = Stamps
        samples = (Sample("things:Stamp", {"text": "paid"}),)
        stacks, functions, survives_processes = (), (), False
        gaps = {"things:Stamp-foreign": "stamps may have the same text"}  # noqa: RUF012

    report = run_conformance(Suite, only="things:*")

    assert report.ok, str(report)
    assert [result.name.removeprefix("things:Stamp-") for result in report.results] == [
        *("check", "check-same", "check-required", "check-unknown-property", "check-unknowns"),
        *("preview", "second-apply", "create-again", "foreign", "other-stack"),
    ]


def test_what_the_plugin_cannot_remove_may_be_removed_by_hand():
    class Suite(TinyConformance):
        provider = Stamps
        samples = (
            Sample("things:Stamp", {"text": "paid"}, vanish=lambda folder, made: Cabinet(folder).remove(made.id)),
        )
        survives_processes = False

    report = run_conformance(Suite, only=["things:*-create-*"])

    assert report.ok, str(report)
    assert {f"things:Stamp-create-{effect}" for effect in Suite.errors} < {result.name for result in report.results}


class Placeless(ConformanceSuite):
    provider = TinyProvider


class Misplaced(Placeless):
    def platform(self, directory):
        yield {"config": {}}


@pytest.mark.parametrize(
    ("suite", "words"), [(Placeless, "def platform(self, directory)"), (Misplaced, "it gives dict\n")]
)
def test_a_suite_without_a_platform_is_told_what_to_write(suite, words):
    (result,) = run_conformance(suite, only="plugin-config").results
    assert result.outcome is Outcome.FAILED
    assert words in result.message
    assert "Traceback" not in result.message
