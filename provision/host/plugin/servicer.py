"""The gRPC service that Pulumi's engine talks to: each call in a thread, each failure with its code."""

import asyncio
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from typing import Any, NoReturn, TypeAlias, TypeVar

import grpc
from google.protobuf import empty_pb2

from provision.host.plugin.checking import Failure
from provision.host.plugin.configuration import check_config
from provision.host.plugin.diffing import Difference, compare
from provision.host.plugin.engine_log import EngineLog, Log, Silent
from provision.host.plugin.failures import Abort, abort_for
from provision.host.plugin.masking import Masker, secrets_in
from provision.host.plugin.resources import Resource, Unhealthy
from provision.host.plugin.responses import (
    check_response,
    decoded,
    diff_response,
    encoded,
    init_failed,
)
from provision.host.plugin.running import operation
from provision.host.plugin.shapes import Shape, record_of
from provision.host.plugin.wire import read_stored
from provision.host.protocol import plugin_pb2, provider_pb2, provider_pb2_grpc
from provision.host.setup import semantic_version
from provision.host.values import encode_struct
from provision.spi.provider import Provider
from provision.spi.resource import Operation, ResourceType

THREADS = 64
R = TypeVar("R")
Context: TypeAlias = Any  # grpc ships no types


class PluginServicer(provider_pb2_grpc.ResourceProviderServicer):
    """Serves one provider plugin."""

    def __init__(
        self,
        provider: Provider[Any, Any],
        framework_types: Sequence[type[ResourceType[Any, Any, Any]]] = (),
        log: Log | None = None,
    ) -> None:
        """Serve `provider`, and beside its own types those of the framework."""
        self.provider = provider
        self.package = f"provision-{provider.name}"
        self.resources = {
            kind.token: Resource(kind, provider.name) for kind in (*provider.resource_types, *framework_types)
        }
        self.cancelled = threading.Event()
        self._log: Log = log or Silent()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="plugin")
        self._session: Any = None
        self._connected = False
        self._config_secrets: tuple[str, ...] = ()

    # --- life of the process

    async def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: Context
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Meet an engine; a process that several engines use begins anew with each."""
        self.cancelled.clear()
        await self.attach(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=True, accept_outputs=True, accepts_byte_string=True
        )

    async def Attach(self, request: plugin_pb2.PluginAttach, context: Context) -> empty_pb2.Empty:
        """Use another engine's log."""
        await self.attach(request.address)
        return empty_pb2.Empty()

    async def attach(self, address: str) -> None:
        """Send texts to the engine at `address` from now on."""
        former = self._log
        if address:
            self._log = EngineLog(address)
            if isinstance(former, EngineLog):
                await former.close()

    async def Cancel(self, request: empty_pb2.Empty, context: Context) -> empty_pb2.Empty:
        """Tell running operations to come to an end; they still answer."""
        self.cancelled.set()
        return empty_pb2.Empty()

    async def GetPluginInfo(self, request: empty_pb2.Empty, context: Context) -> plugin_pb2.PluginInfo:
        """The version of the plugin's distribution."""
        return plugin_pb2.PluginInfo(version=semantic_version(self.provider.version))

    async def close(self) -> None:
        """Let go of the platform and the engine."""
        self.cancelled.set()
        if self._connected:
            self._connected = False
            disconnect = asyncio.get_running_loop().run_in_executor(None, self.provider.disconnect, self._session)
            await asyncio.wait([disconnect], timeout=2)
        if isinstance(self._log, EngineLog):
            await self._log.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    # --- schema and configuration

    async def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: Context
    ) -> provider_pb2.GetSchemaResponse:
        """The Pulumi schema, from the models."""

        def make() -> provider_pb2.GetSchemaResponse:
            from provision.host.plugin.schema import schema_json  # only ever needed here

            return provider_pb2.GetSchemaResponse(
                schema=schema_json(self.provider, [resource.kind for resource in self.resources.values()])
            )

        return await self._run(context, "GetSchema", self.package, Masker(), make)

    async def GetMapping(
        self, request: provider_pb2.GetMappingRequest, context: Context
    ) -> provider_pb2.GetMappingResponse:
        """No mapping from any other ecosystem."""
        return provider_pb2.GetMappingResponse()

    async def GetMappings(
        self, request: provider_pb2.GetMappingsRequest, context: Context
    ) -> provider_pb2.GetMappingsResponse:
        """No mapping from any other ecosystem."""
        return provider_pb2.GetMappingsResponse()

    async def CheckConfig(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        """Validate the configuration and fill in defaults."""
        news = decoded(request.news)
        mask = self._masker((news, record_of(self.provider.Config)))

        def work() -> provider_pb2.CheckResponse:
            checked, failures = check_config(self.provider.Config, news)
            return check_response(checked, failures, mask)

        return await self._run(context, "check", f"the configuration of {self.package}", mask, work)

    async def DiffConfig(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        """Compare configurations; how a platform is reached replaces nothing."""
        olds, news = decoded(request.old_inputs), decoded(request.news)
        model = self.provider.Config
        mask = self._masker((olds, record_of(model)), (news, record_of(model)))

        def work() -> provider_pb2.DiffResponse:
            found = compare(model, olds, news, ignored=list(request.ignoreChanges))
            return diff_response([Difference(item.path, item.kind, False) for item in found])

        return await self._run(context, "diff", f"the configuration of {self.package}", mask, work)

    async def Configure(
        self, request: provider_pb2.ConfigureRequest, context: Context
    ) -> provider_pb2.ConfigureResponse:
        """Connect to the platform."""
        args = decoded(request.args)
        shape = record_of(self.provider.Config)
        self._config_secrets = tuple(secrets_in(args, shape))
        mask = self._masker()

        def work() -> provider_pb2.ConfigureResponse:
            checked, failures = check_config(self.provider.Config, args)
            if failures:
                raise self._bad_config(failures, mask)
            self._config_secrets += tuple(secrets_in(checked, shape))
            self._session = self.provider.connect(read_stored(self.provider.Config, checked))
            self._connected = True
            return provider_pb2.ConfigureResponse(
                acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=True
            )

        return await self._run(context, "connect", f"platform '{self.provider.name}'", mask, work)

    def _bad_config(self, failures: Sequence[Failure], mask: Masker) -> Abort:
        missing = [item for item in failures if item.reason == "is required" and len(item.path) == 1]
        detail = None
        if len(missing) == len(failures):
            fields = record_of(self.provider.Config).fields
            detail = provider_pb2.ConfigureErrorMissingKeys(
                missingKeys=[
                    provider_pb2.ConfigureErrorMissingKeys.MissingKey(
                        name=f"{self.package}:{item.path[0]}",
                        description=fields[str(item.path[0])].info.description or "",
                    )
                    for item in missing
                ]
            )
        reasons = "; ".join(f"{self.package}:{item.property} {mask(item.reason)}" for item in failures)
        return Abort(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"the configuration cannot be used: {reasons}\n  fix: pulumi config set {self.package}:KEY VALUE",
            detail,
        )

    # --- resources

    async def Check(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        """Validate inputs, known or not, and fill in defaults."""
        resource = await self._resource(request.type, request.urn, context)
        news, olds = decoded(request.news), decoded(request.olds)
        mask = self._masker((news, resource.inputs), (olds, resource.inputs))

        def work() -> provider_pb2.CheckResponse:
            checked, failures = resource.check(request.urn, news, olds)
            return check_response(checked, failures, mask)

        return await self._run(context, "check", resource.token, mask, work, request.urn)

    async def Diff(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        """Compare inputs."""
        resource = await self._resource(request.type, request.urn, context)
        olds = decoded(request.old_inputs if request.HasField("old_inputs") else request.olds)
        news = decoded(request.news)
        mask = self._masker((olds, resource.inputs), (news, resource.inputs))

        def work() -> provider_pb2.DiffResponse:
            found = resource.diff(olds, news, list(request.ignoreChanges))
            return diff_response(found, resource.delete_first)

        return await self._run(context, "diff", resource.token, mask, work, request.urn)

    async def Create(self, request: provider_pb2.CreateRequest, context: Context) -> provider_pb2.CreateResponse:
        """Make an object, or say what it would be."""
        resource = await self._resource(request.type, request.urn, context)
        inputs = decoded(request.properties)
        mask = self._masker((inputs, resource.inputs))

        def work() -> provider_pb2.CreateResponse:
            if request.preview:
                return provider_pb2.CreateResponse(properties=encode_struct(resource.preview_create(inputs)))
            made = resource.create(running, inputs)
            return provider_pb2.CreateResponse(id=made.id, properties=encoded(made.outputs))

        running = self._operation(request.urn, request.timeout, mask)
        return await self._run(context, "create", resource.token, mask, work, request.urn, running)

    async def Read(self, request: provider_pb2.ReadRequest, context: Context) -> provider_pb2.ReadResponse:
        """Look at an object, to refresh or to import it."""
        resource = await self._resource(request.type, request.urn, context)
        outputs = decoded(request.properties)
        inputs = decoded(request.inputs) if request.HasField("inputs") and request.inputs.fields else None
        mask = self._masker((inputs or {}, resource.inputs), (outputs, resource.outputs))

        def work() -> provider_pb2.ReadResponse:
            found = resource.read(running, request.id, inputs, outputs)
            if found is None:
                return provider_pb2.ReadResponse()
            return provider_pb2.ReadResponse(
                id=found.id, properties=encoded(found.outputs), inputs=encoded(found.inputs or {})
            )

        running = self._operation(request.urn, request.timeout, mask)
        return await self._run(context, "read", resource.token, mask, work, request.urn, running)

    async def Update(self, request: provider_pb2.UpdateRequest, context: Context) -> provider_pb2.UpdateResponse:
        """Change an object in place, or say what it would become."""
        resource = await self._resource(request.type, request.urn, context)
        news, outputs = decoded(request.news), decoded(request.olds)
        olds = decoded(request.old_inputs)
        mask = self._masker((news, resource.inputs), (olds, resource.inputs), (outputs, resource.outputs))

        def work() -> provider_pb2.UpdateResponse:
            if request.preview:
                return provider_pb2.UpdateResponse(
                    properties=encode_struct(resource.preview_update(news, olds, outputs))
                )
            return provider_pb2.UpdateResponse(
                properties=encoded(resource.update(running, request.id, news, olds, outputs))
            )

        running = self._operation(request.urn, request.timeout, mask)
        return await self._run(context, "update", resource.token, mask, work, request.urn, running)

    async def Delete(self, request: provider_pb2.DeleteRequest, context: Context) -> empty_pb2.Empty:
        """Remove an object."""
        resource = await self._resource(request.type, request.urn, context)
        outputs = decoded(request.properties)
        inputs = decoded(request.old_inputs) if request.HasField("old_inputs") else None
        mask = self._masker((inputs or {}, resource.inputs), (outputs, resource.outputs))

        def work() -> empty_pb2.Empty:
            resource.delete(running, request.id, inputs, outputs)
            return empty_pb2.Empty()

        running = self._operation(request.urn, request.timeout, mask)
        return await self._run(context, "delete", resource.token, mask, work, request.urn, running)

    # --- what a provider of resources does not do

    async def Invoke(self, request: provider_pb2.InvokeRequest, context: Context) -> provider_pb2.InvokeResponse:
        """There are no functions."""
        await self._not_offered(context, "function", request.tok)

    async def Call(self, request: provider_pb2.CallRequest, context: Context) -> provider_pb2.CallResponse:
        """There are no methods."""
        await self._not_offered(context, "method", request.tok)

    async def Construct(
        self, request: provider_pb2.ConstructRequest, context: Context
    ) -> provider_pb2.ConstructResponse:
        """There are no components."""
        await self._not_offered(context, "component", request.type)

    async def _not_offered(self, context: Context, what: str, token: str) -> NoReturn:
        await context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            f"{self.package} has no {what} '{token}': it offers resources only ({', '.join(self.resources)})",
        )
        raise AssertionError("abort does not return")

    # --- shared by all calls

    async def _resource(self, kind: str, urn: str, context: Context) -> Resource:
        full = kind or urn.split("::")[2].split("$")[-1]
        token = full.removeprefix(f"{self.package}:")
        if token not in self.resources:
            close = get_close_matches(token, self.resources, 1)
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"{self.package} has no resource type '{token}'\n  fix: "
                + (f"did you mean '{close[0]}'?" if close else f"it has {', '.join(self.resources)}"),
            )
        return self.resources[token]

    def _masker(self, *values: tuple[Mapping[str, Any], Shape]) -> Masker:
        return Masker((*self._config_secrets, *(text for value, shape in values for text in secrets_in(value, shape))))

    def _operation(self, urn: str, timeout: float, mask: Masker) -> Operation:
        return operation(urn, self._session, timeout, self.cancelled, self._log, mask)

    async def _run(
        self,
        context: Context,
        action: str,
        subject: str,
        mask: Masker,
        work: Callable[[], R],
        urn: str = "",
        running: Operation | None = None,
    ) -> R:
        """Do the work in a thread and turn whatever goes wrong into a status."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except Unhealthy as error:
            abort = init_failed(error, mask)
        except Exception as error:
            late = running is not None and running.deadline is not None and time.monotonic() >= running.deadline
            abort = abort_for(error, plugin=self.provider.name, subject=subject, operation=action, mask=mask, late=late)
            self._log.debug(urn, mask("".join(traceback.format_exception(error))))
        await context.abort(abort.code, abort.message, abort.trailing_metadata)
        raise AssertionError("abort does not return")
