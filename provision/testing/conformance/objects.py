"""Checks of an object's life without failures: made, read, applied again, listed, imported, removed."""

from collections.abc import Iterator
from typing import Any

from provision.host.plugin.shapes import record_of, to_wire_names
from provision.host.values import plain
from provision.spi import CanDelete, CanList, has_unknown
from provision.testing.conformance.cases import Case, can, of_sample, readable, removable, samples
from provision.testing.conformance.description import SuiteDescription
from provision.testing.conformance.subjects import STACK_ID, Subject, described
from provision.testing.conformance.verdicts import Unmet, expect, expect_precise, listed
from provision.testing.harness import Made, OperationFailed


def cases(suite: SuiteDescription) -> Iterator[Case]:
    """For every sample, what its type can."""
    for sample, kind in samples(suite):
        yield of_sample(sample, "preview", _preview)
        yield of_sample(sample, "second-apply", _second_apply)
        if readable(kind):
            yield of_sample(sample, "read", _read)
            if removable(sample, kind):
                yield of_sample(sample, "import", _import)
        if can(kind, CanList):
            yield of_sample(sample, "list", _list)
        yield of_sample(sample, "create-again", _create_again)
        if sample.unhealthy is not None:
            yield of_sample(sample, "unhealthy", _unhealthy)
        if can(kind, CanDelete):
            yield of_sample(sample, "delete", _delete)


async def _preview(subject: Subject) -> None:
    inputs = await subject.check()
    preview = await subject.preview(inputs)
    expect(
        not subject.standing(),
        "a preview makes nothing on the platform",
        f"it made {listed(sorted(subject.standing()))}",
        "change the platform only in create, update and delete",
    )
    made = await subject.create(inputs)
    expect_consistent(preview, made)


def expect_consistent(preview: Made, made: Made) -> None:
    """What came agrees with what was announced.

    Raises:
        Unmet: an output is other than the preview said.
    """
    wrong = [
        f"{path}: the preview says {said!r}, the result is {came!r}"
        for path, said, came in _contradictions(plain(preview.outputs), plain(made.outputs), "")
        if not path.startswith("__")
    ]
    expect(
        not wrong,
        "no output contradicts what the preview said of it",
        "; ".join(wrong),
        "annotate the output as Computed (with what it depends on) when it is not exactly the input of the same name",
    )


