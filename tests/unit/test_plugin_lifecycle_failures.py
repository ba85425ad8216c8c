"""Whatever goes wrong has a code that the engine understands, a clear text, and no secrets in it."""

import asyncio
import base64
import html
import json
import math
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import grpc
import pytest
from google.protobuf import empty_pb2
from lifecycle_sample import THING, WILL, ThingOutputs, TrialProvider, thing, trial

from provision.errors import (
    CreatedButUnhealthy,
    EnvironmentProblem,
    ForeignObject,
    NotFound,
    PlatformError,
    PluginError,
    ProvisionError,
    UserError,
)
from provision.host.plugin import resources
from provision.host.plugin.masking import MASK, Masker
from provision.host.protocol import provider_pb2
from provision.host.texts import LONGEST, fit
from provision.spi import UNKNOWN, Created
from provision.testing import Lifecycle, OperationFailed

WANTED = {"name": "a", "password": "hunter22-secret"}
DOUBTFUL = {"UNKNOWN", "INTERNAL", "DATA_LOSS", "UNAVAILABLE"}
"""Codes after which the engine doubts its own state, or takes the plugin for dead."""


@pytest.fixture(autouse=True)
def _as_usual() -> Iterator[None]:
    yield
    WILL.clear()


def failing(error: BaseException) -> Any:
    def create(request: Any) -> Any:
        raise error

    return create


class Odd(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("x"), "INVALID_ARGUMENT"),
        (EnvironmentProblem("x"), "FAILED_PRECONDITION"),
        (PluginError("x"), "ABORTED"),
        (PlatformError("x"), "ABORTED"),
        (ForeignObject("x"), "ALREADY_EXISTS"),
        (NotFound("x"), "NOT_FOUND"),
        (ProvisionError("x"), "ABORTED"),
        (KeyError("x"), "ABORTED"),
        (StopIteration("x"), "ABORTED"),
        (StopAsyncIteration(), "ABORTED"),
        (SystemExit(1), "ABORTED"),
        (KeyboardInterrupt(), "ABORTED"),
        (GeneratorExit(), "ABORTED"),
        (asyncio.CancelledError(), "ABORTED"),
        (asyncio.InvalidStateError(), "ABORTED"),
        (RecursionError("x"), "ABORTED"),
        (MemoryError(), "ABORTED"),
        (Odd(), "ABORTED"),
        (PlatformError("name \udcff is no text"), "ABORTED"),
        (PlatformError("x" * 1_000_000), "ABORTED"),
        (ExceptionGroup("several", [KeyError("x"), ValueError("y")]), "ABORTED"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_whatever_a_plugin_raises_has_a_precise_code_and_the_process_lives_on(error: BaseException, code: str) -> None:
    async def work(platform: Lifecycle) -> None:
        WILL["create"] = failing(error)
        with pytest.raises(OperationFailed) as failed:
            await platform.create(THING, WANTED)
        assert failed.value.code == code
        assert failed.value.message
        WILL.clear()
        assert (await platform.create(THING, WANTED)).id == "id-a"

    trial(work)


@pytest.mark.parametrize("returned", [None, 3, Created("", None), "id"])
def test_whatever_a_plugin_returns_has_a_precise_code(returned: Any) -> None:
    WILL["create"] = lambda request: returned

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed) as failed:
            await platform.create(THING, WANTED)
        assert failed.value.code == "ABORTED"
        assert "plugin 'trial'" in failed.value.message

    trial(work)


@pytest.mark.parametrize(
    "outputs", [{"name": "a"}, *(ThingOutputs.model_construct(name="a", state=wrong) for wrong in (object(), math.nan))]
)
def test_an_object_is_kept_whatever_is_said_of_its_outputs(outputs: Any) -> None:
    WILL["create"] = lambda request: Created("x", outputs)

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed) as failed:
            await platform.create(THING, WANTED)
        assert failed.value.code == "FAILED_PRECONDITION"
        assert failed.value.kept is not None
        assert failed.value.kept.id == "x"
        assert failed.value.reasons

    trial(work)


