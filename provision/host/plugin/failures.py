"""Failures as the engine wants them: a precise code, one clear text, and what was made although it failed.

Never `UNKNOWN`, `INTERNAL` or `DATA_LOSS`: after those the engine takes its own state for maybe corrupt.
"""

from collections.abc import Callable

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message

from provision.errors import (
    EnvironmentProblem,
    ForeignObject,
    NotFound,
    PlatformError,
    PluginError,
    ProvisionError,
    UserError,
)
from provision.host.protocol import status_pb2
from provision.spi.resource import Cancelled


class Abort(Exception):
    """Ends a call with a status; `detail` travels with it."""

    def __init__(self, code: grpc.StatusCode, message: str, detail: Message | None = None) -> None:
        """End with `code` and `message`."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail

    @property
    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        """The detail as gRPC carries it."""
        if self.detail is None:
            return ()
        packed = Any()
        packed.Pack(self.detail)
        status = status_pb2.Status(code=self.code.value[0], message=self.message, details=[packed])
        return (("grpc-status-details-bin", status.SerializeToString()),)


_CODES: tuple[tuple[type[ProvisionError], grpc.StatusCode], ...] = (
    (UserError, grpc.StatusCode.INVALID_ARGUMENT),
    (EnvironmentProblem, grpc.StatusCode.FAILED_PRECONDITION),
    (PluginError, grpc.StatusCode.ABORTED),
    (ForeignObject, grpc.StatusCode.ALREADY_EXISTS),
    (NotFound, grpc.StatusCode.NOT_FOUND),
    # Not UNAVAILABLE: to the engine that is a plugin process that has died.
    (PlatformError, grpc.StatusCode.ABORTED),
)


def abort_for(
    error: Exception, *, plugin: str, subject: str, operation: str, mask: Callable[[str], str], late: bool = False
) -> Abort:
    """The status for any exception of a plugin.

    Args:
        error: what was raised.
        plugin: name of the plugin.
        subject: the resource type, or what else was worked on.
        operation: what was being done, such as `create`.
        mask: hides secrets.
        late: whether the time limit of the operation has passed.
    """
    if isinstance(error, Abort):
        return error
    if isinstance(error, Cancelled):
        if late:
            return Abort(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"the time limit for {operation} of {subject} has passed\n  fix: give it more with customTimeouts",
            )
        return Abort(grpc.StatusCode.CANCELLED, f"{operation} of {subject} was stopped: the run was cancelled")
    if isinstance(error, ProvisionError):
        code = next((code for kind, code in _CODES if isinstance(error, kind)), grpc.StatusCode.ABORTED)
        return Abort(code, mask(str(error)))
    text = mask(str(error).strip()) or "no further text"
    return Abort(
        grpc.StatusCode.ABORTED,
        f"plugin '{plugin}' failed at {operation} of {subject} in a way that it does not explain: "
        f"{type(error).__name__}: {text}\n  fix: report this to the plugin's author; "
        "`pulumi up --debug` shows where it happened",
    )
