"""The description for the Pulumi Kubernetes Operator fits the operator, the image, and itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from containerfile import pairs, parse
from operator_workspace import DOCUMENT, Stack, described, objects
from pydantic import ValidationError

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "kubernetes" / "stack.yaml"


def test_it_is_what_the_operator_knows() -> None:
    stack = described(FILE)
    assert stack.workspaceTemplate.spec.securityProfile == "restricted"  # which runs as user 1000, as the image does
    assert not stack.destroyOnFinalize


def maps_in(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The place of every map within a value."""
    if isinstance(value, dict):
        yield at
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from maps_in(item, (*at, key))


FREE = [("spec", "config")]  # of the stack's own keys


@pytest.mark.parametrize(
    ("index", "place"),
    [
        pytest.param(index, place, id=".".join(map(str, (one["kind"], *place))))
        for index, one in enumerate(objects(FILE))
        for place in maps_in(one)
        if place not in FREE
    ],
)
def test_a_field_that_the_cluster_does_not_know_is_refused_wherever_it_stands(
    index: int, place: tuple[str | int, ...]
) -> None:
    found = objects(FILE)[index]
    DOCUMENT.validate_python(found)
    at = found
    for step in place:
        at = at[step]
    at["repoDirectory"] = "stacks/web"
    with pytest.raises(ValidationError):
        DOCUMENT.validate_python(found)


def test_a_misspelled_field_is_missing_and_unknown() -> None:
    (spec,) = [one["spec"] for one in objects(FILE) if one["kind"] == "Stack"]
    wrong = {"repoDirectory" if key == "repoDir" else key: value for key, value in spec.items()}
    with pytest.raises(ValidationError) as refused:
        Stack.model_validate(wrong)
    assert {(error["loc"], error["type"]) for error in refused.value.errors()} == {
        (("repoDir",), "missing"), (("repoDirectory",), "extra_forbidden"),
    }  # fmt: skip


def test_its_account_may_ask_who_calls_and_is_the_one_that_the_workspace_runs_as() -> None:
    found: dict[str, dict[str, Any]] = {one["kind"]: one for one in objects(FILE)}
    assert len(objects(FILE)) == len(found) == 3
    account, binding, stack = found["ServiceAccount"], found["ClusterRoleBinding"], found["Stack"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", **account["metadata"]}]
    assert binding["roleRef"]["name"] == "system:auth-delegator"
    assert stack["spec"]["serviceAccountName"] == account["metadata"]["name"]
    assert stack["metadata"]["namespace"] == account["metadata"]["namespace"]


def test_no_secret_is_written_into_it() -> None:
    (spec,) = [one["spec"] for one in objects(FILE) if one["kind"] == "Stack"]
    assert "secrets" not in spec
    assert spec["envRefs"]["PULUMI_CONFIG_PASSPHRASE"]["type"] == "Secret"


def test_places_that_are_written_to_are_those_of_the_image() -> None:
    (*_, last) = parse((ROOT / "deploy" / "container" / "Containerfile").read_text(), {})
    (values,) = [pairs(step.rest) for step in last.steps if step.word == "ENV"]
    stack = described(FILE)
    assert {mount.mountPath for mount in stack.container.volumeMounts} == {
        values["HOME"], f"{values['PULUMI_HOME']}/workspaces", "/tmp",
    }  # fmt: skip
    assert values["PULUMI_CREDENTIALS_PATH"].startswith(values["HOME"])
    assert [volume.name for volume in stack.volumes] == [mount.name for mount in stack.container.volumeMounts]
