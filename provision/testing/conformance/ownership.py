"""Checks that nothing is touched which is not the stack's own."""

from collections.abc import Iterator

from provision.host.values import plain
from provision.spi import CanDelete, CanUpdate, OwnedInputs
from provision.testing.conformance.cases import Case, can, of_sample, readable, samples
from provision.testing.conformance.description import SuiteDescription
from provision.testing.conformance.resuming import attempt
from provision.testing.conformance.subjects import STACK_ID, Subject
from provision.testing.conformance.verdicts import Unmet, expect, expect_precise
from provision.testing.harness import Made

_OTHER = "f" * 32


def cases(suite: SuiteDescription) -> Iterator[Case]:
    """For every sample; other stacks only where objects carry a stack's marker."""
    told = {sample.token for sample, _ in samples(suite) if sample.foreign is not None}
    for sample, kind in samples(suite):
        if sample.foreign is not None or sample.token not in told:
            yield of_sample(sample, "foreign", _foreign)
        if issubclass(kind.Inputs, OwnedInputs):
            yield of_sample(sample, "other-stack", _other_stack)


async def _foreign(subject: Subject) -> None:
    make = subject.sample.foreign
    if make is None:
        raise Unmet(
            "the sample says how to make an object by hand that stands in its way (`Sample.foreign`)",
            "it does not",
            f"give it `foreign`, or declare the gap '{subject.sample.id}-foreign' when there can be no such object",
        )
    inputs = await subject.check()
    foreign = make(subject.bench.platform.handle, plain(inputs))
    try:
        before = foreign.look()
        failed = await attempt(subject.create(inputs))
        _untouched(before, foreign.look(), "create")
        if failed is not None:
            expect_precise(failed, "an object that is not ours is in the way")
            expect(
                failed.code == "ALREADY_EXISTS",
                "create says that the name is taken by an object that is not ours (ALREADY_EXISTS)",
                str(failed),
                "raise ForeignObject",
            )
        else:
            await subject.delete()
            _untouched(before, foreign.look(), "delete of our own object")
        if foreign.id and can(subject.kind, CanDelete):
            await attempt(subject.delete(Made(foreign.id, {}, inputs)))
            _untouched(before, foreign.look(), "delete by its id")
    finally:
        foreign.remove()


async def _other_stack(subject: Subject) -> None:
    made = await subject.create()
    theirs = await subject.check(subject.wanted(stack=_OTHER))
    failed = await attempt(subject.create(theirs))
    if failed is None:
        second = subject.made
        expect(
            second.id != made.id,
            "another stack with the same names never gets an object of this one",
            f"its create gave '{made.id}' too",
            "compare the stack's part of the marker before adopting, and raise ForeignObject",
        )
        await subject.delete(second)
    else:
        expect_precise(failed, "the object of another stack is in the way")
    await _still(subject, made, "create")
    claimed = Made(made.id, made.outputs, {**made.inputs, STACK_ID: _OTHER})
    if can(subject.kind, CanUpdate) and subject.sample.updates:
        change = await subject.check(subject.wanted(subject.sample.updates[0], _OTHER), claimed)
        live = list(subject.live)
        await attempt(subject.update(change, claimed))
        subject.live = live
        await _still(subject, made, "update")
    if can(subject.kind, CanDelete):
        live = list(subject.live)
        await attempt(subject.delete(claimed))
        subject.live = live
        await _still(subject, made, "delete")


async def _still(subject: Subject, made: Made, doing: str) -> None:
    if readable(subject.kind):
        try:
            await subject.expect_as_recorded(made, f"after {doing} of another stack")
        except Unmet as unmet:
            raise Unmet(
                f"{doing} of another stack does not touch the object of this one",
                unmet.seen,
                "compare the stack's part of the marker before every change, and raise ForeignObject",
            ) from None


def _untouched(before: object, after: object, doing: str) -> None:
    expect(
        before == after,
        f"{doing} leaves an object alone that no stack made",
        f"it was {before!r} and is {after!r}",
        "look for your marker before every change, and raise ForeignObject without it",
    )
