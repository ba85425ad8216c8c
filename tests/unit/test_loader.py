"""What `load` gives, what it refuses to read, and that it stays fast."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from provision.diagnostics import Severity
from provision.errors import StackFileError, UserError
from provision.loader import json_schema, load, reader, reference_stacks, render
from provision.loader.scalars import resolve
from provision.models import PeerKind, TrafficPolicy, UserData

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)

    def make(text: str | bytes, name: str = "stack.yaml") -> Path:
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return make


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load(path)
    error = caught.value
    return render(error, error.source_map) if isinstance(error, StackFileError) else str(error)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("yes", "yes"), ("22:22", "22:22"), ("012", "012"), ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"), ("0b1", "0b1"), ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("12", 12), ("-3", -3), ("0o17", 15), ("0x1F", 31), ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("-", "-"),
        (".", "."), ("+", "+"), ("1.2.3", "1.2.3"), ("-.inf", float("-inf")), ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


def test_a_missing_file_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal(tmp_path) == ("there is no stack.yaml\n  fix: run in the stack's directory, or give the file's path")


def test_a_directory_in_place_of_the_file_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stack.yaml").mkdir()
    assert refusal(tmp_path).startswith("stack.yaml is a directory\n")


def test_a_file_without_permission_is_explained(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write("version: 1\n")

    def denied(*_: object) -> None:  # as the system says to anyone but root, who may run these tests
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert refusal(file).startswith("stack.yaml may not be read by this user\n")


def test_a_pipe_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "stack.yaml")
    assert refusal(tmp_path).startswith("stack.yaml is not a regular file\n")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"version: 1\na: \xff\n", "stack.yaml:2:4: error: this is not UTF-8 text"),
        ("version: 1\n".encode("utf-16"), "the file is UTF-16: save it as UTF-8"),
        (b"version: 1\ndescription: a\x00b\n", "stack.yaml:2:15: error: a NUL character cannot stand in a stack file"),
        (b"version: 1\ndescription: \x1b[0m\n", "the control character U+001B cannot stand"),
    ],
)
def test_what_is_not_text_is_refused_at_its_place(write: Write, data: bytes, message: str) -> None:
    assert message in refusal(write(data))


def test_a_byte_order_mark_and_windows_line_ends_are_read(write: Write) -> None:
    assert load(write(b"\xef\xbb\xbfversion: 1\r\ndescription: two words\r\n")).stack.description == "two words"
    assert "stack.yaml:2:1: error: the key 'descr' is not known" in refusal(write(b"version: 1\r\ndescr: a\r\n"))


def test_a_file_over_ten_megabytes_is_refused(write: Write) -> None:
    assert refusal(write(b"#" * 10_000_001)).startswith("stack.yaml has 10.0 MB; a stack file has at most 10 MB")


def test_a_large_file_just_below_the_limit_is_read_in_bounded_time(write: Write) -> None:
    file = write("version: 1\n" + "a: 1\n" * 1_950_000)
    begin = time.process_time()
    assert refusal(file).endswith("1000 errors\n")
    assert time.process_time() - begin < 10


def test_a_file_of_too_many_values_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_NODES", 1000)
    assert "the file holds more than 1,000 values" in refusal(write("version: 1\nx-a: [" + "1," * 1000 + "]"))


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused(write: Write, opening: str) -> None:
    assert "nested more than 50 levels deep" in refusal(write("version: 1\nx-a:\n  " + opening * 100_000))


MACHINES = """\
version: 1
platform: memory
parameters:
  n: {type: integer}
  keys: {type: list, default: ["ssh-ed25519 AAAAC3 a", "ssh-rsa AAAAB3 b"]}
  token: {secret: true}
references:
  shared: {stack: org/net/prod}
networks:
  front: {cidr: "${ref.shared.cidr}"}
machines:
  web:
    x-note: free
    count: ${param.n}
    image: micro
    memory: 96MiB
    ssh_keys: ${param.keys}
    nics: [{network: front}]
    labels: {note: "$${not} ${param.n}"}
    user_data: {text: "t=${param.token} ${machine.web-0.address} $${HOME}", template: true}
  db: {image: micro, memory: 96MiB, user_data: "echo ${HOME}"}
