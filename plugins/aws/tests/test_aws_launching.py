"""How machines are launched with what emulators drop: each request is held against botocore's own model of EC2."""

import pytest
from aws_recorded import STACK, create, described_machine, machine_inputs
from botocore.stub import ANY
from provision_aws.resources import Instance, machine_reading


def test_a_machine_is_launched_with_all_that_keeps_it_apart(session, ec2):
    ec2.add_response("describe_instances", {"Reservations": []})
    expected = {
        "ImageId": "ami-0123456789abcdef0",
        "InstanceType": "m6a.large",
        "MinCount": 1,
        "MaxCount": 1,
        "NetworkInterfaces": [
            {"DeviceIndex": 0, "SubnetId": "subnet-1", "Groups": ["sg-1"], "DeleteOnTermination": True}
        ],
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "HttpProtocolIpv6": "disabled",
            "InstanceMetadataTags": "disabled",
        },
        "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 1, "AmdSevSnp": "enabled"},
        "Placement": {"Tenancy": "host", "HostId": "h-0123456789abcdef0"},
        "TagSpecifications": ANY,
        "ClientToken": ANY,
    }
    ec2.add_response("run_instances", {"Instances": [described_machine()]}, expected)

    made = create(
        session,
        Instance,
        **machine_inputs(
            cpu_options={"core_count": 1, "threads_per_core": 1, "amd_sev_snp": "enabled"},
            placement={"tenancy": "host", "host_id": "h-0123456789abcdef0"},
        ),
    )

    assert made.id == "i-0123456789abcdef0"
    ec2.assert_no_pending_responses()


LAUNCHED = {
    "ImageId": "ami-0123456789abcdef0",
    "InstanceType": "m6a.large",
    "MinCount": 1,
    "MaxCount": 1,
    "NetworkInterfaces": ANY,
    "MetadataOptions": ANY,
    "TagSpecifications": ANY,
    "ClientToken": ANY,
}
TAKEN = "arn:aws:iam::123456789012:instance-profile/web"


@pytest.mark.parametrize(
    ("inputs", "asked", "told"),
    [
        (
            {"spot": {"max_price": "0.05"}},
            {
                "InstanceMarketOptions": {
                    "MarketType": "spot",
                    "SpotOptions": {
                        "MaxPrice": "0.05",
                        "SpotInstanceType": "one-time",
                        "InstanceInterruptionBehavior": "terminate",
                    },
                }
            },
            {"InstanceLifecycle": "spot", "SpotInstanceRequestId": "sir-1"},
        ),
        (
            {"placement": {"group_name": "parts", "partition_number": 3}},
            {"Placement": {"GroupName": "parts", "PartitionNumber": 3}},
            {"Placement": {"AvailabilityZone": "eu-central-1a", "GroupName": "parts", "PartitionNumber": 3}},
        ),
        (
            {"placement": {"tenancy": "dedicated"}},
            {"Placement": {"Tenancy": "dedicated"}},
            {"Placement": {"AvailabilityZone": "eu-central-1a", "Tenancy": "dedicated"}},
        ),
        (
            {
                "nics": [
                    {
                        "subnet_id": "subnet-1",
                        "security_group_ids": ["sg-1"],
                        "ipv6_addresses": ["::10"],
                        "subnet_ipv6_cidr_block": "2001:db8:1:2::/64",
                    }
                ]
            },
            {
                "NetworkInterfaces": [
                    {
                        "DeviceIndex": 0,
                        "SubnetId": "subnet-1",
                        "Ipv6Addresses": [{"Ipv6Address": "2001:db8:1:2::10"}],
                        "Groups": ["sg-1"],
                        "DeleteOnTermination": True,
                    }
                ]
            },
            {},
        ),
        (
            {"termination_protection": True, "detailed_monitoring": True, "iam_instance_profile": "web"},
            {
                "DisableApiTermination": True,
                "Monitoring": {"Enabled": True},
                "IamInstanceProfile": {"Name": "web"},
            },
            {"Monitoring": {"State": "pending"}, "IamInstanceProfile": {"Arn": TAKEN, "Id": "AIPA1"}},
        ),
        (
            {
                "root_disk": {
                    "device_name": "/dev/xvda", "size_gib": 20, "iops": 6000, "throughput": 500,
                    "kms_key_id": "alias/own",
                }
            },
            {
                "BlockDeviceMappings": [
                    {
                        "DeviceName": "/dev/xvda",
                        "Ebs": {
                            "VolumeSize": 20, "VolumeType": "gp3", "Iops": 6000, "Throughput": 500, "Encrypted": True,
                            "KmsKeyId": "alias/own", "DeleteOnTermination": True,
                        },
                    }
                ]
            },
            {},
        ),
    ],
    ids=["spot", "partition", "dedicated", "ipv6", "protected", "fast-root"],
)  # fmt: skip
def test_what_emulators_drop_is_asked_for_as_ec2_takes_it_and_read_back(session, ec2, inputs, asked, told):
    plain = {"Placement": {"AvailabilityZone": "eu-central-1a"}, "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 2}}
    live = described_machine(**plain | told)
    ec2.add_response("describe_instances", {"Reservations": []})
    ec2.add_response("run_instances", {"Instances": [live]}, LAUNCHED | asked)
    wanted = Instance.Inputs.model_validate({"stack_id": STACK, **machine_inputs(**inputs)})

    made = create(session, Instance, **machine_inputs(**inputs))
    seen = machine_reading.inputs(live, None, wanted)

    assert made.id == live["InstanceId"]
    assert seen["placement"] == wanted.placement.model_dump()
    for name in ("spot", "detailed_monitoring", "iam_instance_profile"):
        assert seen[name] == getattr(wanted, name)
    ec2.assert_no_pending_responses()
