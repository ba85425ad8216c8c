"""The policy that the plugin prints is complete, and gives no more than what it asks for."""

import json
import re
from pathlib import Path

import pytest
from aws_graphs import Graphs
from provision_aws import iam
from provision_aws.iam import allowed, policy
from provision_aws.iam_actions import ACTIONS, ASKED, VERIFIED
from provision_aws.provider import AwsProvider
from provision_aws.resources import Instance, SecurityGroup, Volume

from provision.spi import GraphBuilder, NeedsPermissions

TYPES = AwsProvider.resource_types
NOT_AT_WORK = ("conformance", "doctor", "emulator", "iam")
"""Modules in which nothing is asked of AWS for a stack."""

_WAYS = ("ingress", "egress")
SPELT = {
    "authorize_security_group_{inputs.direction}": _WAYS,
    "describe_instance_{what}": ("types", "type_offerings"),
    "revoke_security_group_{direction}": _WAYS,
}
"""Methods whose names are put together, as they stand in the source."""

MOST_CHARACTERS = 6144  # of a managed policy, blanks left out (IAM User Guide, "IAM and AWS STS quotas")


def statements(document):
    return {one["Sid"]: one for one in document["Statement"]}


def test_every_type_says_what_it_asks_for():
    assert sorted(ACTIONS) == sorted(kind.token for kind in TYPES)


def test_every_action_is_one_of_aws():
    from botocore.session import Session

    models = {"ec2": "ec2", "servicequotas": "service-quotas"}
    known = {
        f"{prefix}:{name}"
        for prefix, model in models.items()
        for name in Session().get_service_model(model).operation_names
    }

    assert {f"ec2:{name}" for names in ACTIONS.values() for name in names} | {*ASKED, *VERIFIED} <= known


def test_no_action_is_allowed_that_nothing_asks_for():
    from botocore import xform_name

    text = "\n".join(
        file.read_text() for file in Path(iam.__file__).parent.rglob("*.py") if not file.name.startswith(NOT_AT_WORK)
    )
    for spelt, words in SPELT.items():
        assert spelt in text
        text = text.replace(spelt, " ".join(spelt.partition("{")[0] + word for word in words))
    asked = set(re.findall(r"[a-z]+(?:_[a-z0-9]+)+", text))
    ours = {one for one in allowed(policy(TYPES)) if not one.startswith(("iam:", "kms:"))}  # EC2's own, in our name

    assert [one for one in sorted(ours) if xform_name(one.partition(":")[2]) not in asked] == []


def test_the_policy_fits_into_one():
    assert len(json.dumps(policy(TYPES), separators=(",", ":"))) <= MOST_CHARACTERS


def test_what_destroys_needs_the_marker_of_a_stack():
    told = statements(policy(TYPES))
    marked = {"Null": {"aws:ResourceTag/provision:stack": "false"}}

    destroying = told["DestroyOnlyWhatCarriesTheMarker"]
    assert destroying["Condition"] == told["TagOnlyWhatCarriesTheMarker"]["Condition"] == marked
    assert {"ec2:TerminateInstances", "ec2:DeleteVolume", "ec2:RevokeSecurityGroupIngress"} <= set(destroying["Action"])
    assert not [one for one in told["Change"]["Action"] if one.startswith(("ec2:Terminate", "ec2:Release"))]


def test_tags_come_with_what_is_made_alone():
    told = statements(policy(TYPES))["MarkWhatIsMade"]

    made = told["Condition"]["StringEquals"]["ec2:CreateAction"]
    assert told["Action"] == ["ec2:CreateTags"]
    assert {"RunInstances", "CreateVpc", "AuthorizeSecurityGroupEgress", "AllocateAddress", "ImportKeyPair"} <= set(
        made
    )
    assert "CreateTags" not in made
    assert "CreateRoute" not in made


def test_a_stack_gets_what_its_own_resources_need():
    graphs = Graphs()
    graphs.machine("web", "front", 10, [graphs.group("web")])

    told = policy(TYPES, graphs.made.build())

    assert {"ec2:RunInstances", "ec2:CreateSecurityGroup", "ec2:CreateVpc"} <= allowed(told)
    assert not {"ec2:CreateVolume", "ec2:AllocateHosts", "kms:CreateGrant", "iam:PassRole"} & allowed(told)


@pytest.mark.parametrize(
    ("kind", "inputs", "action"),
    [
        (Volume, {"kms_key_id": "alias/data"}, "kms:CreateGrant"),
        (Instance, {"root_disk": {"kms_key_id": "alias/data"}}, "kms:CreateGrant"),
        (Instance, {"iam_instance_profile": "web"}, "iam:PassRole"),
        (Instance, {"image": {"ssm_parameter": "/aws/x"}}, "ssm:GetParameter"),
    ],
)
def test_what_only_some_need_is_there_for_these(kind, inputs, action):
    made = GraphBuilder()
    made.add(kind, "it", inputs)
    without = GraphBuilder()
    without.add(SecurityGroup, "it", {})

    assert action in allowed(policy(TYPES, made.build()))
    assert action not in allowed(policy(TYPES, without.build()))


def test_the_plugin_tells_it_to_the_command():
    assert isinstance(AwsProvider(), NeedsPermissions)
    assert AwsProvider().permissions(None) == policy(TYPES)
