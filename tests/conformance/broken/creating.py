"""Defects of create."""

import time
from dataclasses import replace
from typing import Any, ClassVar

from tiny_cabinet import CabinetError, Unreachable
from tiny_provider import Box, Label, explained, marker

from broken import found_by
from provision.errors import ForeignObject, PlatformError
from provision.spi import Cancelled, Created, Updated


class Plain(Box):
    """A create in three steps, of which a variation leaves one out."""

    def create(self, request: Any) -> Any:
        """Make it."""
        running, inputs = request.operation, request.inputs
        with explained("making a box"):
            made = self.found(running.session.cabinet, inputs, running.urn) or self.new(request)
            self.tell(running, made)
            return Created(made.id, self.outputs(self.finish(running, made, inputs)))

    def found(self, cabinet: Any, inputs: Any, urn: str) -> Any:
        found = cabinet.find("box", inputs.name)
        if found is not None and found.marker != marker(inputs.stack_id, urn):
            raise ForeignObject("it is there already", "choose another name")
        return found

    def new(self, request: Any) -> Any:
        password = request.inputs.password.get_secret_value() if request.inputs.password else ""
        mark = marker(request.inputs.stack_id, request.operation.urn)
        return request.operation.session.cabinet.make("box", request.inputs.name, mark, password)

    def tell(self, running: Any, made: Any) -> None:
        running.made(made.id, self.outputs(made).model_dump())

    def finish(self, running: Any, made: Any, inputs: Any) -> Any:
        return self.filled(running.session.cabinet, made.id, inputs)


@found_by("things:Box-create-lost-after", "the next run's create succeeds")
class LosesWhatALostConnectionMade(Plain):
    """What is there is taken for somebody else's, always."""

    def found(self, cabinet: Any, inputs: Any, urn: str) -> Any:
        if cabinet.find("box", inputs.name) is not None:
            raise ForeignObject("it is there already", "choose another name")


@found_by("things:Box-create-again", "adopts what is there")
class DoublesOnRetry(Plain):
    """It never looks before it makes."""

    def found(self, cabinet: Any, inputs: Any, urn: str) -> Any:
        return None


@found_by("things:Box-create-lost-after", "exactly one object exists")
class DoublesAfterALostConnection(Plain):
    """It adopts only what is finished."""

    def found(self, cabinet: Any, inputs: Any, urn: str) -> Any:
        found = super().found(cabinet, inputs, urn)
        return found if found is not None and found.ready else None


@found_by("things:Box-create-error", "leaves nothing that nobody knows of")
class LeavesLeftovers(Plain):
    """Nobody hears of the object before create has ended well."""

    def tell(self, running: Any, made: Any) -> None:
        return


@found_by("things:Box-unhealthy", "is kept in state")
class DoesNotKeepTheUnhealthy(Plain):
    """The object is there, and its start failed."""

    def tell(self, running: Any, made: Any) -> None:
        return


@found_by("things:Box-unhealthy", "create fails when the object does not become healthy")
class TakesTheUnhealthyForWell(Plain):
    """A start that fails does not matter to it."""

    def finish(self, running: Any, made: Any, inputs: Any) -> Any:
        try:
            return super().finish(running, made, inputs)
        except CabinetError:
            return made


@found_by("things:Box-create-cancelled", "create ends within")
class IgnoresCancel(Plain):
    """It works on, and does not ask."""

    def finish(self, running: Any, made: Any, inputs: Any) -> Any:
        end = time.monotonic() + 1.2
        while running.cancelled() and time.monotonic() < end:
            time.sleep(0.05)
        return super().finish(running, made, inputs)


@found_by("things:Box-create-cancelled", "keeps its object in state or makes none")
class LosesTheObjectWhenCancelled(Plain):
    """It stops between the call that makes the object and telling of it."""

    def tell(self, running: Any, made: Any) -> None:
        if running.cancelled():
            raise Cancelled


@found_by("things:Box-create-killed", "exactly one object exists")
class ForgetsWhenKilled(Plain):
    """What it made it remembers only itself."""

    made: ClassVar[dict[str, str]] = {}

    def found(self, cabinet: Any, inputs: Any, urn: str) -> Any:
        super().found(cabinet, inputs, urn)
        return next((thing for thing in cabinet.things("box") if thing.id == self.made.get(urn)), None)

    def tell(self, running: Any, made: Any) -> None:
        self.made[running.urn] = made.id
        super().tell(running, made)


@found_by("things:Box-foreign", "leaves an object alone that no stack made")
class AdoptsTheForeign(Plain):
    """Whoever has the name is its own."""

    def found(self, cabinet: Any, inputs: Any, urn: str) -> Any:
        return cabinet.find("box", inputs.name)


@found_by("things:Box-foreign", "ALREADY_EXISTS")
class CallsTheForeignAFailure(Plain):
    """The code of its refusal says nothing."""

    def found(self, cabinet: Any, inputs: Any, urn: str) -> Any:
        try:
            return super().found(cabinet, inputs, urn)
        except ForeignObject as error:
            raise PlatformError(error.summary, error.fix) from None


@found_by("things:Label-replace-1", "another one than the one that it replaces")
class SeizesTheLiveObject(Label):
    """A label is in use while the next one is made, and taken for a leftover."""

    def create(self, request: Any) -> Any:
        """Adopt."""
        mark = marker(request.inputs.stack_id, request.operation.urn)
        with explained("making a label"):
            for found in request.operation.session.cabinet.things("label"):
                if found.marker == mark:
                    return Created(found.id, self.outputs(found))
        return super().create(request)


@found_by("things:Label-create-killed", "exactly one object exists")
class NeverTidies(Label):
    """What an interrupted create left behind stays for ever."""

    def update(self, request: Any) -> Any:
        """Change this one alone."""
        cabinet, inputs = request.operation.session.cabinet, request.inputs
        with explained("changing a label"):
            self.mine(cabinet, request.id, inputs.stack_id)
            return Updated(self.outputs(cabinet.resize(request.id, inputs.size)))


@found_by("things:Box-preview", "the preview says 'red', the result is 'RED'")
class PreviewLies(Plain):
    """An output that has the name of an input is not that input."""

    def outputs(self, found: Any) -> Any:
        return super().outputs(found).model_copy(update={"name": found.name.upper()})


@found_by("things:Box-read", "size")
class RoundsUp(Plain):
    """What it makes is not what was asked for."""

    def finish(self, running: Any, made: Any, inputs: Any) -> Any:
        cabinet = running.session.cabinet
        super().finish(running, made, inputs)
        return cabinet.resize(made.id, inputs.size + inputs.size % 2)


@found_by("things:Box-create-throttled", "goes on when the platform asks to be called less often")
class GivesUpWhenThrottled(Plain):
    """Every answer of the cabinet but a good one is a refusal."""

    def create(self, request: Any) -> Any:
        """Make it."""
        try:
            return super().create(request)
        except PlatformError as error:
            raise PlatformError(error.summary, "ask the keeper") from None


@found_by("things:Box-create-time-out", "exactly one object exists")
class TakesALateAnswerForNone(DoublesAfterALostConnection):
    """What takes long has not happened."""


@found_by("things:Box-create-lost-before", "between what read finds")
class TakesSilenceForConsent(Plain):
    """No answer is a good answer."""

    def finish(self, running: Any, made: Any, inputs: Any) -> Any:
        try:
            return super().finish(running, made, inputs)
        except Unreachable:
            return replace(made, size=inputs.size)
