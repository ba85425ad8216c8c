"""One sample on its way through life, every step as the engine makes it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from provision.host.plugin.shapes import record_of, to_wire_names
from provision.host.values import plain
from provision.spi import CanDelete, OwnedInputs, Replacement
from provision.testing.conformance.bench import Bench
from provision.testing.conformance.samples import REMOVED, Others, Sample, Values
from provision.testing.conformance.verdicts import Unmet, expect
from provision.testing.harness import CheckRefused, Made, OperationFailed

STACK_ID = "stackId"
T = TypeVar("T")


class Subject:
    """A sample, and the object that was made of it.

    Attributes:
        sample: what the author says.
        kind: its resource type.
        others: the objects that it needs.
        live: every object of it that is believed to be on the platform.
        before: what was on the platform before any of them.
    """

    def __init__(self, bench: Bench, sample: Sample, others: Others) -> None:
        """Nothing is made yet."""
        self.bench = bench
        self.sample = sample
        self.kind = bench.kind(sample.token)
        self.others = others
        self.live: list[Made] = []
        self.before: Counter[str] = bench.standing()
        self._asked: list[tuple[dict[str, Any], dict[str, Any], Made | None, bytes]] = []
        self._hides = any(field.write_only for field in record_of(self.kind.Inputs).fields.values())
        self.name = sample.id.replace(":", "-").replace("/", "-").lower()

    @property
    def made(self) -> Made:
        """The object that was made last."""
        return self.live[-1]

    @property
    def creates_first(self) -> bool:
        """Whether a new object is made while the old one lives, so that neither may be taken for the other."""
        return self.kind.replacement is Replacement.CREATE_FIRST

    def standing(self) -> "Counter[str]":
        """What is on the platform more than before."""
        return self.bench.standing() - self.before

    # --- inputs

    def wanted(self, change: Values | None = None, stack: str = "") -> dict[str, Any]:
        """The sample's inputs as a program gives them, by wire names; with `change` made."""
        values = self._values(self.sample.inputs)
        if issubclass(self.kind.Inputs, OwnedInputs):
            values.setdefault(STACK_ID, self.bench.stack_id)
            if stack:
                values[STACK_ID] = stack
        if change is not None:
            values |= self._values(change)
        return {key: item for key, item in values.items() if item is not REMOVED}

    def _values(self, values: Values) -> dict[str, Any]:
        given = values(self.others) if callable(values) else values
        return dict(to_wire_names(given, record_of(self.kind.Inputs)))

    # --- steps

    async def check(
        self, inputs: Mapping[str, Any] | None = None, old: Made | None = None, seed: bytes = b"seed"
    ) -> dict[str, Any]:
        """Checked inputs.

        Raises:
            Unmet: they are refused.
        """
        values = dict(self.wanted() if inputs is None else inputs)
        try:
            checked = await self.bench.lifecycle.check(self.sample.token, values, old, self.name, seed=seed)
        except CheckRefused as refused:
            raise Unmet(
                f"inputs of the sample {self.sample.id} pass the check",
                f"refused: {refused}",
                "mend the sample, or the model's rules",
            ) from None
        self._asked.append((checked, values, old, seed))
        return checked

    async def _prime(self, inputs: Mapping[str, Any]) -> None:
        """Check inputs as every run does: only so does a process know the values that state does not hold."""
        for checked, program, old, seed in self._asked if self._hides else ():
            if plain(checked) == plain(inputs):
                await self.bench.lifecycle.check(self.sample.token, program, old, self.name, seed=seed)
                return

    async def create(self, inputs: Mapping[str, Any] | None = None) -> Made:
        """Make the object, from checked inputs.

        Raises:
            OperationFailed: it could not be made; what was kept counts as live.
        """
        values = await self.check() if inputs is None else inputs
        await self._prime(values)
        try:
            made = await self._timed(self.bench.lifecycle.create(self.sample.token, values, name=self.name))
        except OperationFailed as failed:
            if failed.kept is not None:
                self.live.append(failed.kept)
            raise
        self.live = [item for item in self.live if item.id != made.id] + [made]
        return made

    async def preview(self, inputs: Mapping[str, Any]) -> Made:
        """What the object would be."""
        return await self._timed(self.bench.lifecycle.create(self.sample.token, inputs, name=self.name, preview=True))

    async def read(self, made: Made | str | None = None) -> Made | None:
        """Look at the object."""
        return await self._timed(
            self.bench.lifecycle.read(self.sample.token, self.made if made is None else made, self.name)
        )

    async def diff(self, inputs: Mapping[str, Any], made: Made | None = None) -> Any:
        """How wanted inputs differ from the recorded ones."""
        recorded = self.made if made is None else made
        return await self.bench.lifecycle.diff(self.sample.token, recorded, inputs, name=self.name)

    async def update(self, inputs: Mapping[str, Any], made: Made | None = None, *, preview: bool = False) -> Made:
        """Change the object, or preview that."""
        recorded = self.made if made is None else made
        await self._prime(inputs)
        try:
            updated = await self._timed(
                self.bench.lifecycle.update(self.sample.token, recorded, inputs, preview=preview, name=self.name)
            )
        except OperationFailed as failed:
            if failed.kept is not None:
                self._replace(recorded, failed.kept)
            raise
        if not preview:
            self._replace(recorded, updated)
        return updated

    async def back(self, inputs: Mapping[str, Any]) -> Made:
        """The object with `inputs` again, which were checked before; made anew where it cannot be changed back."""
        try:
            wanted = await self.bench.lifecycle.check(
                self.sample.token, self.wanted(), self.made, self.name, seed=b"seed"
            )
            possible = not (await self.diff(wanted)).replaces
        except CheckRefused:
            possible = False
        if possible:
            return await self.update(inputs)
        await self.delete()
        return await self.create(inputs)

    async def delete(self, made: Made | None = None) -> None:
        """Remove the object."""
        gone = self.made if made is None else made
        await self._timed(self.bench.lifecycle.delete(self.sample.token, gone, self.name))
        if self.sample.vanish is not None and not issubclass(self.kind, CanDelete):
            self.sample.vanish(self.bench.platform.handle, gone)
        self.live = [item for item in self.live if item.id != gone.id]

    async def remove(self) -> None:
        """Remove whatever is still there, without complaint."""
        for made in reversed(self.live):
            with contextlib.suppress(OperationFailed, Unmet, TimeoutError):
                await self.delete(made)

    def _replace(self, old: Made, new: Made) -> None:
        self.live = [new if item.id == old.id else item for item in self.live]

    async def _timed(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self.sample.seconds):
                return await work
        except TimeoutError:
            raise Unmet(
                f"an operation of {self.sample.id} ends within {self.sample.seconds:g} s (`Sample.seconds`)",
                "it does not end",
                "let calls to the platform have a time limit, and wait with Operation.wait",
            ) from None

    # --- what must hold

    async def expect_clean(self, made: Made, inputs: Mapping[str, Any], when: str, advice: str) -> None:
        """Nothing is left to do.

        Raises:
            Unmet: a diff of `inputs` against `made` shows something.
        """
        found = await self.diff(inputs, made)
        expect(
            not found.changed and not found.detailed, f"no difference {when}", described(found, made, inputs), advice
        )

    async def expect_as_recorded(self, made: Made, when: str) -> None:
        """A look at the object finds it as it is recorded.

        Raises:
            Unmet: it is gone or other.
        """
        seen = await self.read(made)
        expect(seen is not None, f"the object is there {when}", "read says that it is gone", "look for it by its id")
        assert seen is not None
        await self.expect_clean(
            seen,
            made.inputs,
            f"between what read finds {when} and the inputs that were applied",
            "let read give the inputs that the live object has, and create and update apply all of them",
        )
        differing = [
            f"{name} is {plain(seen.outputs.get(name))!r} and was {plain(made.outputs.get(name))!r}"
            for name in sorted({*seen.outputs, *made.outputs} - self._volatile() - self._secret_outputs())
            if plain(seen.outputs.get(name)) != plain(made.outputs.get(name)) and not name.startswith("__")
        ]
        expect(
            not differing,
            f"read gives the outputs that are recorded {when}",
            "; ".join(differing),
            "let create, update and read give the same outputs; Sample.volatile names those that change by themselves",
        )

    def _volatile(self) -> set[str]:
        return set(to_wire_names(dict.fromkeys(self.sample.volatile), record_of(self.kind.Outputs)))

    def _secret_outputs(self) -> set[str]:
        return {wire for wire, field in record_of(self.kind.Outputs).fields.items() if field.secret}


