"""Runs resource types through the real plugin host, in this process and without the engine.

::

    async with Lifecycle(MemoryProvider) as platform:
        inputs = await platform.check("compute:Server", {"name": "web", …})
        server = await platform.create("compute:Server", inputs)

Every call is made as the engine makes it: over a channel, with the protocol's messages. What the plugin says while it
works is kept in `Lifecycle.log`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf import empty_pb2

from provision.host import guarding
from provision.host.permission import Permission
from provision.host.plugin.process import framework_types
from provision.host.plugin.servicer import PluginServicer
from provision.host.protocol import CHANNEL_OPTIONS, provider_pb2, provider_pb2_grpc, status_pb2
from provision.host.values import decode_struct, encode_struct
from provision.spi import Provider, registry
from provision.testing.recorder import Recorder
from provision.testing.seen import CheckRefused, Compared, Found, Made, OperationFailed, Page

__all__ = ["CheckRefused", "Compared", "Found", "Lifecycle", "Made", "OperationFailed", "Page", "Recorder"]

S = TypeVar("S")

# A failed start travels in the trailer with all its outputs; Python's client accepts eight KiB unless told otherwise.
_OPTIONS = (*CHANNEL_OPTIONS, ("grpc.max_metadata_size", 16 << 20), ("grpc.absolute_max_metadata_size", 16 << 20))

# As the engine meets every plugin; without an address nothing is sent back to it.
_HANDSHAKE = provider_pb2.ProviderHandshakeRequest(
    configure_with_urn=True,
    supports_views=True,
    supports_refresh_before_update=True,
    invoke_with_preview=True,
    accepts_byte_string=True,
    sends_old_outputs_to_check=True,
)


class Lifecycle:
    """One provider plugin, served over a real channel.

    Attributes:
        package: name of its Pulumi package.
        log: what the plugin had for the engine; only of a plugin that is served in this process.
        stub: the raw service, for calls that the methods here do not make.
    """

    def __init__(
        self,
        provider: type[Provider[Any, Any]],
        config: Mapping[str, Any] | None = None,
        *,
        configure: bool = True,
        port: int | None = None,
        watch: Callable[[str, Any], None] | None = None,
    ) -> None:
        """Serve `provider` with `config` (wire names).

        Args:
            provider: the plugin.
            config: its configuration.
            configure: without it the plugin is left unconnected, as in a preview whose configuration is not known.
            port: of a plugin process that runs already and is used instead of serving in this process.
            watch: is given the name of each call and what came back: the answer, or the `OperationFailed`.
        """
        self._provider = registry.check(provider.name, provider)
        self._config = dict(config or {})
        self._configure = configure
        self._port = port
        self._watch = watch
        self.package = f"provision-{provider.name}"
        self.log = Recorder()

    async def __aenter__(self) -> "Lifecycle":
        """Start serving and connect; when that fails nothing goes on being served."""
        async with AsyncExitStack() as opened:
            await self._start(opened)
            self._opened = opened.pop_all()
        return self

    async def _start(self, opened: AsyncExitStack) -> None:
        port = self._port
        if port is None:
            self.servicer = PluginServicer(self._provider, framework_types, self.log)
            self.servicer.permission = Permission(("*",))
            opened.push_async_callback(self.servicer.close)
            server = grpc.aio.server(options=_OPTIONS)
            guarding.serve(self.servicer, server)
            port = server.add_insecure_port("127.0.0.1:0")
            opened.push_async_callback(server.stop, 1)
            await server.start()
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS)
        opened.push_async_callback(self._channel.close)
        self.stub: Any = provider_pb2_grpc.ResourceProviderStub(self._channel)
        await self._call("Handshake", _HANDSHAKE)
        if self._configure:
            await self.configure(self._config)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        await self._opened.aclose()

    def urn(self, token: str, name: str = "it") -> str:
        """A URN of an object of that type."""
        return f"urn:pulumi:test::project::{self.package}:{token}::{name}"

    def _named(self, token: str, name: str) -> dict[str, Any]:
        return {"urn": self.urn(token, name), "type": f"{self.package}:{token}", "name": name}

    async def schema(self) -> dict[str, Any]:
        """The Pulumi schema."""
        return dict(json.loads((await self._call("GetSchema", provider_pb2.GetSchemaRequest())).schema))

    async def cancel(self) -> None:
        """What the engine sends at the first Ctrl-C."""
        await self._call("Cancel", empty_pb2.Empty())

    async def check_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Checked configuration.

        Raises:
            CheckRefused: it cannot be used.
        """
        urn = f"urn:pulumi:test::project::pulumi:providers:{self.package}::default"
        request = provider_pb2.CheckRequest(urn=urn, news=encode_struct(config))
        return _checked(await self._call("CheckConfig", request))

    async def configure(self, config: Mapping[str, Any]) -> None:
        """Connect."""
        await self._call("Configure", provider_pb2.ConfigureRequest(args=encode_struct(config)))

    async def check(
        self,
        token: str,
        inputs: Mapping[str, Any],
        old: Mapping[str, Any] | Made | None = None,
        name: str = "it",
        *,
        seed: bytes = b"",
        proposed_name: str = "",
        naming: str = "PROPOSE",
    ) -> dict[str, Any]:
        """Checked inputs.

        Args:
            token: of the resource type.
            inputs: as a program gives them.
            old: the recorded object, or its inputs; None for a new or a replaced one.
            name: of the resource.
            seed: random bytes that the engine keeps the same from a plan to its update.
            proposed_name: what the configuration `pulumi:autonaming` makes of the name.
            naming: `PROPOSE`, `ENFORCE` or `DISABLE`; only with a proposed name, or to disable.

        Raises:
            CheckRefused: they cannot be used.
        """
        recorded = old.inputs if isinstance(old, Made) else old
        request = provider_pb2.CheckRequest(
            **self._named(token, name),
            news=encode_struct(inputs),
            olds=encode_struct(recorded or {}),
            randomSeed=seed,
        )
        if isinstance(old, Made):
            request.old_outputs.CopyFrom(encode_struct(old.outputs))
        if proposed_name or naming != "PROPOSE":
            mode = provider_pb2.CheckRequest.AutonamingOptions.Mode.Value(naming)
            request.autonaming.CopyFrom(
                provider_pb2.CheckRequest.AutonamingOptions(proposed_name=proposed_name, mode=mode)
            )
        return _checked(await self._call("Check", request))

    async def diff(
        self, token: str, made: Made, inputs: Mapping[str, Any], ignored: Sequence[str] = (), name: str = "it"
    ) -> Compared:
        """How wanted inputs differ from the recorded ones."""
        request = provider_pb2.DiffRequest(
            **self._named(token, name),
            id=made.id,
            olds=encode_struct(made.outputs),
            old_inputs=encode_struct(made.inputs),
            news=encode_struct(inputs),
            ignoreChanges=list(ignored),
        )
        answer = await self._call("Diff", request)
        kinds = {
            path: provider_pb2.PropertyDiff.Kind.Name(item.kind).lower() for path, item in answer.detailedDiff.items()
        }
        changes = provider_pb2.DiffResponse.DiffChanges.Name(answer.changes)
        return Compared(kinds, tuple(answer.replaces), answer.deleteBeforeReplace, changes == "DIFF_SOME")

    async def create(
        self,
        token: str,
        inputs: Mapping[str, Any],
        *,
        preview: bool = False,
        timeout: float = 0,
        name: str = "it",
    ) -> Made:
        """Make an object, or preview it; `timeout` in seconds as in `customTimeouts`, 0 for none given."""
        request = provider_pb2.CreateRequest(
            **self._named(token, name), properties=encode_struct(inputs), preview=preview, timeout=timeout
        )
        answer = await self._call("Create", request, inputs)
        return Made(answer.id, decode_struct(answer.properties), dict(inputs))

    async def read(self, token: str, made: Made | str, name: str = "it", *, timeout: float = 0) -> Made | None:
        """Look at an object; with only its id it is an import. None when it is gone."""
        request = provider_pb2.ReadRequest(**self._named(token, name), timeout=timeout)
        if isinstance(made, Made):
            request.id = made.id
            request.properties.CopyFrom(encode_struct(made.outputs))
            request.inputs.CopyFrom(encode_struct(made.inputs))
        else:
            request.id = made
        answer = await self._call("Read", request)
        if not answer.id:
            return None
        return Made(answer.id, decode_struct(answer.properties), decode_struct(answer.inputs))

    async def update(
        self,
        token: str,
        made: Made,
        inputs: Mapping[str, Any],
        *,
        preview: bool = False,
        timeout: float = 0,
        ignored: Sequence[str] = (),
        name: str = "it",
    ) -> Made:
        """Change an object, or preview that."""
        request = provider_pb2.UpdateRequest(
            **self._named(token, name),
            id=made.id,
            olds=encode_struct(made.outputs),
            old_inputs=encode_struct(made.inputs),
            news=encode_struct(inputs),
            preview=preview,
            timeout=timeout,
            ignoreChanges=list(ignored),
        )
        answer = await self._call("Update", request, inputs)
        return Made(made.id, decode_struct(answer.properties), dict(inputs))

    async def delete(self, token: str, made: Made, name: str = "it", *, timeout: float = 0) -> None:
        """Remove an object."""
        request = provider_pb2.DeleteRequest(
            **self._named(token, name),
            id=made.id,
            properties=encode_struct(made.outputs),
            old_inputs=encode_struct(made.inputs),
            timeout=timeout,
        )
        await self._call("Delete", request)

    async def list(
        self, token: str, query: Mapping[str, Any] | None = None, *, limit: int = 0, page_size: int = 0
    ) -> list[Found]:
        """Objects that can be imported, from as many pages as there are; 0 is without limit."""
        found: list[Found] = []
        more = ""
        while True:
            page = await self.list_page(token, query, limit=limit, page_size=page_size, continuation=more)
            found += page.found
            more = page.more
            if not more:
                return found

    async def list_page(
        self,
        token: str,
        query: Mapping[str, Any] | None = None,
        *,
        limit: int = 0,
        page_size: int = 0,
        continuation: str = "",
    ) -> Page:
        """One page of a list; `continuation` is `Page.more` of the one before."""
        request = provider_pb2.ListRequest(
            token=f"{self.package}:{token}", limit=limit, page_size=page_size, continuation_token=continuation
        )
        if query is not None:
            request.query.CopyFrom(encode_struct(query))
        try:
            answers = [answer async for answer in self.stub.List(request)]
        except grpc.aio.AioRpcError as error:
            raise self._seen("List", _failure(error, None)) from None
        for answer in answers:
            self._seen("List", answer)
        return Page(
            tuple(Found(item.result.id, item.result.name) for item in answers if item.HasField("result")),
            next((item.continuation.continuation_token for item in answers if item.HasField("continuation")), ""),
            any(item.HasField("computed") for item in answers),
        )

    async def invoke(self, token: str, arguments: Mapping[str, Any], *, preview: bool = False) -> dict[str, Any]:
        """Call a data function.

        Raises:
            CheckRefused: the arguments cannot be used.
        """
        request = provider_pb2.InvokeRequest(
            tok=f"{self.package}:{token}", args=encode_struct(arguments), preview=preview
        )
        answer = await self._call("Invoke", request)
        if answer.failures:
            raise CheckRefused({item.property: item.reason for item in answer.failures})
        return decode_struct(getattr(answer, "return"))

    async def _call(self, method: str, request: Any, inputs: Mapping[str, Any] | None = None) -> Any:
        try:
            answer = await getattr(self.stub, method)(request)
        except grpc.aio.AioRpcError as error:
            raise self._seen(method, _failure(error, inputs)) from None
        return self._seen(method, answer)

    def _seen(self, method: str, answer: S) -> S:
        if self._watch is not None:
            self._watch(method, answer)
        return answer


def _checked(answer: Any) -> dict[str, Any]:
    if answer.failures:
        raise CheckRefused({item.property: item.reason for item in answer.failures})
    return decode_struct(answer.inputs)


def _failure(error: Any, inputs: Mapping[str, Any] | None) -> OperationFailed:
    """The failure with what the engine records of it: the inputs that were asked for, or those that a read found."""
    code, message = error.code().name, error.details() or ""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                found = provider_pb2.ErrorResourceInitFailed()
                if detail.Unpack(found):
                    recorded = decode_struct(found.inputs) if inputs is None else dict(inputs)
                    kept = Made(found.id, decode_struct(found.properties), recorded)
                    return OperationFailed(code, message, kept, found.reasons)
    return OperationFailed(code, message)
