"""The command line without an engine: help, exit codes, documents, and the commands that only look."""

import importlib.metadata
import json
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from provision.cli.main import COMMANDS, main
from provision.errors import EnvironmentProblem
from provision.host.engine import EngineSurvey
from provision.host.project import read_project
from provision.spi import registry
from provision.verify.judge import Outcome
from provision.verify.report import Row, VerifyReport

STACK = """\
version: 1
platform: memory
parameters:
  size: {type: integer}
  key: {type: integer, secret: true}
networks:
  front: {cidr: 10.1.0.0/24}
machines:
  web:
    image: micro
    memory: 64MiB
    count: ${param.size}
    nics: [{network: front}]
"""


class Said:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def document(self):
        return json.loads(self.out)


@pytest.fixture
def provision(capsys, monkeypatch, tmp_path):
    for name in ("PULUMI_STACK", "PULUMI_BACKEND_URL", "PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi-home"))

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(ended.value.code, said.out, said.err)

    return run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: provision\n")
    (folder / "stack.yaml").write_text(STACK)
    return folder


def configure(folder, stack="dev", **values):
    lines = [f"  shop:{name}: {value}\n" for name, value in values.items()]
    (folder / f"Pulumi.{stack}.yaml").write_text("config:\n" + "".join(lines))


def test_help_names_every_command_and_imports_nothing_heavy():
    code = (
        "import sys\nfrom provision.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('heavy:', [m for m in ('pulumi', 'pydantic', 'rich', 'grpc', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stdout
    assert [name for name in COMMANDS if f"\n  {name} " not in done.stdout] == []
    assert "_PROVISION_COMPLETE=bash_source provision" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(provision, name):
    said = provision(name, "--help")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"Usage: provision {name} ")


@pytest.mark.parametrize("words", [("bogus",), ("preview", "--bogus"), ("up", "/does/not/exist"), ("console",)])
def test_wrong_usage_exits_with_2(provision, words):
    said = provision(*words)
    assert (said.code, said.out) == (2, "")
    assert "Usage: provision" in said.err
    as_json = provision(*words, "--format", "json")
    assert (as_json.code, as_json.document["succeeded"], as_json.document["exit_code"]) == (2, False, 2)


@pytest.mark.parametrize("command", ["preview", "up", "down", "refresh", "verify"])
def test_a_folder_without_a_project_is_explained(provision, tmp_path, command):
    yes = ["--yes"] if command in ("up", "down") else []
    said = provision(command, tmp_path, *yes)
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        f"error: {tmp_path} is no Pulumi project: it has no Pulumi.yaml\n"
        "  fix: go to the folder of the stack, or write a Pulumi.yaml with `name: …` and `runtime: provision`\n"
    )
    document = provision(command, tmp_path, *yes, "--format=json").document
    assert document["error"]["summary"] == f"{tmp_path} is no Pulumi project: it has no Pulumi.yaml"


def test_a_project_of_another_runtime_is_left_alone(provision, folder):
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: {name: nodejs}\n")
    said = provision("preview")
    assert said.code == 1
    assert "is a project of the runtime 'nodejs', not of a stack file\n  fix: use `pulumi` for it" in said.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"name: [", "Pulumi.yaml:1:8: "),
        (b"- a\n", "is not a map of keys and values"),
        (b"runtime: provision\n", "has no name"),
        (b"\xff\xfe", "is not text in UTF-8"),
    ],
)
def test_a_broken_project_file_is_explained(provision, folder, text, message):
    (folder / "Pulumi.yaml").write_bytes(text)
    for command in ("preview", "validate"):
        said = provision(command)
        assert said.code == 1
        assert message in said.err


def test_a_missing_engine_is_explained(provision, folder, monkeypatch):
    monkeypatch.setattr("provision.host.automation.find_engine", lambda **asked: None)
    said = provision("preview")
    assert (said.code, said.err) == (1, "error: the Pulumi engine is not installed\n  fix: run `provision setup`\n")


@pytest.mark.parametrize("command", ["up", "down"])
def test_without_a_terminal_changes_need_yes(provision, folder, monkeypatch, command):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    said = provision(command)
    assert said.code == 1
    assert f"`{command}` asks before it" in said.err
    assert "--yes" in said.err


