"""The gRPC service of the package: a schema, and one component to construct."""

import asyncio
import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf import empty_pb2

from provision.host.aborting import Abort
from provision.host.component.schema import INPUTS, PACKAGE, STACK, schema
from provision.host.protocol import plugin_pb2, provider_pb2, provider_pb2_grpc
from provision.host.setup import semantic_version

Context: TypeAlias = Any  # grpc ships no types
R = TypeVar("R")


class ComponentServicer(provider_pb2_grpc.ResourceProviderServicer):
    """Serves the package `provision`, behind `guarding.serve`, which makes answers of all failures.

    What a method needs is imported by it, so that the process starts quickly.

    Attributes:
        cancelled: whether the engine is done with this process.
    """

    def __init__(self, engine: str) -> None:
        """Serve the engine at `engine`, unless the handshake names another one."""
        self.cancelled = False
        self._engine = engine

    async def Handshake(self, request: provider_pb2.ProviderHandshakeRequest, context: Context) -> Any:
        """Meet an engine; a process that several engines use begins anew with each."""
        self.cancelled = False
        self._engine = request.engine_address or self._engine
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=True, accept_outputs=True, accepts_byte_string=True
        )

    async def Attach(self, request: plugin_pb2.PluginAttach, context: Context) -> empty_pb2.Empty:
        """Serve another engine from now on."""
        self._engine = request.address
        return empty_pb2.Empty()

    async def Cancel(self, request: empty_pb2.Empty, context: Context) -> empty_pb2.Empty:
        """The end is near; what is under way ends as the engine stops taking resources."""
        self.cancelled = True
        return empty_pb2.Empty()

    async def GetPluginInfo(self, request: empty_pb2.Empty, context: Context) -> plugin_pb2.PluginInfo:
        """The version of this package."""
        return plugin_pb2.PluginInfo(version=own_version())

    async def GetSchema(self, request: provider_pb2.GetSchemaRequest, context: Context) -> Any:
        """The Pulumi schema."""
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema(own_version())))

    async def GetMapping(self, request: provider_pb2.GetMappingRequest, context: Context) -> Any:
        """No mapping from any other ecosystem."""
        return provider_pb2.GetMappingResponse()

    async def GetMappings(self, request: provider_pb2.GetMappingsRequest, context: Context) -> Any:
        """No mapping from any other ecosystem."""
        return provider_pb2.GetMappingsResponse()

    async def CheckConfig(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        """The package has no configuration of its own: each component gets that of the whole program."""
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        """Configuration replaces nothing."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Configure(self, request: provider_pb2.ConfigureRequest, context: Context) -> Any:
        """Say what kinds of values are understood."""
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=True
        )

    async def Construct(
        self, request: provider_pb2.ConstructRequest, context: Context
    ) -> provider_pb2.ConstructResponse:
        """Make, or preview, a stack file as a component."""
        if request.type != STACK:
            raise _not_offered("component", request.type)
        from provision.host.component.construct import construct  # late: the schema can be had without all of it

        try:
            return await construct(request, self._engine)
        except asyncio.CancelledError:
            await context.abort(grpc.StatusCode.CANCELLED, "the engine has ended the run")
            raise

    async def Check(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        """Recall what is not known."""
        from provision.host.component.remembering import check

        return check(_own(request))

    async def Diff(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        """Compare what is remembered."""
        from provision.host.component.remembering import diff

        return diff(_own(request))

    async def Create(self, request: provider_pb2.CreateRequest, context: Context) -> provider_pb2.CreateResponse:
        """Begin to remember."""
        from provision.host.component.remembering import create

        return create(_own(request))

    async def Update(self, request: provider_pb2.UpdateRequest, context: Context) -> provider_pb2.UpdateResponse:
        """Remember something else."""
        from provision.host.component.remembering import update

        return update(_own(request))

    async def Read(self, request: provider_pb2.ReadRequest, context: Context) -> provider_pb2.ReadResponse:
        """State says what is remembered."""
        from provision.host.component.remembering import read

        return read(_own(request))

    async def Delete(self, request: provider_pb2.DeleteRequest, context: Context) -> empty_pb2.Empty:
        """Forget."""
        _own(request)
        return empty_pb2.Empty()

    async def Invoke(self, request: provider_pb2.InvokeRequest, context: Context) -> provider_pb2.InvokeResponse:
        """There are no functions."""
        raise _not_offered("function", request.tok)

    async def Call(self, request: provider_pb2.CallRequest, context: Context) -> provider_pb2.CallResponse:
        """There are no methods."""
        raise _not_offered("method", request.tok)


def _own(request: R) -> R:
    """The request, which must be about the one resource that there is."""
    asked: Any = request
    token = asked.type or asked.urn.split("::")[2].split("$")[-1]
    if token != INPUTS:
        raise _not_offered("resource", token)
    return request


def _not_offered(what: str, token: str) -> Abort:
    offered = f"it offers the component {STACK} alone"
    return Abort(grpc.StatusCode.UNIMPLEMENTED, f"{PACKAGE} has no {what} '{token}': {offered}")


def own_version() -> str:
    """The version of this package as Pulumi wants it."""
    try:
        return semantic_version(version("provision"))
    except PackageNotFoundError:
        return "0.0.0"
