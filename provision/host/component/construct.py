"""Constructing `provision:index:Stack`: inputs are read, the stack is agreed to and registered, its outputs given."""

import asyncio
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc

from provision.diagnostics import Severity, format_path
from provision.host.component.failing import refused
from provision.host.component.inputs import Asked, read_inputs, spread, without_outputs
from provision.host.component.names import component_urn, native_stack
from provision.host.component.refusing import Refused
from provision.host.component.remembering import PROVIDERS, REMEMBERED, recall
from provision.host.component.schema import INPUTS, STACK
from provision.host.deploying.configuration import FRAMEWORK, by_namespace, chosen_platform
from provision.host.deploying.deploy import Inherited
from provision.host.deploying.monitor import EngineStopped, Monitor, Options, Registered
from provision.host.deploying.stack import (
    ContentUnknown,
    Made,
    Negotiated,
    Site,
    StackRun,
    downgrades,
    secret_text,
    state_name,
    unresolved,
)
from provision.host.deploying.wire import wire_value
from provision.host.protocol import provider_pb2
from provision.host.values import UNKNOWN, SecretValue, decode_struct, encode_struct, plain
from provision.loader import Loaded, NotKnownYet, load, reference_stacks
from provision.models import UserData

_MARK = f"unknown-{secrets.token_hex(16)}"
"""Stands for user data that is not known yet; of this process, so that no file can hold it."""

_UNKNOWN_OUTPUTS = {"outputs": UNKNOWN, "machines": UNKNOWN, "platform": UNKNOWN, "downgrades": UNKNOWN}


async def construct(request: provider_pb2.ConstructRequest, engine: str) -> provider_pb2.ConstructResponse:
    """Do what `request` asks.

    Raises:
        Refused: it failed; the message says why.
    """
    inputs = decode_struct(request.inputs)
    monitor = Monitor(request.monitorEndpoint, engine or request.monitorEndpoint, preview=request.dryRun)
    try:
        return await _Construction(request, inputs, monitor).run()
    except EngineStopped:
        # The engine has told why, and this is shown beside it.
        raise Refused(grpc.StatusCode.CANCELLED, f"stack '{request.name}' was not finished") from None
    except Exception as error:
        raise refused(error, request.name, without_outputs(inputs)) from None
    finally:
        await monitor.close()


@dataclass(frozen=True)
class _Content:
    """What the component consists of, with what of it is not known yet.

    Attributes:
        loaded: the stack.
        outputs: outputs whose values are not known yet.
    """

    loaded: Loaded
    outputs: frozenset[str]


