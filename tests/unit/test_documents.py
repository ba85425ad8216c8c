"""Published schemas are what the code makes, and commands print what they say."""

import json
from pathlib import Path

import pytest
from documented import documented, documented_output
from jsonschema import Draft202012Validator

from provision.cli.commands.schema import REPORTS
from provision.cli.main import main

SCHEMAS = Path(__file__).parents[2] / "docs/schemas"
NAMES = ("rules", *REPORTS)


@pytest.mark.parametrize("name", NAMES)
def test_a_published_schema_is_the_one_that_the_command_prints(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["schema", "--of", name])
    assert ended.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    assert json.loads((SCHEMAS / f"{name}.json").read_text()) == printed, "run: python docs/generate.py"
    Draft202012Validator.check_schema(printed)


def test_nothing_else_is_published() -> None:
    assert sorted(path.stem for path in SCHEMAS.glob("*")) == sorted(NAMES)


VALIDATION = {"schema": 1, "succeeded": True, "valid": True, "diagnostics": []}


def test_a_reader_lets_pass_what_it_does_not_know_and_a_test_does_not() -> None:
    published = Draft202012Validator(json.loads((SCHEMAS / "validate.json").read_text()))
    assert list(published.iter_errors(VALIDATION | {"more": 1})) == []
    documented("validate", VALIDATION)
    with pytest.raises(AssertionError):
        documented("validate", VALIDATION | {"more": 1})
    with pytest.raises(AssertionError):
        documented("validate", {**VALIDATION, "schema": 2})


def test_what_a_command_line_printed_is_held_against_the_schema_of_its_command() -> None:
    words = ["provision", "validate", "--format", "json"]
    documented_output(words, json.dumps(VALIDATION))
    documented_output([*words[:2], "--format", "human"], "no document")
    documented_output(["pulumi", "up"], "{}")
    documented_output(words, '{"error": {"summary": "it could not begin"}}')
    with pytest.raises(AssertionError):
        documented_output(words, '{"succeeded": true}')
    with pytest.raises(AssertionError):
        documented_output(["provision", "verify", "--static", "--format", "json"], json.dumps(VALIDATION))


@pytest.mark.parametrize("text", ["version: 1\n", "version: 1\nnetworks: {front: {cdir: 10.0.0.0/8}}\n", "no: ["])
def test_validate_prints_such_a_document(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stack.yaml").write_text(text)
    (tmp_path / "rules.yaml").write_text("version: 1\nrules: {a: {kind: encrypted_disks, machines: [machine.x]}}\n")
    with pytest.raises(SystemExit):
        main(["validate", str(tmp_path), "--format", "json"])
    document = json.loads(capsys.readouterr().out)
    documented("validate", document)
    assert document["diagnostics"] != []
