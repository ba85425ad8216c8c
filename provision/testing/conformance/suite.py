"""What an author subclasses: once for pytest and for `provision plugin check` alike."""

import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar

from provision.testing.conformance import runner
from provision.testing.conformance.cases import Case
from provision.testing.conformance.catalogue import catalogue
from provision.testing.conformance.description import SuiteDescription
from provision.testing.conformance.report import Outcome, Report, Result


class ConformanceSuite(SuiteDescription):
    """The conformance kit for one provider plugin; pytest collects a subclass whose name begins with `Test`.

    ::

        class TestConformance(ConformanceSuite):
            provider = FilesProvider
            samples = [Sample("files:File", {"name": "a", "text": "x"}, updates=[{"text": "y"}])]

            def platform(self, directory):
                yield Platform(config={"root": str(directory)}, leftovers=lambda: os.listdir(directory))

            def transport(self, session, faults):
                return faults.wrap(session)

    What may be said is described at `SuiteDescription`.
    """

    _run: ClassVar["runner.Run | None"] = None

    @classmethod
    def cases(cls) -> Sequence[Case]:
        """Every check of the suite, in order."""
        return catalogue(cls())

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
