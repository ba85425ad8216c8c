"""The package `provision` without an engine: its schema, its inputs, its names, and what it says of mistakes."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import grpc.aio
import jsonschema
import pytest
from pydantic import SecretStr

from provision.host import guarding
from provision.host.component import remembering
from provision.host.component.failing import refused
from provision.host.component.inputs import read_inputs
from provision.host.component.names import component_urn, native_stack
from provision.host.component.refusing import Refused
from provision.host.component.schema import schema
from provision.host.component.servicer import ComponentServicer
from provision.host.deploying.stack import ContentUnknown
from provision.host.protocol import errors_pb2, provider_pb2, status_pb2
from provision.host.values import UNKNOWN, Asset, OutputValue, SecretValue, decode_struct, encode_struct
from provision.loader import load
from provision.models import Machine, Network, Nic, Stack, UserData

ROOT = Path(__file__).parents[2]
METASCHEMA = Path(__file__).parent.parent / "data" / "pulumi" / "metaschema.json"
WEB = {"version": 1, "platform": "memory", "machines": {"web": {"image": "micro", "memory": "64MiB"}}}


def test_the_schema_is_what_pulumis_own_metaschema_asks_for():
    metaschema = json.loads(METASCHEMA.read_text().replace("(?<", "(?P<"))  # groups as Python writes them
    validator = jsonschema.Draft202012Validator(metaschema)
    made = schema("1.2.3")
    assert [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(made)] == []
    described = [*made["resources"]["provision:index:Stack"]["inputProperties"].values()]
    assert all(item["description"] for item in described)


def test_parameters_become_texts_as_they_would_be_configured():
    asked = read_inputs(
        {
            "file": "stack.yaml",
            "parameters": {
                "text": "a",
                "count": 3,
                "share": 0.5,
                "on": True,
                "list": ["a", {"b": 1}],
                "hidden": SecretValue("hush"),
                "deep": [SecretValue("hush")],
                "output": OutputValue("from elsewhere", secret=True, dependencies=("urn:a",)),
                "absent": None,
            },
        }
    )
    plain = {name: value for name, value in asked.values.items() if isinstance(value, str)}
    hidden = {name: value.get_secret_value() for name, value in asked.values.items() if isinstance(value, SecretStr)}
    assert plain == {"text": "a", "count": "3", "share": "0.5", "on": "true", "list": '["a", {"b": 1}]'}
    assert hidden == {"hidden": "hush", "deep": '["hush"]', "output": "from elsewhere"}


def test_a_map_that_is_secret_as_a_whole_is_a_map_of_secrets():
    asked = read_inputs({"file": "x", "parameters": SecretValue({"key": "hush"})})
    assert asked.values == {"key": SecretStr("hush")}


def test_unknown_parameters_are_told_apart_and_other_unknowns_stop_the_preview():
    asked = read_inputs({"file": "x", "parameters": {"a": OutputValue(UNKNOWN), "b": [SecretValue(UNKNOWN)], "c": "1"}})
    assert (asked.unknown, asked.values) == ({"a", "b"}, {"c": "1"})
    for inputs in (
        {"file": UNKNOWN},
        {"file": "x", "parameters": UNKNOWN},
        {"definition": {**WEB, "machines": {"web": {"image": UNKNOWN}}}},
    ):
        with pytest.raises(ContentUnknown):
            read_inputs(inputs)


@pytest.mark.parametrize(
    ("inputs", "path", "reason"),
    [
        ({"fil": "x"}, "fil", "is not known; did you mean 'file'?"),
        ({"file": 3}, "file", "must be a text"),
        ({"file": "x", "parameters": ["a"]}, "parameters", "must be a map"),
        ({"file": "x", "definition": WEB}, "file", "both 'file' and 'definition' are given"),
        ({"definition": {**WEB, "x-file": Asset(text="x")}}, "definition.x-file", "is neither text"),
    ],
)
def test_wrong_inputs_are_refused_by_path(inputs, path, reason):
    with pytest.raises(Refused) as caught:
        read_inputs(inputs)
    assert list(caught.value.reasons) == [path]
    assert reason in caught.value.reasons[path]


@pytest.mark.parametrize(
    "text",
    ["no", "0o17", "1e3", "22:22", "null", "~", "- a", "a: b", "#", "'", '"', "", " ", "ä\n b", "\t", "{}", "=", "<<"],
)
def test_a_definition_is_read_back_as_it_was_given(text):
    definition = read_inputs({"definition": {**WEB, "description": text, "x-any": {text or "empty": [text, 1, 0.5]}}})
    assert load(Path(), definition=definition.definition).stack.description == text


def test_a_text_that_looks_like_what_stands_for_a_secret_stays_a_text():
    machine = {**WEB["machines"]["web"], "user_data": SecretValue("hush")}
    asked = read_inputs({"definition": {**WEB, "description": "[secret 1]", "machines": {"web": machine}}})
    stack = load(Path(), definition=asked.definition).stack
    assert stack.description == "[secret 1]"
    assert isinstance(stack.machines["web"].user_data, SecretStr)


def test_a_secret_in_a_definition_is_a_secret_of_the_stack_and_in_no_text():
    machine = {**WEB["machines"]["web"], "user_data": SecretValue("hush-hush")}
    asked = read_inputs({"definition": {**WEB, "machines": {"web": machine}}})
    assert "hush" not in asked.definition.text
    stack = load(Path(), definition=asked.definition).stack
    assert stack.machines["web"].user_data == SecretStr("hush-hush")


def reasons_of(error, inputs):
    status = refused(error, "app", inputs)
    ((_, packed),) = status.trailing_metadata or ((None, b""),)
    found = errors_pb2.InputPropertiesError()
    for detail in status_pb2.Status.FromString(packed).details:
        assert detail.Unpack(found)
    return {item.property_path: item.reason for item in found.errors}, status.message


def test_mistakes_name_the_input_and_never_one_that_would_show_a_secret():
    secret = SecretValue("hush-hush")
    web = {**WEB, "machines": {"web": {"image": "micro", "memory": secret, "cpus": "two", "labels": "none"}}}
    with pytest.raises(Exception, match="errors in the stack file") as caught:
        load(Path(), definition=read_inputs({"definition": web}).definition)
    reasons, message = reasons_of(caught.value, {"definition": web})
    assert "definition.machines.web.cpus" in reasons
    assert "definition.machines.web.memory" not in reasons
    assert "hush" not in message + str(reasons)
    assert "definition:" in message, "what has no path of its own is shown with its place in the document"


def test_a_missing_parameter_is_asked_for_as_an_input():
    asked = read_inputs({"definition": {**WEB, "parameters": {"size": {}}}})
    with pytest.raises(Exception, match="1 error in the stack file") as caught:
        load(Path(), definition=asked.definition)
    _, message = reasons_of(caught.value, {"definition": {}})
    assert "pulumi config" not in message
    reasons, _ = reasons_of(caught.value, {"definition": {}, "parameters": {}})
    fix = "the parameter 'size' has no value (set 'size' in the 'parameters' of the component; or give it a default)"
    assert reasons == {"parameters.size": fix}


def asked_as(name, parent="urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev"):
    return SimpleNamespace(name=name, parent=parent, stack="dev", project="shop")


def test_native_names_differ_whenever_components_do():
    within = "urn:pulumi:dev::shop::my:own:Part::{}"
    assert native_stack(asked_as("web")) == "dev-web-"
    requests = [
        *(asked_as(name) for name in ("web", "Web", "we.b", "we-b", "a", "a-b", "ä", "ö")),
        *(asked_as("web", parent) for parent in (within.format("one"), within.replace("Part", "Other").format("one"))),
    ]
    names = [native_stack(request) for request in requests]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and name == name.lower() and "." not in name for name in names)


def test_the_urn_is_that_of_the_engine():
    assert component_urn(asked_as("web")) == "urn:pulumi:dev::shop::provision:index:Stack::web"
    nested = component_urn(asked_as("web", "urn:pulumi:dev::shop::my:own:Part::one"))
    assert nested == "urn:pulumi:dev::shop::my:own:Part$provision:index:Stack::web"


def test_last_values_stand_in_for_what_is_unknown_and_for_nothing_else():
    olds = {"parameters": {"a": "old", "b": SecretValue("old"), "c": UNKNOWN, "gone": "old"}}
    news = {"parameters": {"a": UNKNOWN, "b": [UNKNOWN], "c": UNKNOWN, "d": UNKNOWN, "e": "new"}}
    request = provider_pb2.CheckRequest(olds=encode_struct(olds), news=encode_struct(news))
    found = decode_struct(remembering.check(request).inputs)
    assert found == {"parameters": {"a": "old", "b": SecretValue("old"), "c": UNKNOWN, "d": UNKNOWN, "e": "new"}}


def test_what_is_remembered_changes_only_when_a_value_does():
    def changes(old, new):
        request = provider_pb2.DiffRequest(old_inputs=encode_struct(old), news=encode_struct(new))
        return list(remembering.diff(request).diffs)

    assert changes({"parameters": {"a": 1}}, {"parameters": {"a": 1}}) == []
    assert changes({"parameters": {"a": 1}}, {"parameters": {"a": 2}}) == ["parameters"]
    assert changes({"parameters": {}}, {"settings": {}}) == ["parameters", "settings"]


@pytest.mark.parametrize(
    ("method", "message", "code"),
    [
        ("Construct", b"\xff", "INVALID_ARGUMENT"),
        ("Construct", provider_pb2.ConstructRequest(type="provision:index:Other").SerializeToString(), "UNIMPLEMENTED"),
        ("Invoke", provider_pb2.InvokeRequest(tok="provision:index:ask").SerializeToString(), "UNIMPLEMENTED"),
        ("Read", provider_pb2.ReadRequest(type="provision:index:Inputs").SerializeToString(), "INVALID_ARGUMENT"),
        ("Check", provider_pb2.CheckRequest(urn="none").SerializeToString(), "ABORTED"),
    ],
)
def test_whatever_is_asked_has_a_code_that_the_engine_understands(method, message, code):
    async def ask():
        server = grpc.aio.server()
        guarding.serve(ComponentServicer(""), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await channel.unary_unary(f"/pulumirpc.ResourceProvider/{method}")(message)
        await server.stop(0)
        return failed.value.code().name

    assert asyncio.run(ask()) == code


def test_nothing_heavy_is_imported_before_something_is_constructed():
    code = "import sys, provision.host.component.process; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pulumi", "yaml", "pydantic", "provision.models", "provision.loader"} & set(loaded)


@pytest.mark.parametrize(
    "end", ["component.process as p; begin = p.main", "plugin.process as p; begin = lambda: p.serve(None)"]
)
def test_a_thread_that_waits_for_a_platform_does_not_keep_a_process_alive(end):
    code = f"""
