"""What the processes of a run import before they do anything: every module of it is paid for by every run."""

import json
import subprocess
import sys

import pytest

ENGINE = """\
#!{python} -S
import json, sys
words = sys.argv[1:]
told = [{{"prelude": {{}}}}, {{"summaryEvent": {{"resourceChanges": {{"create": 2}}}}}}]
with open(words[words.index("--event-log") + 1], "w") as log:
    for event in told:
        log.write(json.dumps(event) + chr(10))
"""

UP = """\
import sys
from pathlib import Path
from provision.cli.main import main
from provision.host import automation
from provision.host.engine import Engine
automation.find_engine = lambda **asked: Engine(Path("pulumi").absolute(), "3.259.0", "path")
try: main(["up", ".", "--yes"])
except SystemExit as end: code = end.code
print("ended with", code, *sys.modules)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose stack is known in a backend in a folder, and an engine that tells of two events."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: provision\n")
    record = tmp_path / ".pulumi/stacks/shop/dev.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"version": 3, "checkpoint": {"latest": {}}}))
    engine = tmp_path / "pulumi"
    engine.write_text(ENGINE.format(python=sys.executable))
    engine.chmod(0o755)
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PULUMI_STACK", raising=False)
    return tmp_path


def after(code, **options):
    """What a process printed that ran `code`, in words."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, **options)
    return done.stdout.split()


def below(loaded, *packages):
    return [name for name in loaded if any(name == it or name.startswith(f"{it}.") for it in packages)]


def test_a_run_of_the_command_needs_neither_the_sdk_nor_any_model(project):
    said = after(UP, cwd=project)
    code, *loaded = said[said.index("with") + 1 :]

    assert code == "0", said
    assert "provision.host.running" in loaded
    assert below(loaded, "pulumi", "grpc", "google", "pydantic", "asyncio", "http", "provision.loader") == []
    assert below(loaded, "provision.models", "provision.spi", "provision.translate", "provision.verify") == []
    assert len(loaded) < 320, "nearly a hundred modules more than when this was written"


def test_a_language_host_is_asked_about_itself_without_reading_any_stack():
    loaded = after("import sys, provision.host.language.server; print(*sys.modules)")

    assert below(loaded, "pulumi", "pydantic", "yaml", "provision.loader", "provision.spi", "importlib.metadata") == []
    assert len(loaded) < 300, "nearly a hundred modules more than when this was written"


def test_a_run_of_the_language_host_loads_what_reads_and_translates_and_nothing_that_verifies_or_asks_people():
    loaded = after("import sys, provision.host.language.run; print(*sys.modules)")

    assert "provision.translate" in loaded
    assert below(loaded, "pulumi", "opentelemetry", "click", "rich", "http", "urllib.request") == []
    assert below(loaded, "provision.cli", "provision.testing", "provision.verify", "oxidd") == []


def test_a_plugin_process_loads_no_model_of_a_stack_file():
    loaded = after("import sys, provision.host.plugin.process; print(*sys.modules)")

    assert "provision.host.plugin.servicer" in loaded
    assert below(loaded, "pulumi", "yaml", "http", "urllib.request", "provision.cli", "provision.verify") == []
    assert below(loaded, "provision.loader", "provision.models", "provision.translate", "provision.testing") == []