def test_a_closed_pipe_is_no_failure_to_be_reported(folder):
    done = subprocess.run(
        f"{sys.executable} -c 'from provision.cli.main import main; main()' schema | head -c 1 >/dev/null",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""


def test_configured_parameters_are_no_errors(provision, folder):
    configure(folder, size=3, key="{secure: v1:abc}")
    said = provision("validate")
    assert (said.code, said.out, said.err) == (0, "stack.yaml: valid: 3 machines, 1 network, 0 policies\n", "")


def test_parameters_that_nobody_gave_are_errors(provision, folder):
    said = provision("validate")
    assert said.code == 1
    assert "the parameter 'size' has no value" in said.err
    assert "pulumi config set --secret key" in said.err
    assert said.err.endswith("2 errors\n")


def test_a_configured_value_of_the_wrong_type_and_an_unknown_parameter_are_told(provision, folder):
    configure(folder, size="many", key="{secure: x}", sise=3)
    said = provision("validate")
    assert said.code == 1
    assert "'many' of the parameter 'size' is not a whole number" in said.err
    assert "'sise' is configured, but no parameter has that name" in said.err


def test_validate_takes_the_stack_that_is_named(provision, folder, monkeypatch):
    configure(folder, "prod", size=7, key="{secure: x}")
    (folder / "stack.prod.yaml").write_text("networks: {back: {cidr: 10.2.0.0/24}}\n")
    assert "7 machines, 2 networks" in provision("validate", "--stack", "prod").out
    monkeypatch.setenv("PULUMI_STACK", "prod")
    assert "7 machines, 2 networks" in provision("validate", folder / "stack.yaml").out


def test_validate_refuses_a_stack_of_which_nothing_is_known(provision, folder):
    said = provision("validate", "--stack", "porduction")
    assert said.code == 1
    assert "nothing is known of a stack 'porduction': there is no Pulumi.porduction.yaml" in said.err


def test_validate_as_json_is_one_document_in_every_case(provision, folder):
    bad = provision("validate", "--format", "json")
    assert (bad.code, bad.err, bad.document["valid"]) == (1, "", False)
    assert [d["position"]["line"] for d in bad.document["diagnostics"]] == [4, 5]
    configure(folder, size=1, key="{secure: x}")
    good = provision("validate", "--format", "json")
    assert (good.code, good.document) == (0, {"schema": 1, "succeeded": True, "valid": True, "diagnostics": []})
    missing = provision("validate", "nowhere", "--format", "json")
    assert (missing.code, missing.document["error"]["summary"]) == (1, "there is no nowhere")


def test_validate_reads_standard_input(folder):
    def validate(text):
        return subprocess.run(
            [sys.executable, "-c", "from provision.cli.main import main; main()", "validate", "-"],
            input=text, capture_output=True, text=True, cwd=folder,
        )  # fmt: skip

    configure(folder, size=2, key="{secure: x}")
    assert validate(STACK).stdout == "<stdin>: valid: 2 machines, 1 network, 0 policies\n"
    broken = validate(STACK.replace("micro", "mcro").replace("cidr", "cdir"))
    assert broken.returncode == 1
    assert "<stdin>:7:11: error: the key 'cdir'" in broken.stderr
    assert "    7 |   front: {cdir: 10.1.0.0/24}\n" in broken.stderr


def test_configuration_is_read_as_the_engine_hands_it_over(folder):
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: {name: provision}\nstackConfigDir: config\n")
    (folder / "config").mkdir()
    (folder / "config/Pulumi.dev.yaml").write_text(
        "config: {shop:yes: true, shop:list: [1, a], shop:pw: {secure: x}}\n"
    )
    config = read_project(folder).config("dev")
    assert (config["shop:yes"], config["shop:list"]) == ("true", '["1", "a"]')
    assert "x" not in str(config["shop:pw"])


def test_schema_is_a_json_schema_of_version_1(provision):
    said = provision("schema")
    assert said.code == 0
    assert said.document["$schema"].startswith("https://json-schema.org/")
    assert {"version", "platform", "machines", "networks", "isolation"} <= set(said.document["properties"])


@pytest.fixture
def broken_plugin(monkeypatch):
    entry = importlib.metadata.EntryPoint("broken", "no_such_package.provider:Provider", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    registry.load.cache_clear()
    yield
    registry.load.cache_clear()


def test_the_doctor_works_where_nothing_is_installed(provision, broken_plugin, monkeypatch):
    monkeypatch.setattr("provision.host.engine.survey_engines", lambda: EngineSurvey(None, ()))
    said = provision("doctor")
    assert said.code == 1
    assert "missing Pulumi engine: not found\n        fix: run `provision setup`\n" in said.out
    assert "missing plugin broken: plugin 'broken'" in said.out
    findings = provision("doctor", "--format", "json").document["findings"]
    assert {item["subject"] for item in findings if item["ok"] is False} >= {"Pulumi engine", "plugin broken"}


@pytest.mark.parametrize(
    "error", [EnvironmentProblem("the disk is gone", "look for it"), RuntimeError("the disk is gone")]
)
def test_the_doctor_survives_what_it_looks_at(provision, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr("provision.host.engine.survey_engines", fail)
    said = provision("doctor")
    assert said.code == 1
    assert "the disk is gone" in said.out
    assert "plugin memory: version" in said.out


@pytest.fixture
def differing(folder, monkeypatch):
    """A deployed stack whose only probe shows a leak."""
    workspace = SimpleNamespace(project="shop", stack_name="dev", config=dict)
    deployed = SimpleNamespace(
        workspace=workspace,
        stack=SimpleNamespace(platform="memory", has_default=True, recorded={}),
        provider=None,
        session=None,
        reached=None,
        away={},
    )
    (folder / "stack.yaml").write_text(STACK.replace("{type: integer", "{type: integer, default: 1"))
    row = Row(
        "web-0", "10.1.0.2", "db", "10.1.0.3", "tcp/5432", 4, False, True, "open", "default deny", Outcome.DIFFERS
    )
    monkeypatch.setattr("provision.cli.deployed.open_deployed", lambda *given, **named: nullcontext(deployed))
    monkeypatch.setattr(
        "provision.verify.verify", lambda *given, **named: VerifyReport("shop", "dev", "memory", "stack.yaml", (row,))
    )


@pytest.mark.parametrize("form", ["human", "json", "markdown"])
def test_verify_exits_with_3_when_something_differs(provision, differing, form):
    said = provision("verify", "--format", form)
    assert said.code == 3
    assert "tcp/5432" in said.out
    if form == "json":
        assert (said.document["exit_code"], said.document["counts"]["differ"]) == (3, 1)
