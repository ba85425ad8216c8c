"""Defects of update, of checks and of what a change does."""

import random
import time
from typing import Annotated, Any, ClassVar

from pydantic import Field
from tiny_provider import Box, BoxInputs, Label, explained, marker

from broken import found_by
from provision.errors import PartiallyUpdated, PlatformError, RetriableError
from provision.spi import UNKNOWN, Checked, CheckFailure, Properties, Updated


@found_by("things:Box-update-1", "after the update")
class IgnoresAField(Box):
    """Tags are never written anew."""

    def update(self, request: Any) -> Any:
        """Only the size."""
        with explained("changing"):
            return Updated(self.outputs(request.operation.session.cabinet.resize(request.id, request.inputs.size)))


@found_by("things:Box-update-1", "no output contradicts what the preview said")
class ChangesWhatIsStable(Box):
    """An output that never changes changes."""

    def update(self, request: Any) -> Any:
        """Another mark."""
        changed = super().update(request).outputs
        return Updated(changed.model_copy(update={"mark": f"{changed.mark}+"}))


@found_by("things:Box-update-error", "state is true of the object after an update that fails")
class HidesHalfAnUpdate(Box):
    """Nobody hears of what was changed before the failure."""

    def update(self, request: Any) -> Any:
        """All or half."""
        try:
            return super().update(request)
        except PartiallyUpdated as error:
            raise PlatformError(error.summary, "try again") from None


class Renamable(BoxInputs):
    """Inputs of a box whose name does not seem to matter."""

    name: Annotated[str, Field(description="Name in the cabinet.", min_length=1)]


@found_by("things:Box-replace-1", "the diff replaces the object")
class ChangesTheImmutable(Box):
    """A name that cannot be changed is not declared so."""

    Inputs: ClassVar[type[Properties]] = Renamable


@found_by("things:Box-update-1", "is changed in place")
class ReplacesWhatCanBeChanged(Box):
    """It has no update that it could be seen to have."""

    update = None  # type: ignore[assignment]


@found_by("things:Box-update-throttled", "goes on when the platform asks to be called less often")
class UpdateGivesUpWhenThrottled(Box):
    """Too many questions are the end."""

    def update(self, request: Any) -> Any:
        """Once."""
        try:
            return super().update(request)
        except PlatformError as error:
            raise PlatformError(error.summary, "wait") from None


@found_by("things:Box-unhealthy", "it was healed")
class NeverHeals(Box):
    """What did not start is not started again, and an update with the same inputs does nothing."""

    def update(self, request: Any) -> Any:
        """Nothing."""
        return Updated(request.outputs)


@found_by("things:Box-check-same", "gives the same")
class DrawsLots(Box):
    """A check with randomness."""

    def check(self, request: Any) -> Checked:
        """Draw."""
        return Checked({**request.inputs, "tags": [str(random.random())]})


@found_by("things:Box-check", "checking what was checked changes nothing")
class ChecksOnAndOn(Box):
    """A check that adds to what it has checked."""

    def check(self, request: Any) -> Checked:
        """Add."""
        return Checked({**request.inputs, "tags": [*request.inputs.get("tags", ()), "checked"]})


@found_by("things:Box-second-apply", "a second time")
class GrowsWithEveryRun(Box):
    """A check that makes something new of what is recorded."""

    def check(self, request: Any) -> Checked:
        """Grow."""
        old = (request.old_inputs or {}).get("size")
        return Checked({**request.inputs, "size": old + 1} if isinstance(old, int) else request.inputs)


@found_by("things:Box-check-required", "a check without 'name' is refused")
class FillsInWhatIsRequired(Box):
    """The schema says that it is required, and it is not."""

    def check(self, request: Any) -> Checked:
        """Fill in."""
        return Checked({"name": "box", **request.inputs})


class Lenient(BoxInputs):
    """Inputs of a box that take anything."""

    model_config = BoxInputs.model_config | {"extra": "ignore"}


@found_by("things:Box-check-unknown-property", "a check with 'noSuchProperty' is refused")
class SwallowsWhatItDoesNotKnow(Box):
    """A slip of the pen in a program goes unseen."""

    Inputs: ClassVar[type[Properties]] = Lenient


