"""Checks of changes: in place, by replacement, and behind the engine's back."""

from collections.abc import Callable, Iterator
from functools import partial

from provision.host.values import plain
from provision.spi import CanDelete, CanUpdate
from provision.testing.conformance.cases import Case, can, of_sample, readable, removable, samples
from provision.testing.conformance.description import SuiteDescription
from provision.testing.conformance.objects import expect_consistent
from provision.testing.conformance.samples import Values
from provision.testing.conformance.subjects import Subject, described
from provision.testing.conformance.verdicts import expect, listed
from provision.testing.harness import CheckRefused, Made


def cases(suite: SuiteDescription) -> Iterator[Case]:
    """For every sample, each of its changes."""
    for sample, kind in samples(suite):
        for index, change in enumerate(sample.updates, 1):
            yield of_sample(sample, f"update-{index}", partial(_update, change))
        for index, change in enumerate(sample.replaces if removable(sample, kind) else (), 1):
            yield of_sample(sample, f"replace-{index}", partial(_replace, change))
        for index, change in enumerate(sample.same, 1):
            yield of_sample(sample, f"same-{index}", partial(_same, change))
        for index, recorded in enumerate(sample.older, 1):
            yield of_sample(sample, f"older-{index}", partial(_older, recorded))
        if readable(kind):
            if sample.outside is not None or (sample.updates and can(kind, CanUpdate)):
                yield of_sample(sample, "refresh-changed", _refresh_changed)
            if removable(sample, kind):
                yield of_sample(sample, "refresh-gone", _refresh_gone)


async def _update(change: Values, subject: Subject) -> None:
    made = await subject.create()
    new = await subject.check(subject.wanted(change), made)
    changed = {key for key in {*new, *made.inputs} if plain(new.get(key)) != plain(made.inputs.get(key))}
    found = await subject.diff(new)
    expect(found.changed, f"the diff sees a change of {listed(sorted(changed))}", "it sees none", "see Normalized")
    expect(
        not found.replaces,
        f"{listed(sorted(changed))} is changed in place, as `Sample.updates` has it",
        f"the diff replaces the object because of {listed(found.replaces)}",
        "give the type an `update`, take IMMUTABLE off the field, or put the change into `Sample.replaces`",
    )
    other = sorted({path.split(".")[0].split("[")[0] for path in found.detailed} - changed)
    expect(not other, f"the diff shows {listed(sorted(changed))} alone", f"it also shows {listed(other)}")
    preview = await subject.update(new, preview=True)
    updated = await subject.update(new)
    expect_consistent(preview, updated)
    await subject.expect_clean(
        updated,
        await subject.check(subject.wanted(change), updated),
        "when the changed inputs are applied a second time",
        "let `check` give the same every time",
    )
    if readable(subject.kind):
        await subject.expect_as_recorded(updated, f"after the update of {listed(sorted(changed))}")


async def _replace(change: Values, subject: Subject) -> None:
    made = await subject.create()
    new = await subject.check(subject.wanted(change), made)
    found = await subject.diff(new)
    expect(
        found.replaces,
        "the diff replaces the object, as `Sample.replaces` has it",
        f"it changes it in place: {described(found, made, new)}" if found.changed else "it sees no change",
        "annotate the field as IMMUTABLE, or put the change into `Sample.updates`",
    )
    expect(
        found.delete_before_replace == (not subject.creates_first),
        f"the order of a type that is {subject.kind.replacement.value}",
        "the diff says the other",
    )
    fresh = await subject.check(subject.wanted(change))  # the engine checks a replacement as if it were new
    if subject.creates_first:
        second = await subject.create(fresh)
        expect(
            second.id != made.id,
            "the new object is another one than the one that it replaces",
            f"create gave the live object '{made.id}', which is deleted next",
            "never adopt in a type that is created first",
        )
        if readable(subject.kind):
            await subject.expect_as_recorded(made, "while its replacement is there too")
        await subject.delete(made)
    else:
        await subject.delete(made)
        second = await subject.create(fresh)
    if readable(subject.kind):
        await subject.expect_as_recorded(second, "after the replacement")
    await subject.delete(second)
    expect(
        not subject.standing(),
        "nothing is left on the platform after the replacement was removed too",
        f"{listed(sorted(subject.standing()))} is left",
        "remove everything that create made",
    )


async def _same(change: Values, subject: Subject) -> None:
    made = await subject.create()
    await subject.expect_clean(
        made,
        await subject.check(subject.wanted(change), made),
        "when the same is only spelt otherwise, as `Sample.same` has it",
        "annotate the field as Normalized",
    )


async def _older(recorded: Callable[[Made], Made], subject: Subject) -> None:
    made = await subject.create()
    older = recorded(made)
    inputs = await subject.check(subject.wanted(), older)
    found = await subject.diff(inputs, older)
    expect(
        not found.detailed,
        "what an older release recorded differs in nothing from what the same program gives today",
        described(found, older, inputs),
        "add a step to `upgrades` and raise `schema_version`",
    )
    if readable(subject.kind):
        seen = await subject.read(older)
        expect(seen is not None, "an object that an older release recorded is found", "read says that it is gone")
        assert seen is not None
        await subject.expect_clean(seen, inputs, "after a refresh", "let read give today's inputs")
    if can(subject.kind, CanUpdate) and subject.sample.updates:
        new = await subject.check(subject.wanted(subject.sample.updates[0]), older)
        updated = await subject.update(new, older)
        if readable(subject.kind):
            await subject.expect_as_recorded(updated, "after the update of an object that an older release recorded")
    if can(subject.kind, CanDelete):
        await subject.delete(older)
        expect(
            not subject.standing(),
            "nothing is left after an object was removed that an older release recorded",
            f"{listed(sorted(subject.standing()))} is left",
        )


async def _refresh_changed(subject: Subject) -> None:
    made = await subject.create()
    by_hand = subject.sample.outside
    if by_hand is not None:
        by_hand(subject.bench.platform.handle, made)
    else:
        await subject.update(await subject.check(subject.wanted(subject.sample.updates[0]), made))
    seen = await subject.read(made)
    expect(
        seen is not None,
        "an object that was changed outside of Pulumi is still there",
        "read says that it is gone",
        "look for it by its id",
    )
    assert seen is not None
    found = await subject.diff(made.inputs, seen)
    expect(
        found.changed,
        "a refresh sees that the object was changed outside of Pulumi",
        "what read finds shows no difference",
        "let read give the inputs that the live object has, not those that are recorded",
    )
    if not found.replaces and can(subject.kind, CanUpdate) and await _accepted(subject, seen):
        mended = await subject.update(made.inputs, seen)
        await subject.expect_as_recorded(mended, "after the next update took the outside change back")


async def _accepted(subject: Subject, seen: Made) -> bool:
    """Whether the object may be changed back: a disk that has grown never shrinks."""
    try:
        await subject.bench.lifecycle.check(subject.sample.token, subject.wanted(), seen, subject.name)
    except CheckRefused:
        return False
    return True


async def _refresh_gone(subject: Subject) -> None:
    made = await subject.create()
    if subject.sample.vanish is not None:
        subject.sample.vanish(subject.bench.platform.handle, made)
    else:
        await subject.delete()
    seen = await subject.read(made)
    expect(
        seen is None,
        "a refresh sees that the object was removed outside of Pulumi",
        "read still gives it",
        "return None, or raise NotFound, when the object is not there",
    )
    again = await subject.create(made.inputs)
    await subject.expect_as_recorded(again, "after it was made anew")
