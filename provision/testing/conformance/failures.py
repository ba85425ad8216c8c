"""Checks with a failure at every call that the plugin makes to its platform, in this process."""

from collections.abc import Awaitable, Iterator
from functools import partial
from typing import Any

from provision.spi import CanDelete, CanList, CanUpdate
from provision.testing.conformance import rehearsals
from provision.testing.conformance.cases import Case, can, of_sample, readable, removable, samples
from provision.testing.conformance.description import SuiteDescription
from provision.testing.conformance.resuming import attempt, gone, whole_again
from provision.testing.conformance.subjects import Subject
from provision.testing.conformance.verdicts import Unmet, expect, expect_precise, listed
from provision.testing.faults import RAISING, Effect
from provision.testing.harness import Made, OperationFailed

_READING = (Effect.ERROR, Effect.THROTTLED, Effect.LOST_BEFORE)


def cases(suite: SuiteDescription) -> Iterator[Case]:
    """For every sample, each operation with each effect that the SDK can have."""
    for sample, kind in samples(suite):
        if not removable(sample, kind):  # every round begins with nothing
            continue
        for effect in (item for item in RAISING if item in suite.errors):
            yield of_sample(sample, f"create-{effect}", partial(_create, effect))
            if sample.updates and can(kind, CanUpdate):
                yield of_sample(sample, f"update-{effect}", partial(_update, effect))
            if can(kind, CanDelete):
                yield of_sample(sample, f"delete-{effect}", partial(_delete, effect))
            if readable(kind) and effect in _READING:
                yield of_sample(sample, f"read-{effect}", partial(_read, effect))
            if can(kind, CanList) and effect is Effect.ERROR:
                yield of_sample(sample, "list-error", _list)
        if Effect.ERROR in suite.errors:
            yield of_sample(sample, "error-text", _error_text)


async def _create(effect: Effect, subject: Subject) -> None:
    inputs, calls, usual = await rehearsals.of_create(subject)
    for index in subject.bench.chosen(calls, subject.sample, f"create-{effect}"):
        failed, where = await _struck(subject, index, effect, "create", subject.create(inputs))
        if failed is not None and failed.kept is None and effect is Effect.ERROR:
            expect(
                not subject.standing(),
                f"a create that fails leaves nothing that nobody knows of, {where}",
                f"{listed(sorted(subject.standing()))} is left, and the failure does not tell of it",
                "take back what was made, or tell Operation.made (or raise CreatedButUnhealthy)",
            )
        made = await whole_again(subject, inputs, failed, usual, where)
        await gone(subject, made, where)


async def _update(effect: Effect, subject: Subject) -> None:
    made = await subject.create()
    usual = subject.standing().total()
    old, new = made.inputs, await subject.check(subject.wanted(subject.sample.updates[0]), made)
    calls = await rehearsals.calls_of(subject, subject.update(new, made))
    made = await subject.back(old)
    for index in subject.bench.chosen(calls, subject.sample, f"update-{effect}"):
        failed, where = await _struck(subject, index, effect, "update", subject.update(new, made))
        if failed is not None and failed.kept is None and effect is Effect.ERROR and readable(subject.kind):
            try:
                await subject.expect_as_recorded(made, where)
            except Unmet as unmet:
                raise Unmet(
                    f"state is true of the object after an update that fails, {where}",
                    unmet.seen,
                    "take back what was changed, or raise PartiallyUpdated with what was",
                ) from None
        await updated_again(subject, new, made, failed, where)
        expect(
            subject.standing().total() == usual,
            f"the update leaves one object, {where}",
            listed(sorted(subject.standing().elements())),
            "take back what the update made for itself",
        )
        made = await subject.back(old)


