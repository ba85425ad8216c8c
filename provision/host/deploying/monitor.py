"""The engine as this host sees it: resources are registered with it, and messages told to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import struct_pb2

from provision.diagnostics import Severity
from provision.host.deploying.wire import wire_name
from provision.host.protocol import (
    CHANNEL_OPTIONS,
    alias_pb2,
    engine_pb2,
    engine_pb2_grpc,
    resource_pb2,
    resource_pb2_grpc,
)
from provision.host.values import UNKNOWN, UNKNOWN_STRING, decode_struct, encode_struct
from provision.spi import Unknown

_STOPPED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
_NO_DEPENDENCIES: Mapping[str, Sequence[str]] = {}
_NO_TIMEOUTS: Mapping[str, str] = {}


class EngineStopped(Exception):
    """The engine takes no more resources: one failed or the run was cancelled, and the person has been told."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A resource as the engine knows it after registration.

    Attributes:
        urn: Pulumi's name.
        id: identity on the platform, unknown in the preview of a creation.
        outputs: by wire name.
        unknown: whether an output that is not here is unknown rather than absent.
        failed: whether it could not be made, or was skipped because something before it failed.
    """

    urn: str
    id: str | Unknown = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    unknown: bool = False
    failed: bool = False

    @property
    def reference(self) -> str:
        """How resources name this one as their provider."""
        return f"{self.urn}::{self.id if isinstance(self.id, str) and self.id else UNKNOWN_STRING}"

    def output(self, name: str) -> Any:
        """An output by its Python name."""
        if name == "id":
            return self.id
        return self.outputs.get(wire_name(name), UNKNOWN if self.unknown else None)


@dataclass(frozen=True, slots=True)
class Options:
    """How a resource is registered.

    Attributes:
        custom: whether a plugin makes it; False for components.
        parent: URN of its parent.
        provider: reference of the provider resource.
        used_by: URNs that each input comes from, by wire name.
        depends_on: further URNs that must exist first.
        ignore_changes: inputs whose changes are none.
        delete_first: whether a replacement deletes the old object first; None leaves it to the engine.
        keep: whether the native object outlives the resource.
        protect: whether deleting it is refused.
        aliases: former names.
        alias_specs: former names as the protocol has them.
        deleted_with: URN of a resource whose deletion takes this one along.
        timeouts: how long operations may take, in Pulumi's notation, by `create`, `update`, `delete`, `read`.
        secret_outputs: outputs to be kept secret beside those that are by themselves.
    """

    custom: bool = True
    parent: str = ""
    provider: str = ""
    used_by: Mapping[str, Sequence[str]] = field(default_factory=lambda: _NO_DEPENDENCIES)
    depends_on: Sequence[str] = ()
    ignore_changes: Sequence[str] = ()
    delete_first: bool | None = None
    keep: bool = False
    protect: bool = False
    aliases: Sequence[str] = ()
    alias_specs: Sequence[Any] = ()
    deleted_with: str = ""
    timeouts: Mapping[str, str] = field(default_factory=lambda: _NO_TIMEOUTS)
    secret_outputs: Sequence[str] = ()


class Monitor:
    """Connections to the engine of one run."""

    def __init__(self, monitor_address: str, engine_address: str, *, preview: bool) -> None:
        """Connect; must be called inside the event loop."""
        self.preview = preview
        self._channels = [
            grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
            for address in dict.fromkeys((monitor_address, engine_address))
        ]
        self._monitor = resource_pb2_grpc.ResourceMonitorStub(self._channels[0])
        self._engine: Any = engine_pb2_grpc.EngineStub(self._channels[-1])  # typed for synchronous channels
        self._components: dict[str, struct_pb2.Struct] = {}

    async def close(self) -> None:
        """Disconnect."""
        for channel in self._channels:
            await channel.close()

    async def log(self, severity: Severity, message: str, urn: str = "") -> None:
        """Tell the person at the terminal."""
        level = {
            Severity.ERROR: engine_pb2.ERROR,
            Severity.WARNING: engine_pb2.WARNING,
            Severity.NOTE: engine_pb2.INFO,
        }[severity]
        try:
            await self._engine.Log(engine_pb2.LogRequest(severity=level, message=message, urn=urn))
        except grpc.aio.AioRpcError as error:
            raise EngineStopped from error

    async def register(self, kind: str, name: str, inputs: Mapping[str, Any], options: Options) -> Registered:
        """Register a resource and wait until it is made, or planned in a preview.

        Raises:
            EngineStopped: the engine takes no more.
        """
        request = resource_pb2.RegisterResourceRequest(
            type=kind,
            name=name,
            parent=options.parent,
            custom=options.custom,
            provider=options.provider,
            object=encode_struct(inputs),
            dependencies=sorted({*options.depends_on, *(urn for urns in options.used_by.values() for urn in urns)}),
            propertyDependencies={
                key: resource_pb2.RegisterResourceRequest.PropertyDependencies(urns=list(urns))
                for key, urns in options.used_by.items()
            },
            ignoreChanges=options.ignore_changes,
            aliases=[
                *(alias_pb2.Alias(spec=alias_pb2.Alias.Spec(name=former)) for former in options.aliases),
                *options.alias_specs,
            ],
            deletedWith=options.deleted_with,
            additionalSecretOutputs=options.secret_outputs,
            aliasSpecs=True,
            acceptSecrets=True,
            acceptResources=True,
            supportsPartialValues=True,
            supportsResultReporting=True,
        )
        if options.delete_first is not None:
            request.deleteBeforeReplace = options.delete_first
            request.deleteBeforeReplaceDefined = True
        if options.keep:
            request.retainOnDelete = True
        if options.protect:
            request.protect = True
        if options.timeouts:
            request.customTimeouts.CopyFrom(
                resource_pb2.RegisterResourceRequest.CustomTimeouts(**dict(options.timeouts))
            )
        answer = await self._call(self._monitor.RegisterResource, request)
        return Registered(
            urn=answer.urn,
            id=answer.id or (UNKNOWN if options.custom and (self.preview or answer.unknown) else ""),
            outputs=decode_struct(answer.object),
            unknown=self.preview or answer.unknown,
            failed=answer.result != resource_pb2.SUCCESS,
        )

    async def finish(self, urn: str, outputs: Mapping[str, Any]) -> None:
        """Record the outputs of a component or of the stack.

        A preview leaves them out where they are what the state has: the engine keeps that for a component of which it
        is told nothing, and nothing is recorded anyway.

        Raises:
            EngineStopped: the engine takes no more.
        """
        request = resource_pb2.RegisterResourceOutputsRequest(urn=urn, outputs=encode_struct(outputs))
        if self.preview and urn in self._components and self._components[urn] == request.outputs:
            return
        await self._call(self._monitor.RegisterResourceOutputs, request)

    async def inputs_of(self, urn: str) -> Mapping[str, Any]:
        """What a provider resource of this run was configured with; empty when it is not there yet.

        Raises:
            EngineStopped: the engine takes no more.
        """
        request = resource_pb2.ResourceInvokeRequest(
            tok="pulumi:pulumi:getResource", args=encode_struct({"urn": urn}), acceptResources=True
        )
        answer = await self._call(self._monitor.Invoke, request)
        state = decode_struct(getattr(answer, "return"), keep_outputs=False).get("state")
        return state if isinstance(state, dict) else {}

    async def stack_outputs(self, stack: str, parent: str, prefix: str = "") -> Mapping[str, Any]:
        """The outputs of another stack; `prefix` goes before the name of the reference to it.

        Raises:
            EngineStopped: it cannot be read, or the engine takes no more.
        """
        request = resource_pb2.ReadResourceRequest(
            type="pulumi:pulumi:StackReference",
            name=f"{prefix}{stack}",
            id=stack,
            parent=parent,
            properties=encode_struct({"name": stack}),
            acceptSecrets=True,
            acceptResources=True,
        )
        answer = await self._call(self._monitor.ReadResource, request)
        found = decode_struct(answer.properties).get("outputs")
        return found if isinstance(found, dict) else {}

    async def recorded(self, stack: str) -> Mapping[str, Mapping[str, Any]]:
        """What our plugins have recorded for this host in the state of a stack, by URN of each resource.

        That is what is called `__…`, and the addresses that interfaces have (`assigned`).

        Args:
            stack: its full name: organization, project and stack.

        Raises:
            EngineStopped: it cannot be read, or the engine takes no more.
        """
        request = resource_pb2.ResourceInvokeRequest(
            tok="pulumi:pulumi:readStackResourceOutputs",
            args=encode_struct({"stackName": stack}),
            acceptResources=True,
        )
        answer = await self._call(self._monitor.Invoke, request)
        # A large stack has many outputs: only those that are wanted are read.
        found = getattr(answer, "return").fields["outputs"].struct_value.fields
        outputs = {urn: item.struct_value.fields["outputs"].struct_value for urn, item in found.items()}
        self._components |= {urn: values for urn, values in outputs.items() if _is_component(urn)}
        return {urn: _own(values) for urn, values in outputs.items()}

    async def _call(self, method: Any, request: Any) -> Any:
        try:
            return await method(request)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _STOPPED:
                await self.log(Severity.ERROR, error.details() or str(error.code()))
            raise EngineStopped from error


def _is_component(urn: str) -> bool:
    return urn.split("::", 3)[2].rpartition("$")[2].startswith("provision:")


def _own(outputs: struct_pb2.Struct) -> dict[str, Any]:
    wanted = {key: value for key, value in outputs.fields.items() if key.startswith("__") or key == "assigned"}
    return decode_struct(struct_pb2.Struct(fields=wanted))
