"""Images, snapshots and types that a file names are held against what EC2 tells of them, before the first call."""

import pytest
import yaml
from aws_planning import planned, refused
from botocore.stub import ANY
from provision_aws.existing import look
from provision_aws.instance_types import choose
from provision_aws.resources import Volume
from provision_aws.wanted import InstanceRequirements

from provision.errors import UserError
from provision.models import Stack
from provision.spi import ChoiceRequest, CreateRequest, Operation, Output

AMI, OTHER, SNAPSHOT = "ami-0123456789abcdef0", "ami-0fedcba9876543210", "snap-0123456789abcdef0"
THERE = {"architecture": "x86_64", "boot": "uefi-preferred", "state": "available", "snapshot": SNAPSHOT, "size": 8}
LARGE = {
    "VCpuInfo": {"DefaultVCpus": 2, "DefaultCores": 1, "ValidThreadsPerCore": [1, 2]},
    "MemoryInfo": {"SizeInMiB": 8192},
    "ProcessorInfo": {"SupportedArchitectures": ["x86_64"], "SupportedFeatures": ["amd-sev-snp"]},
    "NetworkInfo": {"MaximumNetworkInterfaces": 3, "Ipv6Supported": True},
    "BurstablePerformanceSupported": False,
    "NitroTpmSupport": "supported",
    "DedicatedHostsSupported": True,
}
ZONES = ["us-east-2a", "us-east-2b"]


def text(machine="size: {aws: m6a.large}", disk="size: 8GiB", policies="{}", image=AMI, network="{cidr: 10.20.1.0/24}"):
    return f"""
images:
  own: {{sources: {{aws: {{kind: named, name: {image}}}}}}}
  data: {{sources: {{aws: {{kind: named, name: {SNAPSHOT}}}}}}}
  told: {{sources: {{aws: {{kind: ssm, parameter: /app/image, refresh: true}}}}}}
networks: {{lan: {network}}}
machines: {{web: {{image: own, memory: 1GiB, nics: [{{network: lan}}], disks: {{d: {{{disk}}}}}, {machine}}}}}
isolation: {{policies: {policies}}}
"""


def told(**changes):
    """What is told of the images and the type, some of it otherwise."""
    image, kind = dict(THERE), {**LARGE, "zones": ZONES}
    for name, value in changes.items():
        if name in image:
            image[name] = value
        else:
            kind[name] = value
    return {"images": {AMI: image, SNAPSHOT: {"snapshot": SNAPSHOT, "size": 8}}, "types": {"m6a.large": kind}}


def test_what_is_there_and_fits_is_planned():
    assert "machines/web/instance" in planned(text(), existing=told())


def test_where_nobody_looked_the_file_is_believed():
    assert "machines/web/instance" in planned(text())


