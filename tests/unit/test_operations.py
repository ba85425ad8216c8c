"""How many operations the engine runs at a time: plugins whose platform does the work elsewhere have a say."""

import os
import sys

import pytest

from provision.host.engine import Engine
from provision.host.operations import USUAL, operations
from provision.host.process import EngineCommand
from provision.host.running import Runs
from provision.host.standby.starting import Expected


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """Packages of plugins that cannot be imported, each with what it says."""
    for name, text in (
        ("far", "OPERATIONS = 64"),
        ("farther", "OPERATIONS = 200"),
        ("few", "OPERATIONS = 2"),
        ("shy", ""),
    ):
        package = tmp_path / f"provision_{name}_away"
        package.mkdir()
        (package / "__init__.py").write_text(f'"""A platform."""\n\n{text}\nraise SystemExit("imported")\n')
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("platforms", "wanted"),
    [
        ([], USUAL),
        (["far-away"], 64),
        (["farther-away", "far-away"], 64),
        (["far-away", "shy-away"], USUAL),
        (["few-away"], USUAL),
        (["nowhere-at-all"], USUAL),
    ],
)
def test_the_fewest_count_that_a_plugin_says_in_its_package(platforms, wanted):
    assert operations(platforms) == wanted


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("persons", "expected", "wanted"),
    [
        (None, Expected(True, ("far-away",)), "64"),
        (None, Expected(True, ("shy-away",)), "20"),
        (None, None, "20"),
        ("3", Expected(True, ("far-away",)), "3"),
    ],
)
def test_the_engine_is_told_unless_a_person_says_otherwise(tmp_path, monkeypatch, persons, expected, wanted):
    monkeypatch.setattr("provision.host.running.standing_by", Nobody)
    monkeypatch.delenv("PULUMI_PARALLEL", raising=False)
    if persons is not None:
        monkeypatch.setenv("PULUMI_PARALLEL", persons)
    engine = tmp_path / "pulumi"
    engine.write_text(f"#!{sys.executable} -S\nimport os\nopen('told', 'w').write(os.environ['PULUMI_PARALLEL'])\n")
    engine.chmod(0o755)
    environment = {"PULUMI_PARALLEL": os.environ.get("PULUMI_PARALLEL", "20")}

    Runs(EngineCommand(Engine(engine, "3.259.0", "path")), tmp_path, environment, "dev", lambda _: expected).run("up")

    assert (tmp_path / "told").read_text() == wanted


class Nobody:
    """Nobody stands by."""

    def __init__(self, *asked):
        pass

    def __enter__(self):
        return {}

    def __exit__(self, *error):
        pass
