"""Defects of read and list."""

from typing import Any

from tiny_cabinet import CabinetError, NoSuchThing
from tiny_provider import Box, explained

from broken import found_by
from provision.errors import NotFound, PlatformError, RetriableError
from provision.spi import Listed, Read


@found_by("things:Box-import", "make the next preview clean")
class DirtyImport(Box):
    """Without recorded inputs it does not look closely."""

    def inputs(self, found: Any, recorded: Any) -> Any:
        seen = super().inputs(found, recorded)
        return seen if recorded is not None else seen.model_copy(update={"size": 1})


@found_by("things:Box-import", "found by its id")
class CannotBeImported(Box):
    """It needs what was recorded."""

    def read(self, request: Any) -> Any:
        """Only what it knows."""
        return super().read(request) if request.inputs is not None else None


@found_by("things:Box-refresh-changed", "a refresh sees that the object was changed")
class EchoesTheState(Box):
    """It says what was recorded."""

    def inputs(self, found: Any, recorded: Any) -> Any:
        return recorded or super().inputs(found, recorded)


@found_by("things:Box-refresh-gone", "PlatformError")
class RaisesWhenGone(Box):
    """That an object is gone is a failure to it."""

    def read(self, request: Any) -> Any:
        """Look."""
        try:
            return super().read(request)
        except NotFound as error:
            raise PlatformError(f"PlatformError: {error.summary}", "never mind") from None


@found_by("things:Box-read-error", "only when it is")
class TakesFailuresForGone(Box):
    """Whatever the cabinet says, the object is gone."""

    def read(self, request: Any) -> Any:
        """Look."""
        try:
            found = request.operation.session.cabinet.get(request.id)
        except CabinetError:
            return None
        return Read(found.id, self.inputs(found, request.inputs), self.outputs(found))


@found_by("things:Box-read-error", "a failure that the plugin explains")
class ExplainsNothing(Box):
    """What the SDK raises goes through."""

    def read(self, request: Any) -> Any:
        """Look."""
        try:
            found = request.operation.session.cabinet.get(request.id)
        except NoSuchThing:
            return None
        return Read(found.id, self.inputs(found, request.inputs), self.outputs(found))


@found_by("things:Box-read", "read gives the outputs that are recorded")
class OtherOutputs(Box):
    """Read and create do not agree on an output."""

    def read(self, request: Any) -> Any:
        """Look."""
        seen = super().read(request)
        return Read(seen.id, seen.inputs, seen.outputs.model_copy(update={"mark": "other"}))


@found_by("things:Box-list", "is listed")
class ListMisses(Box):
    """The newest object is not in the list."""

    def list(self, request: Any) -> Any:
        """All but one."""
        yield from list(super().list(request))[:-1]


@found_by("things:Box-list", "is listed")
class ListsNames(Box):
    """What it lists nothing can be found by."""

    def list(self, request: Any) -> Any:
        """Names."""
        yield from (Listed(item.name) for item in super().list(request))


@found_by("things:Box-list", "can be imported")
class ListsGhosts(Box):
    """Some of what it lists is not there."""

    def list(self, request: Any) -> Any:
        """One more."""
        yield from super().list(request)
        yield Listed("box-ghost")


@found_by("things:Box-list-error", "a list is whole, or fails")
class ListsWhatItCan(Box):
    """A list that breaks off counts as whole."""

    def list(self, request: Any) -> Any:
        """Whatever comes."""
        try:
            things = request.operation.session.cabinet.things("box")
        except CabinetError:
            things = []
        with explained("listing"):
            yield from (Listed(thing.id, thing.name) for thing in things[: request.limit])


@found_by("things:Box-read-throttled", "goes on when the platform asks to be called less often")
class ReadGivesUpWhenThrottled(Box):
    """Too many questions are the end."""

    def read(self, request: Any) -> Any:
        """Once."""
        try:
            return super().read(request)
        except NotFound:
            return None
        except PlatformError as error:
            raise PlatformError(error.summary, "wait") from None


@found_by("things:Box-list", "a list with the limit 1 has one object")
class ListsAllOrNothing(Box):
    """A limit is too much for it."""

    def list(self, request: Any) -> Any:
        """All or nothing."""
        yield from super().list(request) if request.limit is None else ()


@found_by("things:Box-read-lost-before", "only when it is")
class TakesSilenceForGone(Box):
    """No answer means that there is nothing."""

    def read(self, request: Any) -> Any:
        """Look."""
        try:
            return super().read(request)
        except RetriableError:
            return None
