"""The last line of defence: whatever happens in a call, its answer has a code that the engine understands.

gRPC itself answers `UNKNOWN` or `INTERNAL` for what is not caught and for messages that it cannot read. To the engine
both mean that its state may be corrupt.
"""

import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TypeAlias

import grpc
import grpc.aio

from provision.host.aborting import Abort
from provision.host.protocol import provider_pb2_grpc

Context: TypeAlias = Any  # grpc ships no types


@dataclass(frozen=True)
class Unreadable:
    """Stands for a message that cannot be read."""


def serve(servicer: provider_pb2_grpc.ResourceProviderServicer, server: grpc.aio.Server) -> None:
    """Have `server` serve a provider."""
    guarded: Any = _Guarded(server)  # all that the generated code asks of a server
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, guarded)


class _Guarded:
    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        self._server.add_generic_rpc_handlers([_Handlers(each) for each in handlers])

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """Registered ones would come first, unguarded; the generic ones are enough."""


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, handlers: Any) -> None:
        self._handlers = handlers
        self._known: dict[str, Any] = {}

    def service(self, details: Any) -> Any:
        name = details.method
        if name not in self._known:
            self._known[name] = _guarded(self._handlers.service(details), name.rpartition("/")[2])
        return self._known[name]


def _guarded(handler: Any, name: str) -> Any:
    if handler is None:
        return None
    if handler.response_streaming:
        return handler._replace(
            request_deserializer=_tolerant(handler.request_deserializer),
            unary_stream=_stream(handler.unary_stream, name),
        )
    return handler._replace(
        request_deserializer=_tolerant(handler.request_deserializer), unary_unary=_single(handler.unary_unary, name)
    )


def _tolerant(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def reading(message: bytes) -> Any:
        try:
            return read(message)
        except Exception:
            return Unreadable()

    return reading


def _single(method: Callable[[Any, Context], Awaitable[Any]], name: str) -> Callable[[Any, Context], Awaitable[Any]]:
    async def call(request: Any, context: Context) -> Any:
        try:
            if isinstance(request, Unreadable):
                raise _unreadable(name)
            return await method(request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await abort(context, error if isinstance(error, Abort) else _defect(error, name))

    return call


def _stream(
    method: Callable[[Any, Context], AsyncIterator[Any]], name: str
) -> Callable[[Any, Context], AsyncIterator[Any]]:
    async def call(request: Any, context: Context) -> AsyncIterator[Any]:
        try:
            if isinstance(request, Unreadable):
                raise _unreadable(name)
            async for item in method(request, context):
                yield item
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await abort(context, error if isinstance(error, Abort) else _defect(error, name))

    return call


async def abort(context: Context, reason: Abort) -> None:
    """End a call; never returns."""
    await context.abort(reason.code, reason.message, reason.trailing_metadata)


def _unreadable(name: str) -> Abort:
    return Abort(grpc.StatusCode.INVALID_ARGUMENT, f"the request for {name} cannot be read")


def _defect(error: Exception, name: str) -> Abort:
    """A defect of this host. Its text may hold anything of the request, so only its kind and its place are told."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" at {PurePath(last[0].filename).name}:{last[0].lineno}" if last else ""
    return Abort(
        grpc.StatusCode.ABORTED,
        f"provision itself failed at {name}: {type(error).__name__}{place}\n  fix: report this to provision's authors",
    )
