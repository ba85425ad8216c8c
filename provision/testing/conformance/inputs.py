"""Checks of inputs before anything is planned: what is accepted, what is refused and where, what is not known yet."""

from collections.abc import Iterator
from functools import partial

from provision.host.plugin.shapes import record_of
from provision.host.values import plain
from provision.spi import UNKNOWN, has_unknown
from provision.testing.conformance.cases import Case, of_sample, samples
from provision.testing.conformance.description import SuiteDescription
from provision.testing.conformance.samples import Values
from provision.testing.conformance.subjects import STACK_ID, Subject
from provision.testing.conformance.verdicts import Unmet, expect
from provision.testing.harness import CheckRefused

_NO_SUCH = "noSuchProperty"


def cases(suite: SuiteDescription) -> Iterator[Case]:
    """For every sample."""
    for sample, _ in samples(suite):
        yield of_sample(sample, "check", _accepted)
        yield of_sample(sample, "check-same", _same)
        yield of_sample(sample, "check-required", _required)
        yield of_sample(sample, "check-unknown-property", _unknown_property)
        yield of_sample(sample, "check-unknowns", _unknowns)
        for index, change in enumerate(sample.wrong, 1):
            yield of_sample(sample, f"check-wrong-{index}", partial(_wrong, change))


async def _accepted(subject: Subject) -> None:
    wanted, checked = subject.wanted(), await subject.check()
    hidden = {wire for wire, field in record_of(subject.kind.Inputs).fields.items() if field.write_only}
    again = await subject.check(checked | {key: item for key, item in wanted.items() if key in hidden})
    expect(
        plain(again) == plain(checked),
        "checking what was checked changes nothing",
        _differing(plain(checked), plain(again)),
        "let validators and `check` leave values alone that are already as they make them",
    )


async def _same(subject: Subject) -> None:
    first = await subject.check()
    for attempt in ("asked twice", "asked by another process"):
        again = await subject.check()
        expect(
            plain(again) == plain(first),
            f"the check gives the same when {attempt}, else plans that were approved are refused",
            _differing(plain(first), plain(again)),
            "no clock and no randomness in `check` and in defaults; use AutoName for names",
        )
        await subject.bench.again()


async def _required(subject: Subject) -> None:
    wanted = subject.wanted()
    for wire, field in record_of(subject.kind.Inputs).fields.items():
        if wire == STACK_ID or not field.info.is_required() or wire not in wanted:
            continue
        await _refused(subject, {key: item for key, item in wanted.items() if key != wire}, wire, f"without '{wire}'")


async def _unknown_property(subject: Subject) -> None:
    await _refused(subject, {**subject.wanted(), _NO_SUCH: "x"}, _NO_SUCH, f"with '{_NO_SUCH}'")


async def _wrong(change: Values, subject: Subject) -> None:
    given = subject.wanted(change)
    changed = sorted(key for key, item in given.items() if subject.wanted().get(key) != item) or ["an input left out"]
    try:
        await subject.bench.lifecycle.check(subject.sample.token, given, None, subject.name)
    except CheckRefused as refused:
        expect(
            any(refused.failures) or "" in refused.failures,
            "a refusal that says which input is wrong",
            str(refused),
            "give CheckFailure the name of the property",
        )
        return
    raise Unmet(
        f"the check refuses {', '.join(changed)} as `Sample.wrong` has it",
        "it is accepted, so that only the update would fail",
        "restrict the field's type, or add a validator or `check`",
    )


async def _unknowns(subject: Subject) -> None:
    wanted = subject.wanted()
    known = plain(await subject.check())
    for wire in wanted:
        if wire == STACK_ID:
            continue
        given = {**wanted, wire: UNKNOWN}
        checked = await subject.check(given)
        expect(
            has_unknown(plain(checked.get(wire))),
            f"'{wire}', which is not known yet, stays unknown",
            f"it is {plain(checked.get(wire))!r}",
            "let `check` pass UNKNOWN on as it is",
        )
        lost = [key for key in known if key not in checked and key != wire]
        expect(not lost, f"every other input stays when '{wire}' is not known", f"{', '.join(lost)} is gone")
        await _refused(subject, {**given, _NO_SUCH: "x"}, _NO_SUCH, f"with '{_NO_SUCH}' although '{wire}' is unknown")


async def _refused(subject: Subject, given: dict[str, object], path: str, how: str) -> None:
    try:
        await subject.bench.lifecycle.check(subject.sample.token, given, None, subject.name)
    except CheckRefused as refused:
        expect(
            path in refused.failures,
            f"a check {how} is refused at the path '{path}'",
            f"refused at {', '.join(refused.failures) or 'no path'}: {refused}",
            "give CheckFailure the name of the property",
        )
        return
    raise Unmet(f"a check {how} is refused", "it is accepted", "let the model forbid it; do not fill it in in `check`")


def _differing(one: dict[str, object], other: dict[str, object]) -> str:
    changed = [key for key in sorted({*one, *other}) if one.get(key) != other.get(key)]
    return "; ".join(f"{key} was {one.get(key)!r} and is {other.get(key)!r}" for key in changed)
