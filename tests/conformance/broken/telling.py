"""Defects of what is said: secrets given away, and failures that help nobody."""

import logging
from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr
from tiny_provider import Box, BoxInputs, BoxOutputs

from broken import found_by
from provision.errors import PlatformError
from provision.spi import STABLE, Properties, Secret, WriteOnly


def password(inputs: Any) -> str:
    return inputs.password.get_secret_value() if inputs.password else ""


class Talkative(BoxOutputs):
    """Outputs of a box with a way in."""

    key: Annotated[str, Field(description="How to open it."), STABLE] = ""


@found_by("things:Box-secrets", "Create, properties.key holds one")
class SecretInAnOutput(Box):
    """An output that is not declared secret holds one."""

    Outputs: ClassVar[type[Properties]] = Talkative

    def outputs(self, found: Any) -> Any:
        return Talkative(**super().outputs(found).model_dump(), key=f"say {found.password}")


@found_by("things:Box-secrets", "it is encoded there")
class SecretInAFailure(Box):
    """It is spelt backwards, which hides nothing."""

    def create(self, request: Any) -> Any:
        """Make it, and say too much when that fails."""
        try:
            return super().create(request)
        except PlatformError as error:
            raise PlatformError(f"{error.summary}: {password(request.inputs)[::-1]}", "ask") from None


@found_by("things:Box-secrets", "a status line")
class SecretInAStatusLine(Box):
    """It is spelt backwards, which hides nothing."""

    def create(self, request: Any) -> Any:
        """Make it, and say too much before."""
        request.operation.report(f"opening with {password(request.inputs)[::-1]}")
        return super().create(request)


@found_by("things:Box-secrets", "a note line")
class SecretInANote(Box):
    """It is spelt backwards, which hides nothing."""

    def update(self, request: Any) -> Any:
        """Change it, and say too much before."""
        request.operation.note(f"opens with {password(request.inputs)[::-1]}")
        return super().update(request)


@found_by("things:Box-secrets", "Python's log")
class SecretInTheLog(Box):
    """Python's log is read by others too."""

    def create(self, request: Any) -> Any:
        """Make it, and say too much before."""
        logging.getLogger("cabinet").debug("opening with %s", password(request.inputs))
        return super().create(request)


class NeverRecorded(BoxInputs):
    """Inputs of a box whose password state never holds."""

    password: Annotated[SecretStr | None, Field(description="Opens it."), WriteOnly()] = None


class Hidden(BoxOutputs):
    """Outputs of a box with a secret way in."""

    key: Annotated[str, Field(description="How to open it."), Secret(), STABLE] = ""


@found_by("things:Box-secrets", "values of write-only inputs are in no answer")
class RecordsWhatIsWriteOnly(Box):
    """An output holds, as a secret, what state must not hold even so."""

    Inputs: ClassVar[type[Properties]] = NeverRecorded
    Outputs: ClassVar[type[Properties]] = Hidden

    def outputs(self, found: Any) -> Any:
        return Hidden(**super().outputs(found).model_dump(), key=f"say {found.password}")


@found_by("things:Box-error-text", "says what a person can do")
class FailsWithoutAFix(Box):
    """It says what is wrong, and that is all."""

    def create(self, request: Any) -> Any:
        """Make it."""
        try:
            return super().create(request)
        except PlatformError as error:
            raise PlatformError(error.summary) from None


@found_by("things:Box-create-error", "a failure that the plugin explains")
class RaisesWhatItLikes(Box):
    """An exception that is none of the interface's."""

    def create(self, request: Any) -> Any:
        """Make it."""
        try:
            return super().create(request)
        except PlatformError as error:
            raise KeyError(error.summary) from None
