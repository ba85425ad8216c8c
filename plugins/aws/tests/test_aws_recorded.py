"""What no emulator has: requests and answers in the forms of AWS's documents, each held against botocore's own model.

Both what is asked and what is answered is refused by botocore when the service has no such shape.
"""

import pytest
from aws_recorded import MARKERS, STACK, create, described_machine, machine_inputs
from botocore.stub import ANY, Stubber
from provision_aws.evidence import evidence
from provision_aws.keys import described
from provision_aws.resources import DedicatedHost, Instance, PrefixList, SecurityGroupRule

from provision.errors import PlatformError, UserError
from provision.models import Stack
from provision.spi import DeployedMachine, EvidenceRequest, NativeState

POLICIES = {
    "alone": {"kind": "single_tenancy"},
    "cores": {"kind": "dedicated_cpus", "smt": "isolate"},
    "hidden": {"kind": "memory_encryption"},
    "signed": {"kind": "secure_boot", "vtpm": True},
    "token": {"kind": "metadata", "access": "token"},
    "closed": {"kind": "metadata"},
    "sealed": {"kind": "disk_encryption", "key": "alias/disks"},
    "apart": {"kind": "spread"},
    "parts": {"kind": "spread", "max_per": 2},
    "near": {"kind": "pack", "over": "rack"},
}


def nothing_left(ec2, kind):
    """No interrupted run left anything."""
    ec2.add_response(kind.kind.describe, {kind.kind.answer: []})


@pytest.mark.parametrize(
    ("code", "status", "advice"),
    [
        ("InsufficientInstanceCapacity", 500, "take another instance type or zone"),
        ("InsufficientHostCapacity", 500, "take another instance type or zone"),
        ("VcpuLimitExceeded", 400, "ask for a higher quota"),
        ("InstanceLimitExceeded", 400, "ask for a higher quota"),
    ],
)
def test_what_ec2_has_no_room_for_is_told_with_the_way_out(session, ec2, code, status, advice):
    ec2.add_response("describe_instances", {"Reservations": []})
    ec2.add_client_error("run_instances", code, "We currently do not have sufficient capacity.", status)

    with pytest.raises(PlatformError) as caught:
        create(session, Instance, **machine_inputs())

    assert code in caught.value.summary
    assert advice in caught.value.fix


@pytest.mark.parametrize(
    ("kind", "inputs", "method", "code"),
    [
        (
            SecurityGroupRule,
            {"security_group_id": "sg-1", "direction": "ingress", "ip_protocol": "-1", "cidr_ipv4": "10.0.0.0/8"},
            "authorize_security_group_ingress",
            "RulesPerSecurityGroupLimitExceeded",
        ),
        (
            PrefixList,
            {"prefix_list_name": "far", "address_family": "IPv4", "max_entries": 1000},
            "create_managed_prefix_list",
            "PrefixListLimitExceeded",
        ),
        (
            DedicatedHost,
            {"availability_zone": "eu-central-1a", "instance_type": "m5.large"},
            "allocate_hosts",
            "HostLimitExceeded",
        ),
    ],
)
def test_a_quota_is_told_as_one(session, ec2, kind, inputs, method, code):
    nothing_left(ec2, kind)
    ec2.add_client_error(method, code, "The limit is reached")

    with pytest.raises(PlatformError, match=code) as caught:
        create(session, kind, **inputs)

    assert "ask for a higher quota" in caught.value.fix


def test_a_dedicated_host_is_waited_for_and_one_that_fails_is_kept_in_state(session, ec2):
    def host(state):
        properties = {"InstanceType": "m5.large", "Cores": 48, "Sockets": 2, "TotalVCpus": 96}
        told = {"HostId": "h-1", "State": state, "AvailabilityZone": "eu-central-1a", "AutoPlacement": "off"}
        return {"Hosts": [told | {"HostProperties": properties, "HostRecovery": "off", "Tags": MARKERS}]}

    nothing_left(ec2, DedicatedHost)
    wanted = {"AvailabilityZone": "eu-central-1a", "InstanceType": "m5.large", "Quantity": 1, "AutoPlacement": "off"}
    expected = wanted | {"HostRecovery": "off", "TagSpecifications": ANY, "ClientToken": ANY}
    ec2.add_response("allocate_hosts", {"HostIds": ["h-1"]}, expected)
    ec2.add_response("describe_hosts", host("pending"))
    ec2.add_response("describe_hosts", host("permanent-failure"))

    with pytest.raises(PlatformError, match="it is permanent-failure"):
        create(session, DedicatedHost, availability_zone="eu-central-1a", instance_type="m5.large")


# --- evidence that no emulator gives


