"""What the engine does after an operation that did not end well, and what must be true then."""

from collections.abc import Awaitable
from typing import Any

from provision.spi import CanUpdate
from provision.testing.conformance.cases import can, readable
from provision.testing.conformance.subjects import Subject
from provision.testing.conformance.verdicts import expect, listed
from provision.testing.harness import Made, OperationFailed


async def attempt(work: Awaitable[Any]) -> OperationFailed | None:
    """Do it; its failure, None when it succeeds."""
    try:
        await work
    except OperationFailed as failed:
        return failed
    return None


async def whole_again(
    subject: Subject, inputs: dict[str, Any], failed: OperationFailed | None, usual: int | None, where: str
) -> Made:
    """The next run after a create that failed or not: it then exists, once, and as wanted.

    Args:
        subject: whose create it was.
        inputs: that it was created with.
        failed: how it ended; None when it succeeded.
        usual: how many objects stand on the platform after an undisturbed create; None when that is not compared.
        where: words for messages.

    Raises:
        Unmet: it does not.
    """
    if failed is not None or not subject.live:
        kept = failed.kept if failed is not None else None
        again = await attempt(subject.create(inputs) if kept is None else subject.update(inputs, kept))
        expect(
            again is None,
            f"the next run's {'create' if kept is None else 'update'} succeeds, {where}",
            str(again),
            "let create adopt what an earlier one left behind, by the marker of the stack and the URN"
            if kept is None
            else "let update heal an object that was kept in state",
        )
    made = subject.made
    if usual is not None and subject.standing().total() > usual and subject.creates_first:
        made = await _tidied(subject, made, where)
    if usual is not None:
        expect(
            subject.standing().total() == usual,
            f"exactly one object exists after the next run, {where}",
            f"there is {listed(sorted(subject.standing().elements()))}",
            "adopt what an earlier create left behind; take back what one that failed has made",
        )
    if readable(subject.kind):
        await subject.expect_as_recorded(made, where)
    return made


async def _tidied(subject: Subject, made: Made, where: str) -> Made:
    """A type that is created first leaves what an interrupted create made to its next update."""
    expect(
        subject.sample.updates and can(subject.kind, CanUpdate),
        f"what an interrupted create left behind can be removed, {where}",
        f"there is {listed(sorted(subject.standing().elements()))}, and no update that could remove any of it",
        "remove leftovers in `update`, and give the sample an update",
    )
    return await subject.update(await subject.check(subject.wanted(subject.sample.updates[0]), made), made)


async def gone(subject: Subject, made: Made, where: str) -> None:
    """Remove it; nothing is left.

    Raises:
        Unmet: something is.
    """
    failed = await attempt(subject.delete(made))
    expect(
        failed is None, f"the object can be removed, {where}", str(failed), "let delete work whatever state it is in"
    )
    expect(
        not subject.standing(),
        f"nothing is left on the platform in the end, {where}",
        f"{listed(sorted(subject.standing().elements()))} is left",
        "remove in delete whatever create and update may have left behind",
    )