@pytest.mark.parametrize("state", [object(), UNKNOWN, math.nan])
def test_what_cannot_be_recorded_of_an_unhealthy_object_does_not_cost_it(state: Any) -> None:
    WILL["create"] = failing(CreatedButUnhealthy("no start", id="x", outputs={"name": "a", "state": state}))

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed) as failed:
            await platform.create(THING, WANTED)
        assert failed.value.kept is not None
        assert (failed.value.kept.id, failed.value.reasons) == ("x", ("no start",))
        assert failed.value.kept.outputs["name"] == "a"
        assert "state" not in failed.value.kept.outputs

    trial(work)


def test_an_exit_of_a_plugin_is_called_what_it_is() -> None:
    WILL["create"] = failing(SystemExit("give up"))

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed) as failed:
            await platform.create(THING, WANTED)
        assert "plugin 'trial' failed at create of trial:Thing" in failed.value.message
        assert "SystemExit: give up" in failed.value.message

    trial(work)


METHODS = {
    "CheckConfig": provider_pb2.CheckRequest,
    "DiffConfig": provider_pb2.DiffRequest,
    "Configure": provider_pb2.ConfigureRequest,
    "Check": provider_pb2.CheckRequest,
    "Diff": provider_pb2.DiffRequest,
    "Create": provider_pb2.CreateRequest,
    "Read": provider_pb2.ReadRequest,
    "Update": provider_pb2.UpdateRequest,
    "Delete": provider_pb2.DeleteRequest,
    "Invoke": provider_pb2.InvokeRequest,
    "Call": provider_pb2.CallRequest,
    "Construct": provider_pb2.ConstructRequest,
    "Parameterize": provider_pb2.ParameterizeRequest,
    "GetSchema": provider_pb2.GetSchemaRequest,
    "GetMapping": provider_pb2.GetMappingRequest,
    "Handshake": provider_pb2.ProviderHandshakeRequest,
}


@pytest.mark.parametrize("method", [*METHODS, "List", "Cancel", "GetPluginInfo", "Attach", "GetMappings"])
def test_a_message_that_cannot_be_read_is_refused_as_such(method: str) -> None:
    async def work(platform: Lifecycle) -> None:
        path = f"/pulumirpc.ResourceProvider/{method}"
        kind = platform._channel.unary_stream if method == "List" else platform._channel.unary_unary
        answer = kind(path)(b"\xff\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await (answer.read() if method == "List" else answer)
        assert failed.value.code().name == "INVALID_ARGUMENT"
        assert failed.value.details() == f"the request for {method} cannot be read"

    trial(work)


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_message_never_makes_the_engine_doubt_its_state(method: str) -> None:
    async def work(platform: Lifecycle) -> None:
        call = getattr(platform.stub, method)(METHODS[method]())
        code = await call.code()
        assert code.name not in DOUBTFUL
        assert code is grpc.StatusCode.OK or await call.details()

    trial(work)


@pytest.mark.parametrize("urn", ["", "x", "urn:pulumi:a", "urn:pulumi:a::b::c", "::::::::"])
def test_a_urn_that_is_none_is_refused_as_such(urn: str) -> None:
    async def work(platform: Lifecycle) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await platform.stub.Check(provider_pb2.CheckRequest(urn=urn))
        assert failed.value.code().name == "INVALID_ARGUMENT"
        assert "has no resource type" in str(failed.value.details())

    trial(work)


def test_a_defect_of_the_host_itself_is_told_without_what_it_held(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, *values: Any) -> Any:
        raise RuntimeError("hunter22-secret")

    async def work(platform: Lifecycle) -> None:
        monkeypatch.setattr(type(platform.servicer), "_masker", broken)
        with pytest.raises(OperationFailed) as failed:
            await platform.create(THING, WANTED)
        assert failed.value.code == "ABORTED"
        assert "provision itself failed at Create: RuntimeError at test_plugin_lifecycle_failures.py" in str(
            failed.value
        )
        assert "hunter22" not in failed.value.message

    trial(work)


def test_a_defect_in_the_hosts_work_does_not_doubt_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, *values: Any, **options: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(resources.Resource, "create", broken)

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed) as failed:
            await platform.create(THING, WANTED)
        assert failed.value.code == "ABORTED"

    trial(work)