@found_by("things:Box-check-unknowns", "stays unknown")
class InventsTheUnknown(Box):
    """What is not known yet it makes up."""

    def check(self, request: Any) -> Checked:
        """Make up."""
        return Checked({key: 1 if item is UNKNOWN and key == "size" else item for key, item in request.inputs.items()})


@found_by("things:Box-check-unknowns", "pass the check")
class RefusesTheUnknown(Box):
    """What is not known yet is wrong."""

    def check(self, request: Any) -> Checked:
        """Refuse."""
        wrong = [CheckFailure(key, "is not known") for key, item in request.inputs.items() if item is UNKNOWN]
        return Checked(request.inputs, wrong)


class Limitless(BoxInputs):
    """Inputs of a box of any size."""

    size: Annotated[int, Field(description="Size in litres.")] = 1


@found_by("things:Box-check-wrong-1", "the check refuses size")
class RefusesLate(Box):
    """A size that cannot be is found by the cabinet."""

    Inputs: ClassVar[type[Properties]] = Limitless


@found_by("things:Label-other-stack", "update of another stack does not touch")
class ChangesOtherStacks(Label):
    """Whose a label is does not matter to it."""

    def mine(self, cabinet: Any, identity: str, stack_id: str) -> Any:
        return cabinet.get(identity)


class Locking(Box):
    """An update that locks its box for the time being, with a thing beside it."""

    def update(self, request: Any) -> Any:
        """Lock, change, unlock."""
        cabinet, name = request.operation.session.cabinet, request.inputs.name
        with explained("locking"):
            lock = cabinet.find("lock", name)
            if lock is not None:
                self.locked(cabinet, lock)
            lock = cabinet.make("lock", name, marker(request.inputs.stack_id, request.operation.urn))
            try:
                return super().update(request)
            finally:
                cabinet.remove(lock.id)

    def locked(self, cabinet: Any, lock: Any) -> None:
        cabinet.remove(lock.id)


@found_by("things:Box-update-killed", "the same update succeeds in the next run")
class LocksItselfOut(Locking):
    """After it was killed nobody unlocks."""

    def locked(self, cabinet: Any, lock: Any) -> None:
        raise PlatformError("the box is locked", "unlock it by hand")


@found_by("things:Box-update-lost-after", "the update leaves one object")
class LeavesALock(Locking):
    """When the answer to locking is lost, it locks once more."""

    def locked(self, cabinet: Any, lock: Any) -> None:
        return


@found_by("things:Box-update-cancelled", "update ends within")
class UpdatesOnAndOn(Box):
    """It works on, and does not ask."""

    def update(self, request: Any) -> Any:
        """Slowly."""
        done = super().update(request)
        end = time.monotonic() + 1.2
        while request.operation.cancelled() and time.monotonic() < end:
            time.sleep(0.05)
        return done


class Orderly(BoxInputs):
    """Inputs of a box on which the order of the tags matters."""

    tags: Annotated[list[str], Field(description="What is written on it.")] = []  # noqa: RUF012


@found_by("things:Box-same-1", "spelt otherwise")
class TakesOrderForMeaning(Box):
    """The same tags in another order are other tags to it."""

    Inputs: ClassVar[type[Properties]] = Orderly


@found_by("things:Label-older-1", "what an older release recorded differs in nothing")
class ForgetsItsPast(Label):
    """It renamed an input, and no step says so."""

    schema_version: ClassVar[int] = 0
    upgrades: ClassVar[Any] = {}


@found_by("things:Box-update-lost-before", "between what read finds")
class TakesSilenceForAnUpdate(Box):
    """No answer is a good answer."""

    def update(self, request: Any) -> Any:
        """Change it, or think so."""
        try:
            return super().update(request)
        except RetriableError:
            return Updated(request.outputs.model_copy(update={"size": request.inputs.size}))


@found_by("things:Box-update-time-out", "the update leaves one object")
class LeavesALockBehind(LeavesALock):
    """When the answer to locking comes late, it locks once more."""
