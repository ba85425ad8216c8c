"""Runs resource types through the real plugin host, in this process and without the engine.

::

    async with Lifecycle(MemoryProvider) as platform:
        inputs = await platform.check("compute:Server", {"name": "web", …})
        server = await platform.create("compute:Server", inputs)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
import grpc.aio

from provision.host.plugin.process import framework_types
from provision.host.plugin.servicer import PluginServicer
from provision.host.protocol import CHANNEL_OPTIONS, provider_pb2, provider_pb2_grpc, status_pb2
from provision.host.values import decode_struct, encode_struct
from provision.spi import Provider, registry

# A failed start travels in the trailer with all its outputs; Python's client accepts eight KiB unless told otherwise.
_OPTIONS = (*CHANNEL_OPTIONS, ("grpc.max_metadata_size", 16 << 20), ("grpc.absolute_max_metadata_size", 16 << 20))


class CheckRefused(Exception):
    """Inputs that cannot be used: reasons by property path as Pulumi writes it."""

    def __init__(self, failures: Mapping[str, str]) -> None:
        """Carry the reasons."""
        super().__init__("; ".join(f"{path}: {reason}" for path, reason in failures.items()))
        self.failures = dict(failures)


class OperationFailed(Exception):
    """A call that ended with a failure.

    Attributes:
        code: gRPC's name of the code, such as `ALREADY_EXISTS`.
        message: what the person sees.
        kept: the object that was recorded although the call failed.
        reasons: why it is not healthy.
    """

    def __init__(self, code: str, message: str, kept: "Made | None" = None, reasons: Sequence[str] = ()) -> None:
        """Carry what the engine would see."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.kept = kept
        self.reasons = tuple(reasons)


@dataclass(frozen=True)
class Made:
    """An object as the engine would record it, by wire names and with secrets wrapped."""

    id: str
    outputs: dict[str, Any]
    inputs: dict[str, Any]


@dataclass(frozen=True)
class Compared:
    """What a diff says: `detailed` holds the kind (`update`, `add_replace`, …) by property path."""

    detailed: dict[str, str]
    replaces: tuple[str, ...]
    delete_before_replace: bool


