"""How a construction ends that failed: the status, with reasons by input."""

from collections.abc import Mapping

import grpc

from provision.host.aborting import Abort
from provision.host.component.schema import STACK
from provision.host.protocol import errors_pb2


class Refused(Abort):
    """Ends a construction with a status.

    Attributes:
        reasons: by path of the input that is wrong.
    """

    def __init__(self, code: grpc.StatusCode, message: str, reasons: Mapping[str, str] | None = None) -> None:
        """End with `code`, never one after which the engine takes its state for maybe corrupt."""
        self.reasons = dict(reasons or {})
        errors = [
            errors_pb2.InputPropertiesError.PropertyError(property_path=path, reason=reason)
            for path, reason in self.reasons.items()
        ]
        super().__init__(code, message, errors_pb2.InputPropertiesError(errors=errors) if errors else None)

    @classmethod
    def for_inputs(cls, reasons: Mapping[str, str], message: str = "") -> "Refused":
        """Inputs are wrong."""
        count = len(reasons)
        text = message or f"{count} input{'' if count == 1 else 's'} of {STACK} cannot be used:"
        return cls(grpc.StatusCode.INVALID_ARGUMENT, text, reasons)