import asyncio, time
import provision.host.{end}

async def serve(*given):
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)

p._serve = serve
begin()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_models_are_written_as_the_stack_file_that_says_the_same(monkeypatch):
    from provision.host.programs import stack as module

    monkeypatch.setattr(module.pulumi.Output, "secret", staticmethod(SecretValue))
    given = Stack(
        version=1,
        platform="memory",
        networks={"lan": Network(cidr="10.9.0.0/24")},
        machines={
            "web": Machine(
                image="micro",
                memory="64MiB",
                count=2,
                nics=[Nic(network="lan", address=["10.9.0.5", "10.9.0.6"])],
                user_data=UserData(text=SecretStr("hush-hush")),
                ready_timeout="90s",
            )
        },
    )
    written = module.document(given)
    assert "hush" not in repr(written)
    assert load(Path(), definition=read_inputs({"definition": written}).definition).stack == given


def test_the_page_on_programs_shows_the_examples_as_they_are():
    page = (ROOT / "docs" / "programs.md").read_text()
    programs = "\n".join(file.read_text() for file in (ROOT / "docs/examples/programs").glob("*.py"))
    shown = [
        text
        for text in re.findall("^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
        if "automation" not in text
    ]
    assert len(shown) == 3
    assert [text for text in shown if text not in programs] == []


def test_the_page_on_programs_names_every_input_and_output():
    page = (ROOT / "docs" / "programs.md").read_text()
    stack = schema("0.0.0")["resources"]["provision:index:Stack"]
    assert [name for name in (*stack["inputProperties"], *stack["properties"]) if f"| `{name}` |" not in page] == []
