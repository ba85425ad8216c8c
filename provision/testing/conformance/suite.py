"""What an author subclasses: once for pytest and for `provision plugin check` alike."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar, Literal

from provision.spi import Provider
from provision.testing.conformance import runner
from provision.testing.conformance.cases import Case
from provision.testing.conformance.report import Outcome, Report, Result
from provision.testing.conformance.samples import FunctionSample, Platform, Sample, StackSample
from provision.testing.conformance.verdicts import Unmet
from provision.testing.faults import Effect, Faults


class ConformanceSuite:
    """The conformance kit for one provider plugin; pytest collects a subclass whose name begins with `Test`.

    ::

        class TestConformance(ConformanceSuite):
            provider = FilesProvider
            samples = [Sample("files:File", {"name": "a", "text": "x"}, updates=[{"text": "y"}])]

            def platform(self, directory):
                yield Platform(config={"root": str(directory)}, leftovers=lambda: os.listdir(directory))

            def transport(self, session, faults):
                return faults.wrap(session)

    Attributes:
        provider: the plugin.
        samples: at least one object of each resource type.
        functions: calls of data functions.
        stacks: stack files that the plugin translates.
        stacks_are_complete: whether everything that the plugin enforces must stand in one of them.
        errors: what its SDK raises for each effect; an effect that it cannot have is left out.
        gaps: promises that the plugin does not keep, by name of the check (`*` and `?` stand for any text), each with
            the reason. A gap that is none any more fails.
        platform_scope: whether every check gets a platform of its own, or all share one.
        survives_processes: whether the platform outlives the plugin's process; checks that kill it need that.
        calls_tried: how many of the calls of one operation are made to fail; when there are more, they are spread.
        cancel_seconds: how soon an operation must end after the run was cancelled.
        check_seconds: how long one check may take.
    """

    provider: ClassVar[type[Provider[Any, Any]]]
    samples: ClassVar[Sequence[Sample]] = ()
    functions: ClassVar[Sequence[FunctionSample]] = ()
    stacks: ClassVar[Sequence[StackSample]] = ()
    stacks_are_complete: ClassVar[bool] = False
    errors: ClassVar[Mapping[Effect, Callable[[], Exception]]] = {}
    gaps: ClassVar[Mapping[str, str]] = {}
    platform_scope: ClassVar[Literal["check", "suite"]] = "check"
    survives_processes: ClassVar[bool] = True
    calls_tried: ClassVar[int] = 12
    cancel_seconds: ClassVar[float] = 1.0
    check_seconds: ClassVar[float] = 300.0

    _run: ClassVar["runner.Run | None"] = None

    def platform(self, directory: Path) -> Platform | Iterator[Platform]:
        """The platform, with nothing of the plugin on it; or yield it, and clean up afterwards.

        Args:
            directory: an empty folder of its own.
        """
        raise Unmet(
            "the suite says how to get a platform with nothing on it",
            f"{type(self).__name__} does not",
            "write the method: def platform(self, directory): ... yield Platform(...)",
        )

    def transport(self, session: Any, faults: Faults) -> Any:
        """The session with every way to the platform wrapped by `faults.wrap`; also called in processes of its own."""
        return session

    @classmethod
    def cases(cls) -> Sequence[Case]:
        """Every check of the suite, in order."""
        from provision.testing.conformance.catalogue import catalogue

        return catalogue(cls())

    @classmethod
    def gap(cls, name: str) -> str:
        """Why the check of that name is known to fail; empty when it is not."""
        return next((reason for pattern, reason in cls.gaps.items() if fnmatchcase(name, pattern)), "")

    # --- pytest

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """One test for each check."""
        import pytest

        if "conformance_case" not in metafunc.fixturenames:
            return
        metafunc.parametrize(
            "conformance_case",
            [
                pytest.param(
                    case,
                    id=case.name,
                    marks=[pytest.mark.xfail(reason=self.gap(case.name), strict=True)] if self.gap(case.name) else [],
                )
                for case in self.cases()
            ],
        )

    def test_conformance(self, conformance_case: Case) -> None:
        """One check."""
        import pytest

        kind = type(self)
        if kind._run is None:
            kind._run = runner.Run(self)
        message, notes = kind._run.one(conformance_case)
        for note in notes:
            print(f"note: {note}")
        if message is not None:
            pytest.fail(message, pytrace=False)

    @classmethod
    def teardown_class(cls) -> None:
        """Let go of a platform that all checks shared."""
        if cls._run is not None:
            cls._run.close()
            cls._run = None


def run_conformance(
    suite: type[ConformanceSuite],
    only: str | Sequence[str] | None = None,
    progress: Callable[[Result], None] | None = None,
) -> Report:
    """Run the checks of a suite without pytest.

    Args:
        suite: the author's subclass.
        only: names of checks, `*` and `?` stand for any text; None for all.
        progress: is given each result as it comes.
    """
    patterns = [only] if isinstance(only, str) else only
    results: list[Result] = []
    run = runner.Run(suite())
    try:
        for case in suite.cases():
            if patterns is not None and not any(fnmatchcase(case.name, pattern) for pattern in patterns):
                continue
            started = time.monotonic()
            message, notes = run.one(case)
            results.append(_result(suite, case.name, message, time.monotonic() - started, notes))
            if progress is not None:
                progress(results[-1])
    finally:
        run.close()
    return Report(suite.__qualname__, tuple(results))


def _result(
    suite: type[ConformanceSuite], name: str, message: str | None, seconds: float, notes: Sequence[str]
) -> Result:
    reason = suite.gap(name)
    if not reason:
        outcome = Outcome.PASSED if message is None else Outcome.FAILED
        return Result(name, outcome, message or "", seconds, tuple(notes))
    if message is None:
        text = f"it passes, and is declared as a gap: {reason}\ndo:       take it out of `gaps`"
        return Result(name, Outcome.FAILED, text, seconds, tuple(notes))
    return Result(name, Outcome.GAP, reason, seconds, tuple(notes))