def _contradictions(said: Any, came: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(said, dict) and isinstance(came, dict):
        for key in sorted({*said, *came}):
            yield from _contradictions(said.get(key), came.get(key), f"{path}.{key}" if path else key)
    elif isinstance(said, list) and isinstance(came, list) and len(said) == len(came):
        for index, (one, other) in enumerate(zip(said, came, strict=True)):
            yield from _contradictions(one, other, f"{path}[{index}]")
    elif said != came and not has_unknown(said):
        yield path, said, came


async def _second_apply(subject: Subject) -> None:
    made = await subject.create()
    again = await subject.check(subject.wanted(), made)
    await subject.expect_clean(
        made,
        again,
        "when the same inputs are applied a second time",
        "let defaults and `check` give the same every time; use Normalized for spellings that mean the same",
    )


async def _read(subject: Subject) -> None:
    await subject.expect_as_recorded(await subject.create(), "right after it was made")


async def _import(subject: Subject) -> None:
    made = await subject.create()
    imported = await subject.read(made.id)
    expect(
        imported is not None,
        f"the object is found by its id '{made.id}' alone",
        "read says that there is none",
        "let read work without recorded inputs, and let ids hold all that is needed to find the object",
    )
    assert imported is not None
    fields = record_of(subject.kind.Inputs).fields
    unread = set(to_wire_names(dict.fromkeys(subject.sample.not_imported), record_of(subject.kind.Inputs)))
    unread |= {wire for wire, field in fields.items() if field.secret and not plain(imported.inputs.get(wire))}
    unread.add(STACK_ID)
    # What import cannot tell a person writes into the program, so it counts as if it had been imported.
    completed = {**imported.inputs, **{key: item for key, item in made.inputs.items() if key in unread}}
    recorded = Made(imported.id, imported.outputs, completed)
    wanted = await subject.check(subject.wanted(), recorded)
    found = await subject.diff(wanted, recorded)
    expect(
        not found.changed,
        "inputs that import gives make the next preview clean",
        described(found, recorded, wanted),
        "let read give every input that the live object has; name those that it cannot in Sample.not_imported",
    )
    await subject.delete(Made(imported.id, imported.outputs, wanted))
    expect(
        not subject.standing(),
        "an imported object can be removed",
        f"{listed(sorted(subject.standing()))} is left",
        "let delete work from the id and what read gives",
    )


async def _list(subject: Subject) -> None:
    made = await subject.create()
    found = await subject.bench.lifecycle.list(subject.sample.token)
    ids = [item.id for item in found]
    expect(
        made.id in ids,
        f"the object '{made.id}' is listed",
        f"listed: {listed(ids)}",
        "let list give every object of the type, by the ids that read takes",
    )
    expect(len(ids) == len(set(ids)), "every object is listed once", listed(ids), "give each object once")
    for identity in ids:
        expect(
            await subject.read(identity) is not None,
            "everything that is listed can be imported",
            f"read finds no '{identity}'",
            "let list give the ids that read takes",
        )
    one = await subject.bench.lifecycle.list(subject.sample.token, limit=1)
    expect(len(one) == 1, "a list with the limit 1 has one object", f"it has {len(one)}", "keep to ListRequest.limit")
    again = [item.id for item in await subject.bench.lifecycle.list(subject.sample.token)]
    expect(again == ids, f"the same order every time: {listed(ids)}", listed(again), "sort what list gives")


async def _create_again(subject: Subject) -> None:
    """What happens after a run was killed between the call that made the object and the writing of the state."""
    inputs = await subject.check()
    first = await subject.create(inputs)
    usual = subject.standing()
    second = await subject.create(inputs)
    if subject.creates_first:
        expect(
            second.id != first.id,
            "a type that is created first never takes the live object for a leftover",
            f"create gave '{first.id}' again, which a replacement would then delete",
            "give every create an incarnation of its own, or make the type DELETE_FIRST",
        )
        await subject.delete(first)
        if readable(subject.kind):
            await subject.expect_as_recorded(second, "after the older one was removed")
        return
    expect(
        subject.standing() == usual,
        "creating again after the state was lost adopts what is there: " + listed(sorted(usual)),
        f"there is now {listed(sorted(subject.standing()))}",
        "look for an object with the marker of this stack and URN before making one",
    )
    expect(
        second.id == first.id, f"the adopted object has its id '{first.id}'", f"'{second.id}'", "return the id of it"
    )


async def _unhealthy(subject: Subject) -> None:
    inputs = await subject.check()
    make = subject.sample.unhealthy
    assert make is not None
    with make(subject.bench.platform.handle, plain(inputs)):
        try:
            await subject.create(inputs)
        except OperationFailed as failed:
            expect_precise(failed, "an object does not become healthy")
            kept, reasons = failed.kept, failed.reasons
        else:
            raise Unmet(
                "create fails when the object does not become healthy",
                "it succeeds",
                "wait for health with Operation.wait_until and raise CreatedButUnhealthy",
            )
    expect(
        kept is not None and kept.id,
        "an object that exists but is not healthy is kept in state",
        "the failure does not tell of it, so nobody will remove it",
        "raise CreatedButUnhealthy, or tell Operation.made",
    )
    assert kept is not None
    expect(reasons, "reasons for a person", "none", "give CreatedButUnhealthy reasons")
    healed = await subject.update(inputs, kept)
    expect(healed.id == kept.id, "the next update heals the same object", f"'{kept.id}' became '{healed.id}'")
    if readable(subject.kind):
        await subject.expect_as_recorded(healed, "after it was healed")


async def _delete(subject: Subject) -> None:
    made = await subject.create()
    await subject.delete()
    expect(
        not subject.standing(),
        "nothing is left on the platform after delete",
        f"{listed(sorted(subject.standing()))} is left",
        "remove everything that create made",
    )
    if readable(subject.kind):
        expect(await subject.read(made) is None, "read says that it is gone", "it still finds it", "return None")
    try:
        await subject.delete(made)
    except OperationFailed as failed:
        raise Unmet(
            "deleting what is gone already succeeds, since an interrupted run does it",
            str(failed),
            "return, or raise NotFound, when the object is not there",
        ) from None