def described(found: Any, made: Made, inputs: Mapping[str, Any]) -> str:
    """A diff for a message; values of secrets are not shown."""
    parts: list[str] = []
    for path, kind in found.detailed.items():
        head = path.split(".")[0].split("[")[0]
        parts.append(f"{path} ({kind}: {made.inputs.get(head)!r} -> {inputs.get(head)!r})")
    return "; ".join(parts) or "changes that are not detailed"


@asynccontextmanager
async def subject_of(bench: Bench, sample: Sample) -> AsyncIterator[Subject]:
    """The sample with everything that it needs; all of it is removed afterwards."""
    async with others_of(bench, sample.needs) as others:
        subject = Subject(bench, sample, others)
        try:
            yield subject
        finally:
            bench.faults.forget()
            await subject.remove()


@asynccontextmanager
async def others_of(bench: Bench, needs: Sequence[str]) -> AsyncIterator[Others]:
    """The samples of these ids and what they need, made; they are removed afterwards."""
    made: list[Subject] = []
    try:
        for needed in _needed(bench, needs):
            subject = Subject(bench, needed, {item.sample.id: item.made for item in made})
            made.append(subject)
            await subject.create()
        yield {item.sample.id: item.made for item in made}
    finally:
        bench.faults.forget()
        for subject in reversed(made):
            await subject.remove()


def _needed(bench: Bench, needs: Sequence[str], path: tuple[str, ...] = ()) -> list[Sample]:
    found: list[Sample] = []
    known = {item.id: item for item in bench.suite.samples}
    for name in needs:
        if name not in known:
            raise Unmet(f"'{name}', which is needed, is the id of a sample", f"there are {', '.join(known)}")
        if name in path:
            raise Unmet("samples do not need each other in a circle", " -> ".join((*path, name)))
        for item in (*_needed(bench, known[name].needs, (*path, name)), known[name]):
            if item not in found:
                found.append(item)
    return found
