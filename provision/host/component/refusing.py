"""How a construction ends that failed: the status, with reasons by input."""

from collections.abc import Mapping

import grpc
from google.protobuf.any_pb2 import Any as Packed

from provision.host.component.schema import STACK
from provision.host.protocol import errors_pb2, status_pb2


class Refused(Exception):
    """Ends a construction with a status.

    Attributes:
        code: never one after which the engine takes its state for maybe corrupt.
        message: for a person.
        reasons: by path of the input that is wrong.
    """

    def __init__(self, code: grpc.StatusCode, message: str, reasons: Mapping[str, str] | None = None) -> None:
        """End with `code`."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.reasons = dict(reasons or {})

    @classmethod
    def for_inputs(cls, reasons: Mapping[str, str], message: str = "") -> "Refused":
        """Inputs are wrong."""
        count = len(reasons)
        text = message or f"{count} input{'' if count == 1 else 's'} of {STACK} cannot be used:"
        return cls(grpc.StatusCode.INVALID_ARGUMENT, text, reasons)

    @property
    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        """The reasons as gRPC carries them."""
        if not self.reasons:
            return ()
        detail = errors_pb2.InputPropertiesError(
            errors=[
                errors_pb2.InputPropertiesError.PropertyError(property_path=path, reason=reason)
                for path, reason in self.reasons.items()
            ]
        )
        packed = Packed()
        packed.Pack(detail)
        status = status_pb2.Status(code=self.code.value[0], message=self.message, details=[packed])
        return (("grpc-status-details-bin", status.SerializeToString()),)