def test_a_failure_without_a_text_still_names_the_plugin() -> None:
    WILL["create"] = failing(Odd())

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed, match="Odd: no further text"):
            await platform.create(THING, WANTED)

    trial(work)


def test_secrets_are_hidden_in_whole_chains_of_failures() -> None:
    def create(request: Any) -> Any:
        try:
            raise OSError("cannot log in with hunter22-secret")
        except OSError as error:
            raise PlatformError("the platform says: hunter22-secret is wrong", "mend hunter22-secret") from error

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        with pytest.raises(OperationFailed) as failed:
            await platform.create(THING, WANTED)
        assert failed.value.message == "the platform says: [secret] is wrong\n  fix: mend [secret]"
        (trace,) = platform.log.texts("debug")
        assert "cannot log in with [secret]" in trace
        assert "hunter22" not in trace

    trial(work)


SECRET = "pa/ss wörd+?<&>\"'x"


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        repr(SECRET)[1:-1],
        json.dumps(SECRET),
        json.dumps({"password": SECRET}, ensure_ascii=False),
        f"<password>{html.escape(SECRET)}</password>",
        f"https://me:{quote(SECRET, safe='')}@host/",
        f"https://host/?password={quote_plus(SECRET)}&x=1",
        SECRET.encode().hex(),
        *(base64.b64encode(f"{'x' * count}:{SECRET}:more".encode()).decode() for count in range(3)),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        *(base64.b64encode(b"x" * count + SECRET.encode()).decode() for count in range(3)),
    ],
)
def test_a_secret_is_hidden_however_it_is_written(written: str) -> None:
    masked = Masker([SECRET])(f"before {written} after")
    assert MASK in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    core = base64.b64encode(b"x" + SECRET.encode()).decode()[4:-4]
    for form in (SECRET, "wörd", "w%C3%B6rd", core, SECRET.encode().hex()):
        assert form not in masked


def test_what_only_looks_a_little_like_a_secret_stays() -> None:
    assert Masker(["ab", "abc"])("ab cab") == "ab cab"
    assert Masker(["hunter22"])("hunter2 is no secret") == "hunter2 is no secret"


def test_parameters_methods_and_components_are_not_offered_and_that_is_said() -> None:
    async def work(platform: Lifecycle) -> None:
        requests = {
            "Parameterize": provider_pb2.ParameterizeRequest(),
            "Call": provider_pb2.CallRequest(tok="x"),
            "Construct": provider_pb2.ConstructRequest(type="x"),
        }
        for method, request in requests.items():
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await getattr(platform.stub, method)(request)
            assert failed.value.code().name == "UNIMPLEMENTED"
            assert "provision-trial" in str(failed.value.details())

    trial(work)


def test_lines_that_are_no_text_do_not_break_the_work() -> None:
    def create(request: Any) -> Any:
        request.operation.report("file \udcff")
        request.operation.note("file \udcff")
        return thing(request)

    WILL["create"] = create

    async def work(platform: Lifecycle) -> None:
        assert (await platform.create(THING, WANTED)).id == "id-a"

    trial(work)


def test_long_texts_keep_their_beginning_and_their_end() -> None:
    text = "begin" + "x" * LONGEST + "end"
    fitted = fit(text)
    assert fitted.startswith("begin")
    assert fitted.endswith("end")
    assert "characters left out" in fitted
    assert fit("short \udcff") == "short ?"


def test_a_plugin_that_is_cancelled_twice_answers_twice() -> None:
    async def go() -> None:
        async with Lifecycle(TrialProvider) as platform:
            await platform.cancel()
            await platform.cancel()
            assert await platform.stub.GetPluginInfo(empty_pb2.Empty())

    asyncio.run(go())
