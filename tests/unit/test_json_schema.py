"""The published JSON Schema judges files as the loader does, as far as a schema can."""

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from provision.loader import json_schema

ROOT = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(json_schema())
ACCEPTED = {path.parent.name: path for path in sorted(ROOT.glob("stacks/*/stack.yaml"))}
CASES = sorted((ROOT / "plugins/libvirt/tests/cases").glob("*.yaml"))
# What only the loader can tell needs no place here: names that refer to nothing, addresses that collide, and the like.
REFUSED = ["bounds", "enum", "missing-keys", "not-a-map", "unknown-keys", "version-unknown", "wrong-kind"]


def read(path: Path) -> object:
    return yaml.safe_load(path.read_text())


def complaints(document: object) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(document)]


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_it_accepts_the_stacks(path):
    assert complaints(read(path)) == []


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_it_accepts_what_the_translation_cases_are_made_of(path):
    stack = read(path)["stack"]
    assert complaints({"version": 1, "platform": "libvirt", **stack}) == []


@pytest.mark.parametrize("name", REFUSED)
def test_it_refuses_what_the_loader_refuses_for_its_shape(name):
    assert complaints(read(ROOT / f"tests/unit/loader_messages/{name}.yaml")) != []
