"""What has not changed is answered early, and only where the answer is surely the same."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import grpc
import pytest
from google.protobuf import empty_pb2
from pydantic import SecretStr

from provision.host.deploying.monitor import Monitor
from provision.host.events import isolation_kept
from provision.host.plugin.masking import MASK, Masker, Secrets
from provision.host.plugin.resources import Resource
from provision.host.plugin.responses import decoded, plan_response
from provision.host.plugin.shapes import record_of
from provision.host.plugin.unchanged import is_unchanged
from provision.host.plugin.upgrades import APPLIED, VERSION
from provision.host.protocol import provider_pb2, resource_pb2_grpc
from provision.host.values import OutputValue, SecretValue, encode_struct
from provision.spi import UNKNOWN, Computed, Created, CreateRequest, Properties, ResourceType, WriteOnly

URN = "urn:pulumi:dev::shop::provision-trial:trial:Box::box"
INPUTS: Mapping[str, Any] = {"name": "a", "parts": [{"size": 1}], VERSION: 2}
OUTPUTS: Mapping[str, Any] = {"name": "a", "place": "here", "state": "on", VERSION: 2}


class Part(Properties):
    size: int


class BoxInputs(Properties):
    name: str
    parts: tuple[Part, ...] = ()
    token: SecretStr | None = None


class BoxOutputs(Properties):
    name: str
    place: Annotated[str, Computed()]
    state: Annotated[str, Computed(depends_on=("name",))]


class Box(ResourceType[BoxInputs, BoxOutputs, None]):
    token: ClassVar[str] = "trial:Box"
    Inputs: ClassVar[type[Properties]] = BoxInputs
    Outputs: ClassVar[type[Properties]] = BoxOutputs
    schema_version: ClassVar[int] = 2
    upgrades: ClassVar[Any] = {0: lambda stored: stored, 1: lambda stored: stored}

    def create(self, request: CreateRequest[BoxInputs]) -> Created[BoxOutputs]:
        raise NotImplementedError


class SealedInputs(Properties):
    name: str
    password: Annotated[SecretStr, WriteOnly()]


class Sealed(Box):
    token: ClassVar[str] = "trial:Sealed"
    Inputs: ClassVar[type[Properties]] = SealedInputs


def asked(
    old: Mapping[str, Any] | None = INPUTS, new: Mapping[str, Any] = INPUTS, outputs: Mapping[str, Any] = OUTPUTS
) -> provider_pb2.DiffRequest:
    request = provider_pb2.DiffRequest(urn=URN, news=encode_struct(new), olds=encode_struct(outputs))
    if old is not None:
        request.old_inputs.CopyFrom(encode_struct(old))
    return request


def compared(resource: Resource, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
    """The answer when everything is read."""
    halves = [decoded(half) for half in (request.old_inputs, request.olds, request.news)]
    return plan_response(resource.plan(URN, *halves), resource.delete_first)


@pytest.mark.parametrize("secret", [False, True])
def test_equal_inputs_are_answered_as_if_they_had_been_compared(secret: bool) -> None:
    inputs = {**INPUTS, "token": SecretValue("hunter22")} if secret else INPUTS
    resource, request = Resource(Box, "trial"), asked(inputs, inputs)
    early = resource.unchanged(request)
    assert early is not None
    answer = plan_response(early, resource.delete_first)
    assert answer == compared(resource, request)
    assert (answer.changes, list(answer.stables)) == (answer.DIFF_NONE, ["place"])


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(asked(new={**INPUTS, "name": "b"}), id="another-value"),
        pytest.param(asked(new={**INPUTS, "token": "x"}), id="one-more"),
        pytest.param(asked(old=None), id="no-inputs-recorded"),
        pytest.param(asked({**INPUTS, "name": UNKNOWN}, {**INPUTS, "name": UNKNOWN}), id="unknown"),
        pytest.param(asked({**INPUTS, "parts": [UNKNOWN]}, {**INPUTS, "parts": [UNKNOWN]}), id="unknown-inside"),
        pytest.param(
            asked({**INPUTS, "name": OutputValue(UNKNOWN)}, {**INPUTS, "name": OutputValue(UNKNOWN)}), id="output"
        ),
        pytest.param(asked({**INPUTS, VERSION: 1}, {**INPUTS, VERSION: 1}), id="older-inputs"),
        pytest.param(asked(outputs={**OUTPUTS, VERSION: 1}), id="older-outputs"),
        pytest.param(asked({"name": "a"}, {"name": "a"}), id="of-the-first-version"),
        pytest.param(asked(outputs={**OUTPUTS, APPLIED: {"name": "b"}}), id="half-changed"),
    ],
)
def test_whatever_may_differ_after_all_is_compared(request_: provider_pb2.DiffRequest) -> None:
    assert not is_unchanged(request_, Box.schema_version)
    assert Resource(Box, "trial").unchanged(request_) is None


def test_write_only_values_are_always_compared_since_state_holds_their_digests_alone() -> None:
    inputs = {"name": "a", "password": "digest", VERSION: 2}
    assert is_unchanged(asked(inputs, inputs), 2)
    assert Resource(Sealed, "trial").unchanged(asked(inputs, inputs)) is None


def test_secrets_are_looked_for_when_a_text_is_masked() -> None:
    inputs: dict[str, Any] = {"name": "a", "token": "hunter22"}
    values = [(inputs, record_of(BoxInputs)), ({"x": SecretValue("s3cret")}, record_of(Part))]
    mask = Masker(Secrets(["config-secret"], values))
    assert mask("hunter22 config-secret s3cret a") == f"{MASK} {MASK} {MASK} a"
    assert mask("hunter22") == MASK


class Engine(resource_pb2_grpc.ResourceMonitorServicer):
    """Knows what a state holds, and keeps what it is told."""

    def __init__(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        self.state, self.told = state, list[str]()

    async def Invoke(self, request: Any, context: Any) -> Any:
        outputs = {urn: {"type": "x", "id": "", "outputs": values} for urn, values in self.state.items()}
        return provider_pb2.InvokeResponse(**{"return": encode_struct({"outputs": outputs})})

    async def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:
        self.told.append(request.urn.replace("/", "::").rpartition("::")[2])
        return empty_pb2.Empty()


def finished(state: Mapping[str, Mapping[str, Any]], outputs: Mapping[str, Mapping[str, Any]], preview: bool) -> Any:
    """Of which components the engine is told the outputs."""

    async def work() -> list[str]:
        engine, server = Engine(state), grpc.aio.server()
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(engine, server)
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        monitor = Monitor(address, address, preview=preview)
        await monitor.recorded("organization/shop/dev")
        for urn, values in outputs.items():
            await monitor.finish(urn, values)
        await monitor.close()
        await server.stop(None)
        return engine.told

    return asyncio.run(work())


MACHINE = "urn:pulumi:dev::shop::provision:index:Stack$provision:index:Machine::machines/"
ROOT = "urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev"
HELD = {
    f"{MACHINE}web": {"address": "10.0.0.2", "labels": {"a": [1, True]}},
    f"{MACHINE}db": {"address": "10.0.0.3"},
    f"{MACHINE}odd": {"address": "10.0.0.4", "old": 1},
    ROOT: {"site": "x"},
}
NOW = HELD | {
    f"{MACHINE}db": {"address": UNKNOWN},
    f"{MACHINE}odd": {"address": "10.0.0.4"},
    f"{MACHINE}new": {"address": "10.0.0.5"},
}


def test_a_preview_leaves_out_outputs_of_components_that_the_state_has_already() -> None:
    assert finished(HELD, NOW, preview=True) == ["db", "odd", "shop-dev", "new"]


def test_an_update_records_the_outputs_of_every_component() -> None:
    known = NOW | {f"{MACHINE}db": {"address": "10.0.0.3"}}
    assert finished(HELD, known, preview=False) == ["web", "db", "odd", "shop-dev", "new"]


STACK = {"platform": "memory", "isolation": '{"version":1}', "downgrades": {"apart": "for a reason"}}


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        (STACK, STACK, True),
        (STACK, STACK | {"downgrades": {"apart": "for another reason"}}, True),
        (STACK, STACK | {"downgrades": {}}, False),
        (STACK, STACK | {"isolation": '{"version":1,"machines":{}}'}, False),
        (STACK, STACK | {"platform": "aws"}, False),
        ({"platform": "memory"}, {"platform": "memory"}, False),
        (None, STACK, False),
    ],
)
def test_isolation_is_kept_where_the_stack_is_told_to_record_what_it_has_recorded(
    old: Mapping[str, Any] | None, new: Mapping[str, Any], kept: bool
) -> None:
    metadata = {
        "type": "provision:index:Stack",
        "op": "same" if old else "create",
        "old": old and {"outputs": old},
        "new": {"outputs": new},
    }
    assert isolation_kept({"resOutputsEvent": {"metadata": metadata}}) is kept
