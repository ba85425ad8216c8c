"""The gRPC service that Pulumi's engine talks to: each call in a thread, each failure with its code."""

from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf import empty_pb2

from provision.errors import CreatedButUnhealthy, PluginError
from provision.host.aborting import Abort
from provision.host.permission import permission
from provision.host.plugin.configuration import ALLOWED, IDENTITY, bad_configuration, check_config, moved
from provision.host.plugin.diffing import Difference, Kind, compare
from provision.host.plugin.examining import Circumstances
from provision.host.plugin.ignoring import as_they_are
from provision.host.plugin.masking import Masker, secrets_in
from provision.host.plugin.questions import Questions
from provision.host.plugin.responses import (
    autonaming,
    check_response,
    decoded,
    diff_response,
    encoded,
    plan_response,
)
from provision.host.plugin.shapes import record_of
from provision.host.plugin.wire import read_stored
from provision.host.protocol import plugin_pb2, provider_pb2, provider_pb2_grpc
from provision.host.setup import semantic_version
from provision.host.values import encode_struct, plain
from provision.spi.properties import Change

R = TypeVar("R")
Context: TypeAlias = Any  # grpc ships no types


class PluginServicer(Questions, provider_pb2_grpc.ResourceProviderServicer):
    """Serves one provider plugin, behind `guarding.serve`, which makes answers of all failures."""

    # --- life of the process

    async def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: Context
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Meet an engine; a process that several engines use begins anew with each."""
        self.calls.begin_anew()
        await self.attach(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True,
            accept_resources=True,
            accept_outputs=True,
            accepts_byte_string=True,
            supports_autonaming_configuration=True,
        )

    async def Attach(self, request: plugin_pb2.PluginAttach, context: Context) -> empty_pb2.Empty:
        """Use another engine's log."""
        await self.attach(request.address)
        return empty_pb2.Empty()

    async def Cancel(self, request: empty_pb2.Empty, context: Context) -> empty_pb2.Empty:
        """Tell running operations to come to an end; they still answer."""
        self.calls.cancel()
        return empty_pb2.Empty()

    async def GetPluginInfo(self, request: empty_pb2.Empty, context: Context) -> plugin_pb2.PluginInfo:
        """The version of the plugin's distribution."""
        return plugin_pb2.PluginInfo(version=semantic_version(self.provider.version))

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

        return await self._run("GetSchema", self.package, Masker(), make)

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

        return await self._run("check", f"the configuration of {self.package}", mask, work)

    async def DiffConfig(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        """Compare configurations; how a platform is reached replaces nothing, only that it is another one."""
        olds, news = decoded(request.old_inputs), decoded(request.news)
        model = self.provider.Config
        mask = self._masker((olds, record_of(model)), (news, record_of(model)))

        def work() -> provider_pb2.DiffResponse:
            found = compare(model, olds, news, ignored=list(request.ignoreChanges))
            differences = [Difference(item.path, item.kind) for item in found]
            if moved(olds, news):
                differences.append(Difference((IDENTITY,), Kind.UPDATE, Change.REPLACE))
            if plain(olds.get(ALLOWED)) != plain(news.get(ALLOWED)):
                differences.append(Difference((ALLOWED,), Kind.UPDATE))
            return diff_response(differences)

        return await self._run("diff", f"the configuration of {self.package}", mask, work)

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
                raise bad_configuration(self.package, self.provider.Config, failures, mask)
            self._config_secrets += tuple(secrets_in(checked, shape))
            self._session = self.provider.connect(read_stored(self.provider.Config, checked))
            self._connected = True
            if ALLOWED in args:
                self.permission = permission(plain(args[ALLOWED]))
            identity = plain(args.get(IDENTITY))
            for resource in self.resources.values():
                resource.platform_identity = identity if isinstance(identity, str) else ""
            return provider_pb2.ConfigureResponse(
                acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=True
            )

        subject = f"platform '{self.provider.name}'"
        return await self._run("connect", subject, mask, work, running=self._operation("connect", subject, mask))

    # --- resources

    async def Check(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        """Validate inputs, known or not, and fill in defaults."""
        resource = self._resource(request.type, request.urn)
        news, olds = decoded(request.news), decoded(request.olds)
        mask = self._masker((news, resource.inputs), (olds, resource.inputs))

        def work() -> provider_pb2.CheckResponse:
            about = Circumstances(
                seed=request.randomSeed,
                autonaming=autonaming(request),
                operation=running if self._connected else None,  # only what `choose` asks for needs one
                warn=lambda text: self._log.warning(request.urn, mask(text)),
            )
            checked, failures = resource.check(request.urn, news, olds, about)
            return check_response(checked, failures, mask)

        running = (
            self._operation("choose", resource.token, mask, request.urn, kind=resource.kind) if resource.asks else None
        )
        return await self._run("check", resource.token, mask, work, request.urn, running)

    async def Diff(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        """Compare inputs."""
        resource = self._resource(request.type, request.urn)
        unchanged = resource.unchanged(request)
        if unchanged is not None:
            return plan_response(unchanged, resource.delete_first)
        olds = decoded(request.old_inputs if request.HasField("old_inputs") else request.olds)
        news = decoded(request.news)
        outputs = decoded(request.olds)
        mask = self._masker((olds, resource.inputs), (news, resource.inputs), (outputs, resource.outputs))

        def work() -> provider_pb2.DiffResponse:
            plan = resource.plan(request.urn, olds, outputs, news, list(request.ignoreChanges), self.permission)
            if plan.told:
                self._log.note(request.urn, mask(plan.told))
            return plan_response(plan, resource.delete_first)

        return await self._run("diff", resource.token, mask, work, request.urn)

    async def Create(self, request: provider_pb2.CreateRequest, context: Context) -> provider_pb2.CreateResponse:
        """Make an object, or say what it would be."""
        resource = self._resource(request.type, request.urn)
        inputs = decoded(request.properties)
        mask = self._masker((resource.opened(inputs), resource.inputs))

        def work() -> provider_pb2.CreateResponse:
            if request.preview:
                return provider_pb2.CreateResponse(properties=encode_struct(resource.preview_create(inputs)))
            made = resource.create(running, inputs)
            try:
                return provider_pb2.CreateResponse(id=made.id, properties=encoded(made.outputs))
            except PluginError as error:  # the object is there all the same
                raise CreatedButUnhealthy(error.summary, id=made.id, outputs={}) from error

        if request.preview:
            return await self._run("create", resource.token, mask, work, request.urn)
        running = self._operation("create", resource.token, mask, request.urn, request.timeout, resource.kind)
        return await self._run(
            "create", resource.token, mask, work, request.urn, running, lambda e: resource.unhealthy(e, inputs)
        )

    async def Read(self, request: provider_pb2.ReadRequest, context: Context) -> provider_pb2.ReadResponse:
        """Look at an object, to refresh or to import it."""
        resource = self._resource(request.type, request.urn)
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

        running = self._operation("read", resource.token, mask, request.urn, request.timeout, resource.kind)
        return await self._run("read", resource.token, mask, work, request.urn, running)

    async def Update(self, request: provider_pb2.UpdateRequest, context: Context) -> provider_pb2.UpdateResponse:
        """Change an object in place, or say what it would become."""
        resource = self._resource(request.type, request.urn)
        news, outputs = decoded(request.news), decoded(request.olds)
        olds = decoded(request.old_inputs)
        mask = self._masker(
            (resource.opened(news), resource.inputs), (olds, resource.inputs), (outputs, resource.outputs)
        )

        def work() -> provider_pb2.UpdateResponse:
            if request.preview:
                return provider_pb2.UpdateResponse(
                    properties=encode_struct(resource.preview_update(news, olds, outputs))
                )
            wanted, before = as_they_are(
                resource, running, request.id, news, olds, outputs, list(request.ignoreChanges)
            )
            return provider_pb2.UpdateResponse(
                properties=encoded(resource.update(running, request.id, wanted, before, outputs))
            )

        if request.preview:
            return await self._run("update", resource.token, mask, work, request.urn)
        running = self._operation("update", resource.token, mask, request.urn, request.timeout, resource.kind)
        return await self._run("update", resource.token, mask, work, request.urn, running)

    async def Delete(self, request: provider_pb2.DeleteRequest, context: Context) -> empty_pb2.Empty:
        """Remove an object."""
        resource = self._resource(request.type, request.urn)
        outputs = decoded(request.properties)
        inputs = decoded(request.old_inputs) if request.HasField("old_inputs") else None
        mask = self._masker((inputs or {}, resource.inputs), (outputs, resource.outputs))

        def work() -> empty_pb2.Empty:
            resource.forced.refuse_loss(resource.implementation, request.urn, inputs or {}, self.permission)
            resource.delete(running, request.id, inputs, outputs)
            return empty_pb2.Empty()

        running = self._operation("delete", resource.token, mask, request.urn, request.timeout, resource.kind)
        return await self._run("delete", resource.token, mask, work, request.urn, running)

    # --- what a provider of resources does not do

    async def Call(self, request: provider_pb2.CallRequest, context: Context) -> provider_pb2.CallResponse:
        """There are no methods."""
        raise self._not_offered("method", request.tok)

    async def Construct(
        self, request: provider_pb2.ConstructRequest, context: Context
    ) -> provider_pb2.ConstructResponse:
        """There are no components."""
        raise self._not_offered("component", request.type)

    async def Parameterize(
        self, request: provider_pb2.ParameterizeRequest, context: Context
    ) -> provider_pb2.ParameterizeResponse:
        """There are no parameters."""
        raise Abort(
            grpc.StatusCode.UNIMPLEMENTED,
            f"{self.package} takes no parameters\n  fix: use `pulumi config set {self.package}:KEY VALUE`",
        )
