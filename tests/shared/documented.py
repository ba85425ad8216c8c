"""Every document that a test has printed is held against its published schema, which must name all that is in it."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from provision.cli.documents import schema

_BY_COMMAND = {
    "preview": "run", "up": "run", "down": "run", "refresh": "run", "validate": "validate", "verify": "verify",
}  # fmt: skip


def documented(name: str, document: Any) -> None:
    """Hold a document against the schema of its name."""
    wrong = [f"{error.json_path}: {error.message}" for error in _validator(name).iter_errors(document)]
    assert wrong == [], f"the document is not as `provision schema --of {name}` says: {wrong}"


def documented_output(words: Sequence[Any], out: str) -> None:
    """The same of what a command line has printed, if that is a report in JSON."""
    said = [str(word) for word in words]
    command = next((word for word in said[1:2] if word in _BY_COMMAND), None)
    if command is None or "json" not in said or not out:
        return
    document = json.loads(out)
    if "error" not in document:  # what could not even begin
        documented("verify-static" if "--static" in said else _BY_COMMAND[command], document)


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(_closed(schema(name)))


def _closed(value: Any) -> Any:
    """A schema that lets no key pass that it does not name: readers must, tests must not."""
    if isinstance(value, list):
        return [_closed(item) for item in value]
    if not isinstance(value, dict):
        return value
    done = {key: _closed(item) for key, item in value.items()}
    if "properties" in done and done.get("additionalProperties") is True:
        done["additionalProperties"] = False
    return done
