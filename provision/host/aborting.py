"""How a call ends that failed: the status, with what travels beside it."""

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message

from provision.host.protocol import status_pb2
from provision.host.texts import fit


class Abort(Exception):
    """Ends a call with a status; `detail` travels with it."""

    def __init__(self, code: grpc.StatusCode, message: str, detail: Message | None = None) -> None:
        """End with `code` and `message`."""
        message = fit(message)
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
