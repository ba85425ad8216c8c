"""Checks of a plugin process that is killed at any instant: the next run finds everything, and makes nothing twice."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from provision.testing.conformance import rehearsals
from provision.testing.conformance.cases import Case, of_operations
from provision.testing.conformance.description import SuiteDescription
from provision.testing.conformance.failures import updated_again
from provision.testing.conformance.resuming import attempt, gone, whole_again
from provision.testing.conformance.subjects import Subject
from provision.testing.conformance.verdicts import expect, listed
from provision.testing.faults import Effect
from provision.testing.harness import Lifecycle, OperationFailed


def cases(suite: SuiteDescription) -> Iterator[Case]:
    """For every sample, when its platform outlives the plugin's process."""
    if not suite.survives_processes:
        return
    yield from of_operations(suite, "killed", _create, _update, _delete)


async def _create(subject: Subject) -> None:
    inputs, calls, usual = await rehearsals.of_create(subject)
    for index, effect, where in _moments(subject, calls, "create"):
        failed = await _killed(subject, index, effect, partial(subject.create, inputs))
        await gone(subject, await whole_again(subject, inputs, failed, usual, where), where)


async def _update(subject: Subject) -> None:
    made, old, new, calls = await rehearsals.of_update(subject)
    for index, effect, where in _moments(subject, calls, "update"):
        failed = await _killed(subject, index, effect, partial(subject.update, new, made))
        await updated_again(subject, new, made, failed, where)
        made = await subject.back(old)


async def _delete(subject: Subject) -> None:
    inputs, calls = await rehearsals.of_delete(subject)
    for index, effect, where in _moments(subject, calls, "delete"):
        made = await subject.create(inputs)
        failed = await _killed(subject, index, effect, partial(subject.delete, made))
        if failed is not None:
            again = await attempt(subject.delete(made))
            expect(again is None, f"the next run's delete succeeds, {where}", str(again))
        expect(not subject.standing(), f"nothing is left, {where}", listed(sorted(subject.standing())))


def _moments(subject: Subject, calls: list[str], operation: str) -> Iterator[tuple[int, Effect, str]]:
    """Before the first call and after each one: before a call is after the one before it."""
    chosen = subject.bench.chosen(calls, subject.sample, f"{operation}-killed")
    for index, effect in [(0, Effect.KILL_BEFORE), *((index, Effect.KILL_AFTER) for index in chosen)]:
        when = "before" if effect is Effect.KILL_BEFORE else "after"
        yield index, effect, f"killed {when} call {index + 1} of {operation} ({calls[index]})"


async def _killed(
    subject: Subject, index: int, effect: Effect, work: Callable[[], Awaitable[Any]]
) -> OperationFailed | None:
    """Run one operation in a plugin process of its own that is killed; how it ended for the engine."""
    bench = subject.bench
    child = await asyncio.to_thread(bench.nursery.born)
    usual = bench.lifecycle
    try:
        async with Lifecycle(bench.provider, bench.config, port=child.port) as lifecycle:
            await asyncio.to_thread(bench.nursery.arm, child, index, effect)
            bench.lifecycle = lifecycle
            return await attempt(work())
    finally:
        bench.lifecycle = usual
        await asyncio.to_thread(bench.nursery.end, child)
