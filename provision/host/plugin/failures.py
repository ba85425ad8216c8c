"""Failures as the engine wants them: a precise code, one clear text, and what was made although it failed.

Never `UNKNOWN`, `INTERNAL` or `DATA_LOSS`: after those the engine takes its own state for maybe corrupt.
"""

import grpc

from provision.errors import (
    EnvironmentProblem,
    ForeignObject,
    NotFound,
    PlatformError,
    PluginError,
    ProvisionError,
    UserError,
)
from provision.host.aborting import Abort
from provision.host.plugin.masking import Masker
from provision.host.plugin.running import Defect, Running
from provision.host.texts import text_of
from provision.spi.operation import Cancelled

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
    error: BaseException, *, plugin: str, subject: str, action: str, mask: Masker, running: Running | None = None
) -> Abort:
    """The status for whatever a plugin raised.

    Args:
        error: what was raised.
        plugin: name of the plugin.
        subject: the resource type, or what else was worked on.
        action: what was being done, such as `create`.
        mask: hides secrets.
        running: the operation, if it was one.
    """
    if isinstance(error, Abort):
        return error
    if isinstance(error, Cancelled):
        seen = f"; last seen: {mask(text_of(error))}" if text_of(error) else ""
        if running is not None and running.late:
            return Abort(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"the time limit of {running.limit:.3g} s for {action} of {subject} has passed{seen}"
                "\n  fix: give it more with customTimeouts",
            )
        return Abort(grpc.StatusCode.CANCELLED, f"{action} of {subject} was stopped: the run was cancelled{seen}")
    if isinstance(error, ProvisionError):
        code = next((code for kind, code in _CODES if isinstance(error, kind)), grpc.StatusCode.ABORTED)
        return Abort(code, mask(text_of(error)))
    raised = error.__cause__ if isinstance(error, Defect) and error.__cause__ else error
    text = mask(text_of(raised)) or "no further text"
    return Abort(
        grpc.StatusCode.ABORTED,
        f"plugin '{plugin}' failed at {action} of {subject} in a way that it does not explain: "
        f"{type(raised).__name__}: {text}\n  fix: report this to the plugin's author; "
        "`pulumi up --debug` shows where it happened",
    )
