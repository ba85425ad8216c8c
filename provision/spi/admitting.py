"""Keeping state true when an update stops half-way."""

import contextlib
from collections.abc import Iterator
from typing import Any

from provision.errors import CreatedButUnhealthy, ForeignObject, PartiallyUpdated, ProvisionError, RetriableError
from provision.spi.operation import Cancelled
from provision.spi.resource import CanRead, ReadRequest, UpdateRequest


@contextlib.contextmanager
def admitted(kind: CanRead, request: UpdateRequest[Any, Any]) -> Iterator[None]:
    """When an update fails for good, or is cancelled, say what it has changed until then: state is to be true.

    For an `update` of several native calls. The object is read back by `kind`; when it is still as it was, or cannot be
    read, the failure is passed on as it is. What the framework tries again is passed on too.

    Raises:
        PartiallyUpdated: the object is not as it was.
    """
    try:
        yield
    except (RetriableError, ForeignObject, CreatedButUnhealthy):
        raise
    except (ProvisionError, Cancelled) as error:
        seen = None
        with contextlib.suppress(ProvisionError):
            seen = kind.read(ReadRequest(request.operation, request.id, request.old_inputs, request.outputs))
        if seen is None or seen.inputs == request.old_inputs:
            raise
        text = str(error) or "the run was cancelled"
        outputs = seen.outputs.model_dump()
        raise PartiallyUpdated(text.partition("\n")[0], inputs=seen.inputs, outputs=outputs, reasons=[text]) from error
