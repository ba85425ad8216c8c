"""Each file in `cases/` is a stack and the native resources that must come of it.

`PROVISION_REGENERATE=1 pytest` writes what comes out now into the files; what changed is then to be read.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from provision_libvirt.provider import LibvirtProvider
from provision_libvirt.translate import translate
from pydantic import SecretStr
from stack_requests import request

from provision.errors import ProvisionError
from provision.spi import Output

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


HERE = str(Path(__file__).parent)


def plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(HERE, "DIRECTORY")
    if isinstance(value, Output):
        return f"${{{value.node}.{value.property}}}"
    if isinstance(value, SecretStr):
        return "[secret]"
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def written(rule: dict[str, Any]) -> str:
    """A rule in one line, so that a case can be read."""
    words = [rule["action"], rule["direction"], str(rule["priority"]), rule["protocol"]]
    words += [f"{key}={value}" for key, value in rule.get("attributes", {}).items()]
    return " ".join(words + ([] if rule.get("statematch", True) else ["(unfollowed)"]))


def outcome(case: dict[str, Any]) -> dict[str, Any]:
    try:
        graph = translate(request(case["stack"], HERE, **case.get("facts", {})))
    except ProvisionError as error:
        said = [str(item) for item in getattr(error, "diagnostics", ())] or [str(error)]
        return {"error": {"class": type(error).__name__, "messages": said}}
    found = {}
    for node in graph.nodes:
        inputs = plain(node.inputs)
        if "rules" in inputs:
            inputs["rules"] = [written(rule) for rule in inputs["rules"]]
        entry: dict[str, Any] = {"type": node.type.token, "inputs": inputs}
        for flag in ("parent", "keep", "protect"):
            if getattr(node, flag):
                entry[flag] = getattr(node, flag)
        if node.depends_on:
            entry["depends_on"] = list(node.depends_on)
        found[node.name] = entry
    return {"resources": dict(sorted(found.items()))}


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_stack_becomes_these_native_resources(path):
    case = yaml.safe_load(path.read_text())
    found = outcome(case)
    if os.environ.get("PROVISION_REGENERATE"):
        kept = {key: value for key, value in case.items() if key not in ("resources", "error")}
        text = yaml.dump(kept | found, Dumper=_Dumper, sort_keys=False, width=140)
        path.write_text(text)
        return
    expected = {key: case[key] for key in ("resources", "error") if key in case}
    assert found == expected


def test_there_are_cases():
    assert len(CASES) >= 12


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_inputs_fit_the_native_types(path):
    case = yaml.safe_load(path.read_text())
    types = {kind.token: kind for kind in LibvirtProvider.resource_types}
    for name, entry in case.get("resources", {}).items():
        fields = types[entry["type"]].Inputs.model_fields
        unknown = set(entry["inputs"]) - set(fields)
        missing = {f for f, info in fields.items() if info.is_required()} - set(entry["inputs"]) - {"stack_id"}
        assert (name, unknown, missing) == (name, set(), set())


def test_the_same_request_gives_the_same_graph():
    case = yaml.safe_load((Path(__file__).parent / "cases" / "three-tiers.yaml").read_text())
    assert plain(outcome(case)) == plain(outcome(case))
