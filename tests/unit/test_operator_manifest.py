"""The description for the Pulumi Kubernetes Operator fits the operator, the image, and itself."""

from pathlib import Path
from typing import Any

import pytest
from containerfile import pairs, parse
from operator_workspace import Stack, described, objects
from pydantic import ValidationError

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "kubernetes" / "stack.yaml"


def test_it_is_what_the_operator_knows() -> None:
    stack = described(FILE)
    assert stack.workspaceTemplate.spec.securityProfile == "restricted"  # which runs as user 1000, as the image does
    assert not stack.destroyOnFinalize


def test_a_field_that_the_operator_would_drop_is_refused() -> None:
    (spec,) = [one["spec"] for one in objects(FILE) if one["kind"] == "Stack"]
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Stack.model_validate(spec | {"repoDirectory": "stacks/web"})


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
