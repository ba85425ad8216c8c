"""Defects of delete."""

import time
from typing import Any

from tiny_cabinet import CabinetError
from tiny_provider import Box, explained

from broken import found_by
from provision.errors import NotFound, PlatformError, RetriableError
from provision.spi import Created


@found_by("things:Box-delete", "deleting what is gone already succeeds")
class DeletesOnlyOnce(Box):
    """That an object is gone is a failure to it."""

    def delete(self, request: Any) -> None:
        """Once."""
        try:
            super().delete(request)
        except NotFound as error:
            raise PlatformError(error.summary, "never mind") from None


@found_by("things:Box-delete", "nothing is left on the platform after delete")
class DeletesNothing(Box):
    """It only says so."""

    def delete(self, request: Any) -> None:
        """Nothing."""


@found_by("things:Box-delete", "nothing is left on the platform after delete")
class LeavesParts(Box):
    """What it made beside the object stays."""

    def create(self, request: Any) -> Any:
        """Two."""
        made = super().create(request)
        cabinet = request.operation.session.cabinet
        if cabinet.find("lid", request.inputs.name) is None:
            cabinet.make("lid", request.inputs.name, "")
        return Created(made.id, made.outputs)


@found_by("things:Box-other-stack", "delete of another stack does not touch")
class DeletesOtherStacks(Box):
    """An id is enough to it."""

    def delete(self, request: Any) -> None:
        """Whatever it is."""
        with explained("removing"):
            request.operation.session.cabinet.remove(request.id)


@found_by("things:Box-foreign", "delete by its id leaves an object alone that no stack made")
class DeletesTheForeign(Box):
    """An id is enough to it."""

    def delete(self, request: Any) -> None:
        """Whatever it is."""
        with explained("removing"):
            request.operation.session.cabinet.remove(request.id)


@found_by("things:Box-delete-error", "nothing is left after delete says that it is done")
class SwallowsFailures(Box):
    """Whatever the cabinet says, it is done."""

    def delete(self, request: Any) -> None:
        """Try."""
        try:
            request.operation.session.cabinet.remove(request.id)
        except CabinetError:
            return


@found_by("things:Box-delete-lost-after", "the next run's delete succeeds")
class ForgetsThatItDeleted(Box):
    """When the answer is lost it does not find the way back."""

    def delete(self, request: Any) -> None:
        """Once."""
        try:
            super().delete(request)
        except PlatformError as error:
            raise PlatformError(error.summary, "never mind") from None


@found_by("things:Box-delete-killed", "the next run's delete succeeds")
class DeletesHalf(Box):
    """It takes the name away first, and does not know the nameless."""

    def delete(self, request: Any) -> None:
        """In two steps."""
        cabinet = request.operation.session.cabinet
        with explained("removing"):
            stack_id = request.inputs.stack_id if request.inputs else ""
            found = self.mine(cabinet, request.id, stack_id)
            if "condemned" in found.tags:
                raise PlatformError("somebody else removes it", "wait")
            cabinet.tag(request.id, ["condemned"])
            cabinet.remove(request.id)


@found_by("things:Box-delete-cancelled", "delete ends within")
class DeletesOnAndOn(Box):
    """It works on, and does not ask."""

    def delete(self, request: Any) -> None:
        """Slowly."""
        end = time.monotonic() + 1.2
        with explained("looking"):
            request.operation.session.cabinet.get(request.id)
        while request.operation.cancelled() and time.monotonic() < end:
            time.sleep(0.05)
        super().delete(request)


@found_by("things:Box-delete-throttled", "goes on when the platform asks to be called less often")
class DeleteGivesUpWhenThrottled(ForgetsThatItDeleted):
    """Too many questions are the end."""


@found_by("things:Box-delete-time-out", "the next run's delete succeeds")
class ForgetsThatItTriedToDelete(ForgetsThatItDeleted):
    """When the answer comes late it does not find the way back."""


@found_by("things:Box-delete-lost-before", "nothing is left after delete says that it is done")
class TakesSilenceForADelete(Box):
    """No answer is a good answer."""

    def delete(self, request: Any) -> None:
        """Remove it, or think so."""
        try:
            super().delete(request)
        except RetriableError:
            return