@pytest.mark.parametrize(
    ("given", "changes", "reason"),
    [
        ({"image": OTHER}, {}, f"there is no image {OTHER} in the region us-east-2"),
        ({}, {"architecture": "arm64"}, "of the architecture arm64, and machine 'web' is to be x86_64"),
        ({}, {"state": "deregistered"}, f"the image {AMI} is deregistered"),
        ({}, {"snapshot": ""}, "is not of EBS"),
        ({"machine": "root: {size: 4GiB}"}, {}, f"{AMI} has 8 GiB, and the root disk of machine 'web' 4"),
        (
            {"policies": "{p: {kind: memory_encryption, machines: [machine.*]}}"},
            {"boot": "legacy-bios"},
            "starts by BIOS, and AMD SEV-SNP needs UEFI",
        ),
        ({"disk": "size: 4GiB, image: data"}, {}, f"{SNAPSHOT} has 8 GiB, and the disk 'd' of machine 'web' 4"),
        ({"image": SNAPSHOT}, {}, f"machines start from no snapshot such as {SNAPSHOT}"),
        ({}, {"near": ["m6a.xlarge"]}, "there is no instance type 'm6a.large' in the region us-east-2"),
        ({"machine": "size: {aws: m6a.large}, overrides: {aws: {architecture: arm64}}"}, {"architecture": "arm64"},
         "the type m6a.large of machine 'web' lacks the architecture arm64"),
        (
            {"policies": "{p: {kind: dedicated_cpus, machines: [machine.*]}}"},
            {"BurstablePerformanceSupported": True},
            "lacks CPUs of its own",
        ),
        (
            {"policies": "{p: {kind: memory_encryption, machines: [machine.*]}}"},
            {"ProcessorInfo": {"SupportedArchitectures": ["x86_64"]}},
            "lacks AMD SEV-SNP",
        ),
        (
            {"policies": "{p: {kind: dedicated_cpus, machines: [machine.*], smt: isolate}}"},
            {"VCpuInfo": {"DefaultVCpus": 2, "DefaultCores": 2, "ValidThreadsPerCore": [2]}},
            "lacks 1 threads per core",
        ),
        ({}, {"zones": ["us-east-2c"]}, "EC2 has no m6a.large in us-east-2a, where the networks of machine 'web' are"),
        (
            {"network": "{cidr: 10.20.1.0/24, cidr6: 'fd00::/64'}"},
            {"NetworkInfo": {"MaximumNetworkInterfaces": 3, "Ipv6Supported": False}},
            "lacks IPv6",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(given, changes, reason):
    said = refused(text(**given), existing=told(**changes))

    assert any(reason in one for one in said), said


def test_a_named_type_wins_over_cpus_and_memory():
    small = {"VCpuInfo": {"DefaultVCpus": 1, "DefaultCores": 1}, "MemoryInfo": {"SizeInMiB": 512}}

    assert "machines/web/instance" in planned(text("size: {aws: m6a.large}, cpus: 64"), existing=told(**small))


@pytest.mark.parametrize(
    ("image", "inputs"),
    [
        ("data", {"snapshot_id": SNAPSHOT}),
        ("own", {"image": {"image_id": AMI, "architecture": "x86_64"}}),
        ("told", {"image": {"ssm_parameter": "/app/image", "architecture": "x86_64"}, "choose_image_anew": True}),
    ],
)
def test_data_disks_start_from_snapshots_and_images(image, inputs):
    made = planned(text(disk=f"size: 8GiB, image: {image}"))["machines/web/disk-d"].inputs

    assert {name: made[name] for name in inputs} == inputs
    assert made["encrypted"] is True


def test_root_disks_are_as_fast_as_overrides_say():
    fast = "overrides: {aws: {root_disk: {iops: 6000, throughput: 500}}}"

    made = planned(text(f"root: {{size: 20GiB}}, {fast}"))["machines/web/instance"].inputs["root_disk"]
    said = refused(text(f"root: {{size: 20GiB, type: gp2}}, {fast}"))

    assert made == {"encrypted": True, "iops": 6000, "throughput": 500, "size_gib": 20}
    assert any("'root_disk' says how fast a disk of gp3 is, and the root disk is of gp2" in one for one in said), said


def test_labels_are_tags_of_addresses_and_route_tables_too():
    network = "{cidr: 10.20.1.0/24, internet: routed, labels: {side: outer}}"
    nodes = planned(text("labels: {tier: web}", network=network).replace("network: lan", "network: lan, public: true"))

    assert nodes["machines/web/nic-0/address"].inputs["tags"] == {"tier": "web"}
    assert nodes["networks/lan/routes"].inputs["tags"] == {"side": "outer"}
    assert nodes["networks/lan/subnet"].inputs["tags"] == {"side": "outer"}
    assert nodes["machines/web/nic-0"].inputs["subnet_id"] == Output("networks/lan/subnet", "id")


# --- what is asked, and answered, in the forms of AWS's documents


def described(size=8):
    disk = {"SnapshotId": SNAPSHOT, "VolumeSize": size, "VolumeType": "gp3", "Encrypted": False}
    return {
        "ImageId": AMI,
        "Architecture": "x86_64",
        "BootMode": "uefi-preferred",
        "State": "available",
        "RootDeviceName": "/dev/xvda",
        "RootDeviceType": "ebs",
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
            {"DeviceName": "/dev/xvda", "Ebs": disk},
        ],
    }


def stack(given):
    return Stack.model_validate({"version": 1, "platform": "aws", **yaml.safe_load(given)})


def test_ids_are_looked_at_all_at_once(session, ec2):
    ec2.add_response(
        "describe_images",
        {"Images": [described()]},
        {"Filters": [{"Name": "image-id", "Values": [AMI]}], "MaxResults": 1000},
    )
    ec2.add_response(
        "describe_snapshots",
        {"Snapshots": [{"SnapshotId": SNAPSHOT, "VolumeSize": 8, "State": "completed"}]},
        {"Filters": [{"Name": "snapshot-id", "Values": [SNAPSHOT]}], "MaxResults": 1000},
    )

    found = look(session, stack(text("cpus: 1", disk="size: 8GiB, image: data")))

    assert found == {"images": {AMI: THERE, SNAPSHOT: {"snapshot": SNAPSHOT, "size": 8}}}
    ec2.assert_no_pending_responses()


BURSTING = "{p: {kind: dedicated_cpus, machines: [machine.*]}}"


@pytest.mark.parametrize(
    ("machine", "policies", "asked"),
    [
        ("size: {aws: m5.large}", "{}", None),
        ("size: {aws: t3.micro}", "{}", None),
        ("size: {aws: m6g.large}, overrides: {aws: {architecture: arm64}}", "{}", "m6g.large"),
        ("size: {aws: m5.large}, overrides: {aws: {architecture: arm64}}", "{}", "m5.large"),
        ("size: {aws: m7i.large}", "{}", "m7i.large"),
        ("size: {aws: m5.lage}", "{}", "m5.lage"),
        ("size: {aws: m5.large}", BURSTING, "m5.large"),
    ],
)
def test_of_a_type_that_will_do_for_sure_nobody_is_asked(session, ec2, machine, policies, asked):
    ec2.add_response("describe_images", {"Images": []})
    if asked is not None:
        wanted = {"Filters": [{"Name": "instance-type", "Values": [asked]}]}
        known = [{"InstanceType": asked, **LARGE}] if asked != "m5.lage" else []
        ec2.add_response("describe_instance_types", {"InstanceTypes": known}, wanted)
        if known:
            where = [{"InstanceType": asked, "LocationType": "availability-zone", "Location": "eu-central-1b"}]
            wanted = wanted | {"LocationType": "availability-zone"}
            ec2.add_response("describe_instance_type_offerings", {"InstanceTypeOfferings": where}, wanted)

    found = look(session, stack(text(machine, policies=policies)))

    assert list(found.get("types", {})) == ([] if asked is None else [asked])
    ec2.assert_no_pending_responses()
    if asked not in (None, "m5.lage"):
        assert found["types"][asked]["zones"] == ["eu-central-1b"]
    if asked == "m5.lage":
        assert "m5.large" in found["types"][asked]["near"]


def test_the_closest_of_types_that_are_too_small_is_the_largest(session, ec2):
    kinds = [{"InstanceType": name, **LARGE, "VCpuInfo": {"DefaultVCpus": cpus}} for name, cpus in (("a", 1), ("b", 9))]
    ec2.add_response("describe_instance_types", {"InstanceTypes": kinds})

    with pytest.raises(UserError, match="; b comes closest and lacks enough CPUs"):
        choose(session, InstanceRequirements(cpus=1000, memory_mib=1))


def choice(session, size):
    inputs = {"image": {"image_id": AMI}, "size_gib": size}
    return Volume().choose(ChoiceRequest(Operation(urn="urn", session=session), "snapshot_id", inputs))


def test_a_disk_starts_from_the_snapshot_of_its_images_root_disk(session, ec2):
    ec2.add_response("describe_images", {"Images": [described()]}, {"ImageIds": [AMI]})
    assert choice(session, 8) == SNAPSHOT
    with pytest.raises(UserError, match="has 8 GiB, and the disk 4"):
        choice(session, 4)

    live = {"VolumeId": "vol-1", "Size": 8, "VolumeType": "gp3", "State": "available", "Encrypted": True}
    live |= {"AvailabilityZone": "eu-central-1a", "SnapshotId": SNAPSHOT}
    ec2.add_response("describe_volumes", {"Volumes": []})
    asked = {"AvailabilityZone": "eu-central-1a", "Size": 8, "VolumeType": "gp3", "Encrypted": True}
    asked |= {"SnapshotId": SNAPSHOT, "TagSpecifications": ANY, "ClientToken": ANY}
    ec2.add_response("create_volume", live, asked)
    inputs = Volume.Inputs.model_validate(
        {"stack_id": "ab" * 16, "availability_zone": "eu-central-1a", "size_gib": 8, "image": {"image_id": AMI}}
        | {"snapshot_id": SNAPSHOT}
    )
    made = Volume().create(CreateRequest(Operation(urn="urn", session=session), inputs))
    assert made.id == "vol-1"
    ec2.assert_no_pending_responses()
