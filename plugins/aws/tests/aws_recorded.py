"""What EC2 answers in the forms of AWS's documents, for tests of what no emulator has."""

from datetime import UTC, datetime

from provision.spi import CreateRequest, Operation

STACK = "ab" * 16
MARKERS = [{"Key": "provision:stack", "Value": STACK}, {"Key": "provision:urn", "Value": "urn"}]


def described_machine(**more):
    """A machine as `DescribeInstances` tells it (EC2 API Reference, Instance)."""
    return {
        "InstanceId": "i-0123456789abcdef0",
        "ImageId": "ami-0123456789abcdef0",
        "InstanceType": "m6a.large",
        "State": {"Code": 16, "Name": "running"},
        "Placement": {"AvailabilityZone": "eu-central-1a", "Tenancy": "dedicated", "GroupName": ""},
        "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 1, "AmdSevSnp": "enabled"},
        "MetadataOptions": {
            "State": "applied",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "HttpEndpoint": "enabled",
            "HttpProtocolIpv6": "disabled",
            "InstanceMetadataTags": "disabled",
        },
        "BootMode": "uefi",
        "CurrentInstanceBootMode": "uefi",
        "TpmSupport": "v2.0",
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeId": "vol-1", "Status": "attached"}}],
        "NetworkInterfaces": [],
        "LaunchTime": datetime(2026, 1, 1, tzinfo=UTC),
        "Tags": MARKERS,
        **more,
    }


def create(session, kind, **inputs):
    operation = Operation(urn="urn", session=session)
    return kind().create(CreateRequest(operation, kind.Inputs.model_validate({"stack_id": STACK, **inputs})))


def machine_inputs(**more):
    nics = [{"subnet_id": "subnet-1", "security_group_ids": ["sg-1"]}]
    return {"image_id": "ami-0123456789abcdef0", "instance_type": "m6a.large", "nics": nics, **more}