class Lifecycle:
    """One provider plugin, served over a real channel."""

    def __init__(
        self, provider: type[Provider[Any, Any]], config: Mapping[str, Any] | None = None, *, configure: bool = True
    ) -> None:
        """Serve `provider` with `config` (wire names); without `configure` it is left unconnected."""
        self._provider = registry.check(provider.name, provider)
        self._config = dict(config or {})
        self._configure = configure
        self.package = f"provision-{provider.name}"

    async def __aenter__(self) -> "Lifecycle":
        """Start serving and connect."""
        self.servicer = PluginServicer(self._provider, framework_types())
        self._server = grpc.aio.server(options=_OPTIONS)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(self.servicer, self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS)
        self.stub: Any = provider_pb2_grpc.ResourceProviderStub(self._channel)
        if self._configure:
            await self.configure(self._config)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        await self._channel.close()
        await self._server.stop(1)
        await self.servicer.close()

    def urn(self, token: str, name: str = "it") -> str:
        """A URN of an object of that type."""
        return f"urn:pulumi:test::project::{self.package}:{token}::{name}"

    async def check_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Checked configuration.

        Raises:
            CheckRefused: it cannot be used.
        """
        urn = f"urn:pulumi:test::project::pulumi:providers:{self.package}::default"
        request = provider_pb2.CheckRequest(urn=urn, news=encode_struct(config))
        return _checked(await self._call(self.stub.CheckConfig, request))

    async def configure(self, config: Mapping[str, Any]) -> None:
        """Connect."""
        await self._call(self.stub.Configure, provider_pb2.ConfigureRequest(args=encode_struct(config)))

    async def check(
        self, token: str, inputs: Mapping[str, Any], old: Mapping[str, Any] | None = None, name: str = "it"
    ) -> dict[str, Any]:
        """Checked inputs.

        Raises:
            CheckRefused: they cannot be used.
        """
        request = provider_pb2.CheckRequest(
            urn=self.urn(token, name),
            type=f"{self.package}:{token}",
            news=encode_struct(inputs),
            olds=encode_struct(old or {}),
        )
        return _checked(await self._call(self.stub.Check, request))

    async def diff(self, token: str, made: Made, inputs: Mapping[str, Any], ignored: Sequence[str] = ()) -> Compared:
        """How wanted inputs differ from the recorded ones."""
        request = provider_pb2.DiffRequest(
            id=made.id,
            urn=self.urn(token),
            type=f"{self.package}:{token}",
            olds=encode_struct(made.outputs),
            old_inputs=encode_struct(made.inputs),
            news=encode_struct(inputs),
            ignoreChanges=list(ignored),
        )
        answer = await self._call(self.stub.Diff, request)
        kinds = {
            path: provider_pb2.PropertyDiff.Kind.Name(item.kind).lower() for path, item in answer.detailedDiff.items()
        }
        return Compared(kinds, tuple(answer.replaces), answer.deleteBeforeReplace)

    async def create(
        self,
        token: str,
        inputs: Mapping[str, Any],
        *,
        preview: bool = False,
        timeout: float = 0,
        name: str = "it",
    ) -> Made:
        """Make an object, or preview it."""
        request = provider_pb2.CreateRequest(
            urn=self.urn(token, name),
            type=f"{self.package}:{token}",
            properties=encode_struct(inputs),
            preview=preview,
            timeout=timeout,
        )
        answer = await self._call(self.stub.Create, request, inputs)
        return Made(answer.id, decode_struct(answer.properties), dict(inputs))

    async def read(self, token: str, made: Made | str, name: str = "it") -> Made | None:
        """Look at an object; with only its id it is an import. None when it is gone."""
        request = provider_pb2.ReadRequest(urn=self.urn(token, name), type=f"{self.package}:{token}")
        if isinstance(made, Made):
            request.id = made.id
            request.properties.CopyFrom(encode_struct(made.outputs))
            request.inputs.CopyFrom(encode_struct(made.inputs))
        else:
            request.id = made
        answer = await self._call(self.stub.Read, request)
        if not answer.id:
            return None
        return Made(answer.id, decode_struct(answer.properties), decode_struct(answer.inputs))

    async def update(
        self, token: str, made: Made, inputs: Mapping[str, Any], *, preview: bool = False, name: str = "it"
    ) -> Made:
        """Change an object, or preview that."""
        request = provider_pb2.UpdateRequest(
            id=made.id,
            urn=self.urn(token, name),
            type=f"{self.package}:{token}",
            olds=encode_struct(made.outputs),
            old_inputs=encode_struct(made.inputs),
            news=encode_struct(inputs),
            preview=preview,
        )
        answer = await self._call(self.stub.Update, request, inputs)
        return Made(made.id, decode_struct(answer.properties), dict(inputs))

    async def delete(self, token: str, made: Made, name: str = "it") -> None:
        """Remove an object."""
        request = provider_pb2.DeleteRequest(
            id=made.id,
            urn=self.urn(token, name),
            type=f"{self.package}:{token}",
            properties=encode_struct(made.outputs),
            old_inputs=encode_struct(made.inputs),
        )
        await self._call(self.stub.Delete, request)

    async def _call(self, method: Any, request: Any, inputs: Mapping[str, Any] | None = None) -> Any:
        try:
            return await method(request)
        except grpc.aio.AioRpcError as error:
            raise _failure(error, dict(inputs or {})) from None


def _checked(answer: Any) -> dict[str, Any]:
    if answer.failures:
        raise CheckRefused({item.property: item.reason for item in answer.failures})
    return decode_struct(answer.inputs)


def _failure(error: Any, inputs: dict[str, Any]) -> OperationFailed:
    code, message = error.code().name, error.details() or ""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                found = provider_pb2.ErrorResourceInitFailed()
                if detail.Unpack(found):
                    kept = Made(found.id, decode_struct(found.properties), inputs)
                    return OperationFailed(code, message, kept, found.reasons)
    return OperationFailed(code, message)