class _Construction:
    def __init__(self, request: provider_pb2.ConstructRequest, inputs: Mapping[str, Any], monitor: Monitor) -> None:
        self._request = request
        self._inputs = inputs
        self._monitor = monitor
        self._config = by_namespace(request.config, request.configSecretKeys)
        self._prefix = f"{request.name}/"

    async def run(self) -> provider_pb2.ConstructResponse:
        component: Registered | None = None
        providers = await self._provider_settings()
        try:
            try:
                content, stack, agreed = await self._agreed(read_inputs(self._inputs), providers)
            except ContentUnknown:
                component = await self._register()
                inputs, last = await self._recalled(component, providers)
                content, stack, agreed = await self._agreed(read_inputs(inputs), last)
                await self._monitor.log(
                    Severity.WARNING,
                    f"stack '{self._request.name}' is shown with the last values of its inputs: some will be known "
                    "only in the update, which may then change more than is shown here",
                    component.urn,
                )
        except ContentUnknown as unknown:
            return await self._later(str(unknown), component or await self._register())
        for ignored in ("ignoreChanges", "replaceOnChanges"):
            if list(getattr(self._request, ignored)):
                text = f"'{ignored}' of a stack applies to the inputs of the component, not to what it is made of"
                await self._monitor.log(Severity.WARNING, text, component_urn(self._request))
        if component is None:
            component = await self._register()
            await self._recalled(component, providers)
        made = await stack.deploy(agreed, component)
        if not made.fine:
            raise Refused(grpc.StatusCode.CANCELLED, f"stack '{self._request.name}' was not finished")
        outputs = self._outputs(made, content)
        outputs["platform"], outputs["downgrades"] = agreed[0].provider.name, downgrades(agreed)
        for name in self._request.additionalSecretOutputs:
            if name in outputs:
                outputs[name] = SecretValue(outputs[name])
        await self._monitor.finish(component.urn, outputs)
        return self._response(component, outputs, made.last)

    async def _provider_settings(self) -> dict[str, Any]:
        """What the given provider resources are configured with, by `package:setting`."""
        found: dict[str, Any] = {}
        for package, reference in self._request.providers.items():
            if package.startswith(f"{FRAMEWORK}-"):
                known = await self._monitor.inputs_of(reference.rpartition("::")[0])
                found |= {f"{package}:{key}": value for key, value in known.items() if key != "version"}
        return found

    async def _agreed(self, asked: Asked, providers: Mapping[str, Any]) -> tuple[_Content, StackRun, list[Negotiated]]:
        """The content, once its platform has agreed to it.

        Raises:
            ProvisionError: it has mistakes, or the platform does not agree.
            ContentUnknown: it depends on what is not known in this preview.
        """
        content = await self._load(asked)
        stack = StackRun(self._monitor, self._site(asked, providers), content.loaded)
        return content, stack, await stack.agree()

    async def _recalled(
        self, component: Registered, providers: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """Inputs and settings with the last values of what is not known; what is known is remembered."""
        inputs = {key: spread(without_outputs(value)) for key, value in self._inputs.items()}
        values = {key: inputs[key] for key in REMEMBERED if isinstance(inputs.get(key), Mapping)}
        if providers:
            values[PROVIDERS] = providers
        if not values:
            return inputs, providers
        depends = {key: list(found.urns) for key, found in self._request.inputDependencies.items() if key in values}
        options = Options(parent=component.urn, used_by=depends)
        made = await self._monitor.register(INPUTS, f"{self._prefix}inputs", values, options)
        recalled = {key: recall(item, made.outputs.get(key)) for key, item in values.items()}
        return inputs | {key: recalled[key] for key in REMEMBERED if key in recalled}, recalled.get(PROVIDERS, {})

    async def _later(self, what: str, component: Registered) -> provider_pb2.ConstructResponse:
        """Answer a preview that cannot say what will be made."""
        await self._monitor.log(
            Severity.WARNING,
            f"what stack '{self._request.name}' consists of is not shown: {what} will be known only in the update\n"
            "  fix: to see it now, give values that do not come from resources that are still to be made",
            component.urn,
        )
        return self._response(component, _UNKNOWN_OUTPUTS, [])

    async def _register(self) -> Registered:
        request = self._request
        inputs = decode_struct(request.inputs, keep_outputs=False)
        if Path(str(plain(inputs.get("file", "")))).is_absolute():
            del inputs["file"]  # where the program lies on this machine is no change of the stack
        timeouts = self._timeouts()
        return await self._monitor.register(
            STACK,
            request.name,
            inputs,
            Options(
                custom=False,
                parent=request.parent,
                used_by={key: list(found.urns) for key, found in request.inputDependencies.items() if key in inputs},
                depends_on=list(request.dependencies),
                ignore_changes=list(request.ignoreChanges),
                keep=request.retainOnDelete,
                protect=request.protect,
                alias_specs=list(request.aliases),
                deleted_with=request.deletedWith,
                timeouts=timeouts,
                secret_outputs=list(request.additionalSecretOutputs),
            ),
        )

    def _timeouts(self) -> dict[str, str]:
        given = self._request.customTimeouts
        return {key: value for key in ("create", "update", "delete") if (value := getattr(given, key))}

    def _site(self, asked: Asked, providers: Mapping[str, Any]) -> Site:
        request = self._request
        settings: dict[str, dict[str, Any]] = {package: {} for package in request.providers}
        for key, value in providers.items():
            package, _, name = key.partition(":")
            settings[package][name] = value
        return Site(
            request.project,
            asked.native_name or native_stack(request),
            request.dryRun,
            max(1, request.parallel),
            self._config,
            providers=dict(request.providers),
            provider_settings=settings,
            settings=asked.settings,
            unknown=_MARK if asked.unknown else "",
            state=state_name(request.organization, request.project, request.stack),
            inherited=Inherited(
                prefix=self._prefix,
                protect=request.protect,
                keep=request.retainOnDelete,
                deleted_with=request.deletedWith,
                timeouts=self._timeouts(),
            ),
        )

    async def _load(self, asked: Asked) -> _Content:
        """Read the stack file or its definition.

        Raises:
            ProvisionError: it has mistakes.
            ContentUnknown: what it says depends on a parameter that is not known in this preview.
        """
        path = Path(asked.file or ".")
        overlay = None if asked.definition is not None else asked.overlay or self._request.stack
        wanted = await asyncio.to_thread(
            reference_stacks, path, overlay, values=asked.values, unknown=asked.unknown, definition=asked.definition
        )
        references: dict[str, Mapping[str, Any]] = {}
        for name, stack in wanted.items():
            found = await self._monitor.stack_outputs(stack, self._request.parent, self._prefix)
            references[name] = {key: secret_text(value) for key, value in found.items()}
        try:
            loaded = await asyncio.to_thread(
                load,
                path,
                overlay=overlay,
                values=asked.values,
                references=references,
                platform=asked.platform or chosen_platform(self._config),
                unknown=asked.unknown,
                definition=asked.definition,
            )
        except NotKnownYet as unknown:
            names = " and ".join(f"'{name}'" for name in sorted(asked.unknown))
            raise ContentUnknown(f"{format_path(unknown.path)} comes from its parameter {names}, which") from None
        texts = {str(path[1]) for path in loaded.unknown if path[:1] == ("machines",)}
        outputs = frozenset(str(path[1]) for path in loaded.unknown if path[:1] == ("outputs",) and len(path) > 1)
        return _Content(_marked(loaded, texts) if texts else loaded, outputs)

    def _outputs(self, made: Made, content: _Content) -> dict[str, Any]:
        exported = wire_value(made.outputs, unresolved) | dict.fromkeys(content.outputs, UNKNOWN)
        return {"outputs": exported, "machines": made.machines}

    def _response(
        self, component: Registered, outputs: Mapping[str, Any], last: list[str]
    ) -> provider_pb2.ConstructResponse:
        depends = provider_pb2.ConstructResponse.PropertyDependencies(urns=[component.urn, *last])
        return provider_pb2.ConstructResponse(
            urn=component.urn,
            state=encode_struct(outputs),
            stateDependencies=dict.fromkeys(outputs, depends),
        )


def _marked(loaded: Loaded, machines: Collection[str]) -> Loaded:
    """The stack with a mark in place of the user data of `machines`, which is not known yet."""
    stack = loaded.stack
    data = UserData(text=_MARK)
    marked: dict[str, Any] = {"user_data": data, "cloud_init": None, "ssh_keys": []}
    changed = {name: machine.model_copy(update=marked) for name, machine in stack.machines.items()}
    entries = {name: changed[name] if name in machines else machine for name, machine in stack.machines.items()}
    return replace(loaded, stack=stack.model_copy(update={"machines": entries}))