def shown(session, ec2, names, live, *, volume=None, before=()):
    document = {
        "version": 1,
        "platform": "aws",
        "networks": {"front": {"cidr": "10.20.1.0/24"}},
        "machines": {"web": {"image": "micro", "memory": "1GiB", "nics": [{"network": "front"}]}},
        "isolation": {"policies": {name: {"machines": ["machine.*"], **POLICIES[name]} for name in names}},
    }
    stack = Stack.model_validate(document)
    ec2.add_response("describe_instances", {"Reservations": [{"Instances": [live]}]})
    for method, answer in before:
        ec2.add_response(method, answer)
    if volume is not None:
        ec2.add_response("describe_volumes", {"Volumes": [{"VolumeId": "vol-1", "Tags": MARKERS, **volume}]})
    native = NativeState("ec2:Instance", "machines/web/instance", live["InstanceId"], {}, {"stack_id": STACK})
    machine = DeployedMachine("web", (native,))
    asked = tuple(stack.isolation.policies.values())
    request = EvidenceRequest(machine, asked, (), tuple((machine,) for _ in asked))
    answers = evidence(session, request)
    return [[(one.holds, one.text) for one in answer if one.kind == "accepted"] for answer in answers]


def test_what_ec2_confirms_is_accepted(session, ec2):
    found = shown(session, ec2, ["alone", "cores", "hidden", "signed", "token"], described_machine())

    assert found == [
        [(True, "tenancy dedicated")],
        [(True, "type m6a.large, whose cores are its own"), (True, "threads per core: 1")],
        [(True, "AMD SEV-SNP: enabled")],
        [(True, "started by uefi"), (True, "NitroTPM: v2.0")],
        [(True, "session tokens: required"), (True, "hop limit 1")],
    ]


def test_what_ec2_tells_otherwise_is_contradicted(session, ec2):
    options = {"State": "pending", "HttpTokens": "optional", "HttpPutResponseHopLimit": 3, "HttpEndpoint": "enabled"}
    live = described_machine(
        InstanceType="t3.small", Placement={"Tenancy": "default"}, CpuOptions={"CoreCount": 1, "ThreadsPerCore": 2},
        MetadataOptions=options, CurrentInstanceBootMode="legacy-bios", TpmSupport="",
    )  # fmt: skip
    found = shown(session, ec2, ["alone", "cores", "hidden", "signed", "token", "closed"], live)

    assert [[holds for holds, _ in answer] for answer in found] == [
        [False], [False, False], [False], [False, False], [False, False, None], [False, None],
    ]  # fmt: skip
    assert found[4][1][1] == "hop limit 3 instead of at most 1"
    assert found[5][1][1] == "EC2 is still applying the options of its metadata service"


@pytest.mark.parametrize(("key", "holds"), [("1234", True), ("9999", False)])
def test_the_key_of_a_disk_is_held_against_its_alias(session, ec2, key, holds):
    arn = "arn:aws:kms:eu-central-1:123456789012:key/"
    with Stubber(session.client("kms")) as kms:
        kms.add_response(
            "describe_key", {"KeyMetadata": {"KeyId": "1234", "Arn": arn + "1234"}}, {"KeyId": "alias/disks"}
        )
        found = shown(session, ec2, ["sealed"], described_machine(), volume={"Encrypted": True, "KmsKeyId": arn + key})

    assert found[0][0][0] is holds


def test_a_disk_that_is_not_encrypted_is_told(session, ec2):
    found = shown(session, ec2, ["sealed"], described_machine(), volume={"Encrypted": False})

    assert found == [[(False, "/dev/xvda not encrypted")]]


@pytest.mark.parametrize(
    ("name", "placement", "strategy", "holds"),
    [
        ("apart", {"GroupName": "g"}, "spread", True),
        ("apart", {"GroupName": "g"}, "cluster", False),
        ("apart", {"GroupName": ""}, None, False),
        ("parts", {"GroupName": "g", "PartitionNumber": 2}, "partition", True),
        ("parts", {"GroupName": "g"}, "partition", False),
        ("near", {"GroupName": "g"}, "cluster", True),
    ],
)
def test_where_a_machine_lies_is_told(session, ec2, name, placement, strategy, holds):
    groups = [{"GroupName": "g", "GroupId": "pg-1", "State": "available", "Strategy": strategy}]
    before = [("describe_placement_groups", {"PlacementGroups": groups})] if strategy else []
    found = shown(session, ec2, [name], described_machine(Placement=placement), before=before)

    assert all(one for one, _ in found[0]) is holds


def test_a_key_that_is_not_there_is_told(session):
    with Stubber(session.client("kms")) as kms:
        kms.add_client_error("describe_key", "NotFoundException", "Alias arn:… is not found.")

        with pytest.raises(UserError, match="there is no KMS key 'alias/none'"):
            described(session, "alias/none")
