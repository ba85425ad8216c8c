"""The calls that change nothing: lists of objects and data functions."""

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias, TypeVar

from provision.host.plugin.hosting import Host
from provision.host.plugin.listing import CHUNK, Position, query_shape
from provision.host.plugin.responses import check_response, decoded, encoded
from provision.host.protocol import provider_pb2
from provision.spi.properties import has_unknown

R = TypeVar("R")
Context: TypeAlias = Any  # grpc ships no types


class Questions(Host):
    """A plugin that can be asked."""

    async def List(self, request: provider_pb2.ListRequest, context: Context) -> AsyncIterator[Any]:
        """Find objects that can be imported."""
        resource = self._resource(request.token, "")
        query = decoded(request.query)
        mask = self._masker((query, query_shape(resource)))
        if has_unknown(query):
            yield provider_pb2.ListResponse(computed=provider_pb2.ListResponse.Computed())
            return
        running = self._operation("list", resource.token, mask, kind=resource.kind)

        async def run(work: Callable[[], R]) -> R:
            return await self._run("list", resource.token, mask, work, running=running)

        self._must_be_connected()
        position = await run(lambda: Position.read(request.continuation_token, request.limit))
        search = await run(lambda: self._searches.begin(resource, query, position))
        wanted = request.page_size if request.page_size > 0 else CHUNK
        more = True
        while more:
            for item in await run(lambda: search.take(running, wanted)):
                found = provider_pb2.ListResponse.Result(id=item.id, name=item.name)
                yield provider_pb2.ListResponse(result=found)
            more = await run(lambda: search.more(running))
            if request.page_size > 0:
                break
        if more:
            token = self._searches.keep(resource, query, search)
            yield provider_pb2.ListResponse(
                continuation=provider_pb2.ListResponse.Continuation(continuation_token=token)
            )

    async def Invoke(self, request: provider_pb2.InvokeRequest, context: Context) -> provider_pb2.InvokeResponse:
        """Call a data function; where an argument is not known yet there is no answer yet."""
        token = request.tok.removeprefix(f"{self.package}:")
        if token not in self.functions:
            raise self._not_offered("function", token, list(self.functions))
        function = self.functions[token]
        arguments = decoded(request.args)
        mask = self._masker((arguments, function.arguments))
        if has_unknown(arguments):
            return provider_pb2.InvokeResponse()
        self._must_be_connected()
        running = self._operation("call", token, mask, service=function.kind.service)

        def work() -> provider_pb2.InvokeResponse:
            checked, failures = function.check(arguments)
            if failures:
                return provider_pb2.InvokeResponse(failures=check_response({}, failures, mask).failures)
            response = provider_pb2.InvokeResponse()
            getattr(response, "return").CopyFrom(encoded(function.call(running, checked, arguments)))
            return response

        return await self._run("call", token, mask, work, running=running)
