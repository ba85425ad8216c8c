"""What a machine is, as EC2 describes it, by the names of inputs and outputs."""

from collections.abc import Sequence
from typing import Any

from provision_aws.reading import Live
from provision_aws.resources.instance_model import InstanceInputs, InstanceNic
from provision_aws.resources.network_interface import ipv6_addresses, ipv6_of
from provision_aws.resources.power import power_of
from provision_aws.resources.volume import key_of, performance


def inputs(live: Live, volume: Live | None, recorded: InstanceInputs | None) -> dict[str, Any]:
    """The inputs that a machine has; what EC2 does not tell is as it is recorded.

    Args:
        live: the machine.
        volume: its root volume, where that matters.
        recorded: inputs whose spelling is kept.
    """
    options = live.get("MetadataOptions") or {}
    profile = (live.get("IamInstanceProfile") or {}).get("Arn")
    return {
        "image_id": live["ImageId"],
        "image": recorded.image if recorded is not None else None,
        "choose_image_anew": recorded.choose_image_anew if recorded is not None else False,
        "instance_type": live["InstanceType"],
        "requirements": recorded.requirements if recorded is not None else None,
        "choose_type_anew": recorded.choose_type_anew if recorded is not None else False,
        "type_reason": recorded.type_reason if recorded is not None else None,
        "nics": _nics(live, recorded.nics if recorded is not None else ()),
        "root_disk": _root_disk(live, volume, recorded),
        "key_name": live.get("KeyName") or None,
        "user_data_base64": recorded.user_data_base64 if recorded is not None else None,
        "metadata_options": {
            "http_endpoint": options.get("HttpEndpoint") or "enabled",
            "http_tokens": options.get("HttpTokens") or "optional",
            "http_put_response_hop_limit": options.get("HttpPutResponseHopLimit") or 1,
            "http_protocol_ipv6": options.get("HttpProtocolIpv6") or "disabled",
            "instance_metadata_tags": options.get("InstanceMetadataTags") or "disabled",
        },
        "cpu_options": _cpu(live, recorded),
        "placement": _placement(live, recorded),
        "spot": _spot(live, recorded),
        "iam_instance_profile": str(profile).rpartition("/")[2] if profile else None,
        "power": power_of(live),
        "termination_protection": recorded.termination_protection if recorded is not None else False,
        "detailed_monitoring": (live.get("Monitoring") or {}).get("State") in ("enabled", "pending"),
    }


def outputs(live: Live) -> dict[str, Any]:
    """The outputs of a machine."""
    nics = nics_of(live)
    first = nics[0] if nics else {}
    return {
        "instance_type": live["InstanceType"],
        "private_ip_address": live.get("PrivateIpAddress") or first.get("PrivateIpAddress", ""),
        "ipv6_addresses": sorted(ipv6_of(first)),
        "public_ip_address": live.get("PublicIpAddress") or None,
        "network_interface_ids": [nic["NetworkInterfaceId"] for nic in nics],
        "mac_addresses": [nic.get("MacAddress", "") for nic in nics],
        "availability_zone": (live.get("Placement") or {}).get("AvailabilityZone", ""),
        "vpc_id": live.get("VpcId", ""),
        "root_volume_id": root_volume_id(live),
    }


def nics_of(live: Live) -> list[Live]:
    """Its interfaces, in order."""
    return sorted(live.get("NetworkInterfaces") or (), key=_index)


def root_mapping(live: Live) -> Live | None:
    """How its root disk is attached."""
    device = live.get("RootDeviceName")
    found = [item for item in live.get("BlockDeviceMappings") or () if item.get("Ebs")]
    return next((item for item in found if item.get("DeviceName") == device), None)


def root_volume_id(live: Live) -> str | None:
    """Id of its root volume."""
    mapping = root_mapping(live)
    return str(mapping["Ebs"]["VolumeId"]) if mapping is not None else None


def _index(nic: Live) -> int:
    return int((nic.get("Attachment") or {}).get("DeviceIndex", 0))


def _nics(live: Live, recorded: Sequence[InstanceNic]) -> list[dict[str, Any]]:
    return [_nic(nic, recorded[index] if index < len(recorded) else None) for index, nic in enumerate(nics_of(live))]


def _nic(nic: Live, recorded: InstanceNic | None) -> dict[str, Any]:
    own = (nic.get("Attachment") or {}).get("DeleteOnTermination", False)
    if (recorded is None and not own) or (recorded is not None and recorded.network_interface_id is not None):
        return {"network_interface_id": nic["NetworkInterfaceId"]}
    addresses, prefix, groups = ipv6_of(nic), None, [str(group["GroupId"]) for group in nic.get("Groups") or ()]
    public = (nic.get("Association") or {}).get("IpOwnerId") == "amazon" or None
    if recorded is not None:
        if sorted(ipv6_addresses(recorded)) == sorted(addresses):
            addresses, prefix = list(recorded.ipv6_addresses), recorded.subnet_ipv6_cidr_block
        if set(groups) == set(recorded.security_group_ids):
            groups = list(recorded.security_group_ids)
        public = recorded.associate_public_ip_address
    chosen = recorded is None or recorded.private_ip_address is not None
    return {
        "subnet_id": nic["SubnetId"],
        "private_ip_address": nic["PrivateIpAddress"] if chosen else None,
        "ipv6_addresses": addresses,
        "subnet_ipv6_cidr_block": prefix,
        "security_group_ids": groups,
        "source_dest_check": bool(nic.get("SourceDestCheck", True)),
        "associate_public_ip_address": public,
    }


def _root_disk(live: Live, volume: Live | None, recorded: InstanceInputs | None) -> dict[str, Any] | None:
    wanted = recorded.root_disk if recorded is not None else None
    mapping = root_mapping(live)
    if wanted is None or volume is None or mapping is None:
        return wanted.model_dump() if wanted is not None else None
    return {
        "device_name": mapping["DeviceName"] if wanted.device_name is not None else None,
        **performance(volume, wanted),
        **({"size_gib": None} if wanted.size_gib is None else {}),
        "encrypted": bool(volume.get("Encrypted")),
        "kms_key_id": key_of(volume, wanted),
        "delete_on_termination": bool(mapping["Ebs"].get("DeleteOnTermination")),
        "disposable": wanted.disposable,
    }


def _cpu(live: Live, recorded: InstanceInputs | None) -> dict[str, Any] | None:
    wanted = recorded.cpu_options if recorded is not None else None
    if wanted is None:
        return None
    told = live.get("CpuOptions") or {}
    return {
        "core_count": told.get("CoreCount") if wanted.core_count is not None else None,
        "threads_per_core": told.get("ThreadsPerCore") if wanted.threads_per_core is not None else None,
        "amd_sev_snp": told.get("AmdSevSnp") if wanted.amd_sev_snp is not None else None,
    }


def _placement(live: Live, recorded: InstanceInputs | None) -> dict[str, Any]:
    told = live.get("Placement") or {}
    tenancy = told.get("Tenancy") or "default"
    chosen = recorded is None or recorded.placement.host_id is not None
    return {
        "tenancy": tenancy,
        "host_id": (told.get("HostId") or None) if chosen and tenancy == "host" else None,
        "group_name": told.get("GroupName") or None,
        "partition_number": told.get("PartitionNumber") or None if told.get("GroupName") else None,
    }


def _spot(live: Live, recorded: InstanceInputs | None) -> Any:
    if live.get("InstanceLifecycle") != "spot":
        return None
    return recorded.spot if recorded is not None and recorded.spot is not None else {}