async def updated_again(
    subject: Subject, new: dict[str, Any], made: Made, failed: OperationFailed | None, where: str
) -> None:
    """The next run's update, after one that failed or not; the object is then as wanted.

    Raises:
        Unmet: it is not.
    """
    if failed is not None:
        recorded = failed.kept or made
        again = await attempt(subject.update(new, recorded))
        expect(
            again is None,
            f"the same update succeeds in the next run, {where}",
            str(again),
            "let update start from what the object is, not from what it was",
        )
    if readable(subject.kind):
        await subject.expect_as_recorded(subject.made, where)


async def _delete(effect: Effect, subject: Subject) -> None:
    inputs, calls = await rehearsals.of_delete(subject)
    for index in subject.bench.chosen(calls, subject.sample, f"delete-{effect}"):
        made = await subject.create(inputs)
        failed, where = await _struck(subject, index, effect, "delete", subject.delete(made))
        if failed is not None:
            again = await attempt(subject.delete(made))
            expect(again is None, f"the next run's delete succeeds, {where}", str(again), "take what is gone as done")
        expect(
            not subject.standing(),
            f"nothing is left after delete says that it is done, {where}",
            f"{listed(sorted(subject.standing()))} is left",
            "raise when a call fails for another reason than that the object is gone",
        )


async def _read(effect: Effect, subject: Subject) -> None:
    made = await subject.create()
    calls = await rehearsals.calls_of(subject, subject.read())
    for index in subject.bench.chosen(calls, subject.sample, f"read-{effect}"):
        seen: list[Made | None] = []

        async def look(seen: list[Made | None] = seen) -> None:
            seen.append(await subject.read(made))

        _, where = await _struck(subject, index, effect, "read", look())
        expect(
            seen != [None],
            f"read says that the object is gone only when it is, {where}",
            "it says so after a failure, and Pulumi would forget a living object",
            "return None only for the SDK's own not-found answer",
        )
    await subject.expect_as_recorded(made, "after reads that failed")


async def _list(subject: Subject) -> None:
    await subject.create()
    lifecycle, token = subject.bench.lifecycle, subject.sample.token
    whole = await lifecycle.list(token)
    calls = await rehearsals.calls_of(subject, lifecycle.list(token))
    for index in subject.bench.chosen(calls, subject.sample, "list-error"):
        found: list[Any] = []

        async def look(found: list[Any] = found) -> None:
            found.append(await lifecycle.list(token))

        _, where = await _struck(subject, index, Effect.ERROR, "list", look())
        expect(
            found in ([], [whole]),
            f"a list is whole, or fails, {where}",
            f"it gives {len(found[0]) if found else 0} of {len(whole)} objects",
            "raise what the SDK says",
        )


async def _error_text(subject: Subject) -> None:
    inputs = await subject.check()
    calls = await rehearsals.calls_of(subject, subject.create(inputs))
    await subject.delete()
    for index in subject.bench.chosen(calls, subject.sample, "error-text"):
        failed, where = await _struck(subject, index, Effect.ERROR, "create", subject.create(inputs))
        if failed is not None and failed.kept is None:
            expect(
                "fix:" in failed.message,
                f"a failure says what a person can do about it, {where}",
                failed.message,
                "give the error of provision.errors a `fix`",
            )
        for made in list(subject.live):
            await subject.delete(made)
        await whole_again(subject, inputs, None, None, where)
        await subject.delete()


async def _struck(
    subject: Subject, index: int, effect: Effect, operation: str, work: Awaitable[Any]
) -> tuple[OperationFailed | None, str]:
    """Let one call fail; the failure of the operation, if it failed, and words for where that was."""
    faults = subject.bench.faults
    faults.arm(index, effect)
    failed = await attempt(work)
    where = f"with '{effect}' at call {index + 1} of {operation} ({faults.fired or 'which was not made'})"
    faults.forget()
    if failed is not None:
        expect_precise(failed, f"{operation} fails {where}")
        expect(
            effect is not Effect.THROTTLED or failed.kept is not None,
            f"{operation} goes on when the platform asks to be called less often, {where}",
            str(failed),
            "raise Throttled, and let the framework try again",
        )
    return failed, where
