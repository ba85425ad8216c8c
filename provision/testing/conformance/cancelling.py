"""Checks of a run that is cancelled while the plugin works: it ends soon, and nothing is lost."""

import asyncio
import time
from collections.abc import Awaitable, Iterator
from typing import Any

from provision.testing.conformance import rehearsals
from provision.testing.conformance.cases import Case, of_operations
from provision.testing.conformance.description import SuiteDescription
from provision.testing.conformance.failures import updated_again
from provision.testing.conformance.resuming import attempt, gone, whole_again
from provision.testing.conformance.subjects import Subject
from provision.testing.conformance.verdicts import expect, expect_precise, listed
from provision.testing.harness import OperationFailed

_MOMENTS = 3
"""The first call, the last one, and one between."""

_QUIET_S = 0.1
"""When nothing has called the platform for so long, nothing of the operation is left running."""


def cases(suite: SuiteDescription) -> Iterator[Case]:
    """For every sample."""
    yield from of_operations(suite, "cancelled", _create, _update, _delete)


async def _create(subject: Subject) -> None:
    inputs, calls, usual = await rehearsals.of_create(subject)
    for index in _moments(calls):
        failed, where = await _cancelled(subject, index, "create", subject.create(inputs))
        if failed is not None and failed.kept is None:
            expect(
                not subject.standing(),
                f"a create that is cancelled keeps its object in state or makes none, {where}",
                f"{listed(sorted(subject.standing()))} is left, and the failure does not tell of it",
                "tell Operation.made of the object as soon as it exists, or take it back",
            )
        await gone(subject, await whole_again(subject, inputs, failed, usual, where), where)


async def _update(subject: Subject) -> None:
    made, old, new, calls = await rehearsals.of_update(subject)
    for index in _moments(calls):
        failed, where = await _cancelled(subject, index, "update", subject.update(new, made))
        await updated_again(subject, new, made, failed, where)
        made = await subject.back(old)


async def _delete(subject: Subject) -> None:
    inputs, calls = await rehearsals.of_delete(subject)
    for index in _moments(calls):
        made = await subject.create(inputs)
        failed, where = await _cancelled(subject, index, "delete", subject.delete(made))
        if failed is not None:
            again = await attempt(subject.delete(made))
            expect(again is None, f"the next run's delete succeeds, {where}", str(again))
        expect(
            not subject.standing(),
            f"nothing is left after delete says that it is done, {where}",
            f"{listed(sorted(subject.standing()))} is left",
        )


def _moments(calls: list[str]) -> list[int]:
    last = len(calls) - 1
    return sorted({round(step * last / (_MOMENTS - 1)) for step in range(_MOMENTS)})


async def _cancelled(
    subject: Subject, index: int, operation: str, work: Awaitable[Any]
) -> tuple[OperationFailed | None, str]:
    """Cancel the run just before one call, which goes on; how the operation ended, and words for where that was."""
    bench = subject.bench
    loop = asyncio.get_running_loop()
    at: list[float] = []

    def cancel() -> None:
        asyncio.run_coroutine_threadsafe(bench.lifecycle.cancel(), loop).result(10)
        at.append(time.monotonic())

    bench.faults.hook(index, cancel)
    failed = await attempt(work)
    took = time.monotonic() - at[0] if at else 0.0
    where = f"after the run was cancelled at call {index + 1} of {operation} ({bench.faults.fired or 'not made'})"
    expect(
        took <= bench.suite.cancel_seconds,
        f"{operation} ends within {bench.suite.cancel_seconds:g} s {where}",
        f"it ended after {took:.1f} s",
        "wait with Operation.wait or wait_until, and ask Operation.cancelled between calls",
    )
    if failed is not None:
        expect_precise(failed, f"{operation} ends {where}")
    await asyncio.to_thread(bench.faults.settle, quiet=_QUIET_S)
    bench.faults.forget()
    await bench.again()
    return failed, where