isolation:
  policies:
    p: {kind: traffic, from: [reference.shared.clients, outside], to: [machine.web], allow: [tcp/80]}
outputs:
  token: ${param.token}
  n: ${param.n}
  first: ${machine.web-0.address}
"""
OPTIONS = {
    "values": {"n": "3", "token": SecretStr("hush")},
    "references": {"shared": {"cidr": "10.0.0.0/24", "clients": ["10.1.0.0/16", "10.2.0.0/16"]}},
}


def test_values_reach_every_field_with_their_types(write: Write) -> None:
    stack = load(write(MACHINES), **OPTIONS).stack
    web = stack.machines["web"]
    assert web.count == 3
    assert web.ssh_keys == ["ssh-ed25519 AAAAC3 a", "ssh-rsa AAAAB3 b"]
    assert web.labels == {"note": "${not} 3"}
    assert str(stack.networks["front"].cidr) == "10.0.0.0/24"
    assert stack.machines["db"].user_data == "echo ${HOME}"
    assert stack.outputs["n"] == 3
    assert stack.outputs["first"] == "${machine.web-0.address}"


def test_secrets_stay_secret_and_expressions_on_machines_stay(write: Write) -> None:
    stack = load(write(MACHINES), **OPTIONS).stack
    data = stack.machines["web"].user_data
    assert isinstance(data, UserData)
    assert isinstance(data.text, SecretStr)
    assert data.text.get_secret_value() == "t=hush ${machine.web-0.address} $${HOME}"
    assert stack.outputs["token"] == SecretStr("hush")
    assert "hush" not in repr(stack)


def test_a_reference_among_peers_becomes_its_prefixes(write: Write) -> None:
    policy = load(write(MACHINES), **OPTIONS).stack.isolation.policies["p"]
    assert isinstance(policy, TrafficPolicy)
    assert [str(peer) for peer in policy.sources] == ["10.1.0.0/16", "10.2.0.0/16", "outside"]


def test_without_references_what_needs_them_is_noted_and_marked_unknown(write: Write) -> None:
    loaded = load(write(MACHINES), values=OPTIONS["values"])
    assert [item.severity for item in loaded.diagnostics] == [Severity.NOTE]
    assert loaded.unknown == {("networks", "front", "cidr")}
    policy = loaded.stack.isolation.policies["p"]
    assert isinstance(policy, TrafficPolicy)
    assert policy.sources[0].kind is PeerKind.REFERENCE


def test_the_platform_of_the_configuration_overrides_the_file(write: Write) -> None:
    assert load(write(MACHINES), platform="other", **OPTIONS).stack.platform == "other"


def test_reference_stacks_are_known_before_the_rest_is_valid(write: Write) -> None:
    file = write("version: 1\nmachines: {web: {}}\nparameters: {env: {}}\n"
                 "references: {net: {stack: 'org/net/${param.env}'}, bad: 5}\n")  # fmt: skip
    assert reference_stacks(file, values={"env": "prod"}) == {"net": "org/net/prod"}


def test_a_file_of_user_data_is_read_and_expanded(write: Write) -> None:
    write("echo ${param.n} ${machine.db.name}\n", "init.sh")
    file = write(
        "version: 1\nplatform: memory\nparameters: {n: {default: x}}\n"
        "machines:\n  db: {image: micro, memory: 96MiB, user_data: {file: init.sh, template: true}}\n"
    )
    data = load(file).stack.machines["db"].user_data
    assert isinstance(data, UserData)
    assert data.text == "echo x ${machine.db.name}\n"


def test_an_overlay_has_the_last_word_and_keeps_its_places(write: Write) -> None:
    write("machines:\n  web:\n    memory: 1GiB\n", "stack.prod.yaml")
    file = write("version: 1\nplatform: memory\nmachines:\n  web: {image: micro, memory: 96MiB}\n")
    loaded = load(file, overlay="prod")
    assert str(loaded.stack.machines["web"].memory) == "1GiB"
    assert str(loaded.source_map.locate(("machines", "web", "memory"))) == "stack.prod.yaml:3:13"
    assert str(loaded.source_map.locate(("machines", "web", "image"))) == "stack.yaml:4:16"
    assert str(load(file, overlay="dev").stack.machines["web"].memory) == "96MiB"


def test_an_aliased_value_is_the_same_everywhere(write: Write) -> None:
    file = write(
        "version: 1\nplatform: memory\nx-small: &small {image: micro, memory: 96MiB}\n"
        "machines: {a: *small, b: *small}\n"
    )
    machines = load(file).stack.machines
    assert machines["a"] == machines["b"]


@pytest.mark.parametrize("case", ["tab-indentation", "duplicate-key", "two-documents", "unclosed-list", "merge-key"])
def test_mistakes_are_found_without_libyaml_too(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = Path(__file__).with_name("loader_messages")
    monkeypatch.setattr(reader, "_PARSER", yaml.SafeLoader)
    _, found = reader.read((messages / f"{case}.yaml").read_text(), "stack.yaml")
    assert (
        str(found[0].position) + ": error: " + found[0].summary == (messages / f"{case}.txt").read_text().split("\n")[0]
    )


def test_rendering_in_colour_changes_no_word(write: Write) -> None:
    with pytest.raises(StackFileError) as caught:
        load(write("version: 2\n"))
    coloured = render(caught.value, color=True)
    assert "\x1b[" in coloured
    plain = coloured
    for code in ("1", "31;1", "32", "0"):
        plain = plain.replace(f"\x1b[{code}m", "")
    assert plain == render(caught.value, color=False)


def test_the_schema_names_every_key_and_allows_expressions_and_free_keys() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "include" not in schema["properties"]
    machine = schema["$defs"]["Machine"]
    assert machine["patternProperties"] == {"^x-": {}}
    assert {"$ref": "#/$defs/Expression"} in machine["properties"]["cpus"]["anyOf"]
    assert {"from", "to"} <= set(schema["$defs"]["TrafficPolicy"]["properties"])
    undescribed = [
        f"{name}.{key}"
        for name, model in schema["$defs"].items()
        for key, field in model.get("properties", {}).items()
        if "description" not in field and key != "kind"
    ]
    assert undescribed == []
    json.dumps(schema)


def many(count: int) -> str:
    networks = max(1, count // 200)
    lines = ["version: 1", "platform: memory", "networks:"]
    lines += [f"  n{i}: {{cidr: 10.{i // 256}.{i % 256}.0/24}}" for i in range(networks)]
    lines.append("machines:")
    for i in range(count):
        lines += [
            f"  m{i}:", "    image: micro", "    cpus: 2", "    memory: 512MiB", f"    labels: {{tier: t{i % 50}}}",
            "    nics:", f"      - network: n{i % networks}",
            f"        address: 10.{i % networks // 256}.{i % networks % 256}.{2 + i // networks}",
            "    disks:", "      data: {size: 10GiB, encrypted: true}",
        ]  # fmt: skip
    lines += ["isolation:", "  policies:"]
    for i in range(count // 2):
        lines.append(f"    p{i}: {{kind: traffic, from: [machine.m{i}], to: [machine.m{i + 1}], allow: [tcp/80]}}")
    return "\n".join(lines)


def test_ten_thousand_machines_load_in_seconds(write: Write) -> None:
    file = write(many(10_000))
    begin = time.process_time()
    assert len(load(file).stack.machines) == 10_000
    assert time.process_time() - begin < 6


def test_thousands_of_mistakes_are_all_reported_in_bounded_time(write: Write) -> None:
    file = write(many(3000).replace("network: n", "network: q"))
    begin = time.process_time()
    assert refusal(file).endswith("3000 errors\n")
    assert time.process_time() - begin < 15


def test_importing_the_loader_brings_no_heavy_library() -> None:
    code = "import sys, provision.loader; print([m for m in ('pulumi', 'grpc', 'rich', 'click') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
