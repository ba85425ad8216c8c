"""Runs single checks: each with its time limit, on a platform of its own or on the one that all share."""

import asyncio
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from provision.errors import ProvisionError, StackFileError
from provision.testing.conformance.bench import Bench, platform_of
from provision.testing.conformance.cases import Case
from provision.testing.conformance.children import Nursery
from provision.testing.conformance.description import SuiteDescription
from provision.testing.conformance.samples import Platform
from provision.testing.conformance.verdicts import Unmet
from provision.testing.harness import CheckRefused, OperationFailed


class Run:
    """One run of a suite."""

    def __init__(self, suite: SuiteDescription) -> None:
        """Nothing is started before the first check."""
        self._suite = suite
        self._stack = ExitStack()
        self._nursery = Nursery(suite)
        self._stack.callback(self._nursery.close)
        self._shared: Platform | None = None

    def close(self) -> None:
        """Let go of a platform that checks shared, and of the processes."""
        self._shared = None
        self._stack.close()

    def one(self, case: Case) -> tuple[str | None, Sequence[str]]:
        """Run a check: what is wrong, None when nothing is; and notes for the report."""
        if self._suite.platform_scope == "check":
            with ExitStack() as stack:
                return self._guarded(case, lambda: self._platform(stack))
        return self._guarded(case, self._share)

    def _share(self) -> Platform:
        if self._shared is None:
            self._shared = self._platform(self._stack)
        return self._shared

    def _platform(self, stack: ExitStack) -> Platform:
        directory = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True))
        )
        return stack.enter_context(platform_of(self._suite, directory))

    def _guarded(self, case: Case, platform: Callable[[], Platform]) -> tuple[str | None, Sequence[str]]:
        notes: list[str] = []
        try:
            bench = Bench(self._suite, platform(), self._nursery)
            notes = bench.notes
            asyncio.run(self._limited(case, bench))
        except Unmet as unmet:
            return str(unmet), notes
        except OperationFailed as failed:
            return f"expected: every operation succeeds\nseen:     {failed}", notes
        except CheckRefused as refused:
            return f"expected: what is checked is accepted\nseen:     {refused}", notes
        except StackFileError as error:
            said = "; ".join(str(item) for item in error.diagnostics)
            advice = "mend the stack sample, or `supports`"
            return f"expected: the stack is translated\nseen:     refused: {said}\ndo:       {advice}", notes
        except ProvisionError as error:
            return f"expected: the plugin can be served and used\nseen:     {type(error).__name__}: {error}", notes
        except Exception as error:
            return "the check could not be made:\n" + "".join(traceback.format_exception(error)), notes
        return None, notes

    async def _limited(self, case: Case, bench: Bench) -> None:
        limit = self._suite.check_seconds
        async with bench.open():
            try:
                async with asyncio.timeout(limit):
                    await case.run(bench)
            except TimeoutError:
                raise Unmet(f"the check ends within {limit:g} s (`check_seconds`)", "it does not end") from None
