"""The one call that makes a machine."""

import base64
from typing import Any

from provision_aws.reading import Live
from provision_aws.resources.instance_model import InstanceInputs, InstanceNic, RootDisk
from provision_aws.resources.network_interface import ipv6_addresses
from provision_aws.session import Session


def request(session: Session, inputs: InstanceInputs, tags: list[dict[str, Any]]) -> dict[str, Any]:
    """Parameters of `RunInstances`."""
    markers = tags[0]["Tags"]
    tagged = ["instance", "volume"]
    tagged += ["network-interface"] if any(nic.subnet_id is not None for nic in inputs.nics) else []
    tagged += ["spot-instances-request"] if inputs.spot is not None else []
    cpu = inputs.cpu_options
    wanted: dict[str, Any] = {
        "ImageId": inputs.image_id,
        "InstanceType": inputs.instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "NetworkInterfaces": [_nic(index, nic) for index, nic in enumerate(inputs.nics)],
        "BlockDeviceMappings": [_disk(session, inputs)] if inputs.root_disk is not None else None,
        "KeyName": inputs.key_name,
        "UserData": user_data(inputs),
        "MetadataOptions": metadata(inputs),
        "CpuOptions": _given(
            CoreCount=_cores(session, inputs), ThreadsPerCore=cpu.threads_per_core, AmdSevSnp=cpu.amd_sev_snp
        )
        if cpu is not None
        else None,
        "Placement": _placement(inputs),
        "InstanceMarketOptions": _spot(inputs),
        "IamInstanceProfile": {"Name": inputs.iam_instance_profile} if inputs.iam_instance_profile else None,
        "DisableApiTermination": inputs.termination_protection or None,
        "Monitoring": {"Enabled": True} if inputs.detailed_monitoring else None,
        "TagSpecifications": [{"ResourceType": kind, "Tags": markers} for kind in tagged],
    }
    return {key: value for key, value in wanted.items() if value is not None and value != {}}


def user_data(inputs: InstanceInputs) -> bytes | None:
    """User data before it is encoded; botocore encodes it."""
    data = inputs.user_data_base64
    return base64.b64decode(data.get_secret_value()) if data is not None else None


def metadata(inputs: InstanceInputs) -> dict[str, Any]:
    """Options of the metadata service, all of them: nothing is left to the account's defaults."""
    options = inputs.metadata_options
    return {
        "HttpEndpoint": options.http_endpoint,
        "HttpTokens": options.http_tokens,
        "HttpPutResponseHopLimit": options.http_put_response_hop_limit,
        "HttpProtocolIpv6": options.http_protocol_ipv6,
        "InstanceMetadataTags": options.instance_metadata_tags,
    }


def checks_off(session: Session, live: Live, inputs: InstanceInputs) -> bool:
    """Switch source and destination checks off where they are not wanted; a launch cannot say so.

    Raises:
        botocore.exceptions.ClientError: EC2 refuses.
    """
    by_index = {nic["Attachment"]["DeviceIndex"]: nic for nic in live.get("NetworkInterfaces") or ()}
    changed = False
    for index, nic in enumerate(inputs.nics):
        if not nic.source_dest_check and index in by_index:
            session.client().modify_network_interface_attribute(
                NetworkInterfaceId=by_index[index]["NetworkInterfaceId"], SourceDestCheck={"Value": False}
            )
            changed = True
    return changed


def _nic(index: int, nic: InstanceNic) -> dict[str, Any]:
    if nic.network_interface_id is not None:
        return {"DeviceIndex": index, "NetworkInterfaceId": nic.network_interface_id}
    return _given(
        DeviceIndex=index,
        SubnetId=nic.subnet_id,
        PrivateIpAddress=nic.private_ip_address,
        Ipv6Addresses=[{"Ipv6Address": one} for one in ipv6_addresses(nic)] or None,
        Groups=nic.security_group_ids,
        AssociatePublicIpAddress=nic.associate_public_ip_address,
        DeleteOnTermination=True,
    )


def _cores(session: Session, inputs: InstanceInputs) -> int | None:
    """Cores to ask for: EC2 ignores a number of threads without."""
    from provision_aws.instance_types import cores

    cpu = inputs.cpu_options
    if cpu is None or cpu.threads_per_core is None or cpu.core_count is not None:
        return cpu.core_count if cpu is not None else None
    return cores(session, str(inputs.instance_type))


def _disk(session: Session, inputs: InstanceInputs) -> dict[str, Any]:
    from provision_aws.images import root_device

    disk = inputs.root_disk or RootDisk()
    ebs = _given(
        VolumeSize=disk.size_gib,
        VolumeType=disk.volume_type,
        Iops=disk.iops,
        Throughput=disk.throughput,
        Encrypted=disk.encrypted or None,
        KmsKeyId=disk.kms_key_id,
        DeleteOnTermination=disk.delete_on_termination,
    )
    return {"DeviceName": disk.device_name or root_device(session, str(inputs.image_id)), "Ebs": ebs}


def _placement(inputs: InstanceInputs) -> dict[str, Any]:
    placement = inputs.placement
    return _given(
        Tenancy=placement.tenancy if placement.tenancy != "default" else None,
        HostId=placement.host_id,
        GroupName=placement.group_name,
        PartitionNumber=placement.partition_number,
    )


def _spot(inputs: InstanceInputs) -> dict[str, Any] | None:
    if inputs.spot is None:
        return None
    options = _given(
        MaxPrice=inputs.spot.max_price,
        SpotInstanceType="one-time",
        InstanceInterruptionBehavior=inputs.spot.interruption,
    )
    return {"MarketType": "spot", "SpotOptions": options}


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
