"""Operations done once undisturbed, so that it is known which calls they make and what they leave."""

from collections.abc import Awaitable
from typing import Any

from provision.testing.conformance.subjects import Subject
from provision.testing.conformance.verdicts import expect
from provision.testing.harness import Made


async def calls_of(subject: Subject, work: Awaitable[Any]) -> list[str]:
    """The calls to the platform that `work` makes.

    Raises:
        Unmet: there are none that the kit could see.
    """
    faults = subject.bench.faults
    faults.forget()
    await work
    calls = faults.forget()
    expect(
        calls,
        "the operation calls the platform through `transport`",
        "it makes no call that is counted",
        "wrap every way to the platform: def transport(self, session, faults): ... faults.wrap(session.client)",
    )
    return calls


async def of_create(subject: Subject) -> tuple[dict[str, Any], list[str], int]:
    """Checked inputs, the calls of their create, and how much then stands on the platform; nothing stands any more."""
    inputs = await subject.check()
    calls = await calls_of(subject, subject.create(inputs))
    usual = subject.standing().total()
    await subject.delete()
    return inputs, calls, usual


async def of_update(subject: Subject) -> tuple[Made, dict[str, Any], dict[str, Any], list[str]]:
    """An object as it was before its first update, the old inputs, the new ones, and the calls of the update."""
    made = await subject.create()
    old, new = made.inputs, await subject.check(subject.wanted(subject.sample.updates[0]), made)
    calls = await calls_of(subject, subject.update(new, made))
    return await subject.back(old), old, new, calls


async def of_delete(subject: Subject) -> tuple[dict[str, Any], list[str]]:
    """Checked inputs, and the calls of the delete of what was made of them; nothing stands any more."""
    inputs = await subject.check()
    await subject.create(inputs)
    return inputs, await calls_of(subject, subject.delete())
