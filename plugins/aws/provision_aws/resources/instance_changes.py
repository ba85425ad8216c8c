"""Bringing a machine that is there in line with what is wanted."""

from typing import Any

from provision.errors import UserError
from provision.spi import Operation
from provision_aws.kinds import VOLUME
from provision_aws.reading import Live
from provision_aws.resources.instance_model import InstanceInputs
from provision_aws.resources.launching import metadata, user_data
from provision_aws.resources.machine_reading import nics_of, root_mapping, root_volume_id
from provision_aws.resources.power import power_of, start, stop
from provision_aws.resources.volume import modify
from provision_aws.session import Session


def bring_in_line(operation: Operation, live: Live, inputs: InstanceInputs) -> bool:
    """Change what differs, and restart the machine where EC2 wants it stopped for that; whether anything was changed.

    Raises:
        botocore.exceptions.ClientError: EC2 refuses.
        UserError: interfaces that cannot come and go.
    """
    session: Session = operation.session
    identity = str(live["InstanceId"])
    changes = [
        _interfaces(session, live, inputs),
        _groups(session, live, inputs),
        _metadata(session, live, inputs),
        _monitoring(session, live, inputs),
        _protection(session, identity, inputs),
        _disk(operation, live, inputs),
    ]
    stopped = _while_stopped(session, live, inputs)
    if stopped:
        stop(operation, identity)
        for change in stopped:
            session.client().modify_instance_attribute(InstanceId=identity, **change)
    runs = power_of(live) == "running" and not stopped
    if inputs.power == "running" and not runs:
        start(operation, identity)
    if inputs.power == "stopped" and runs:
        stop(operation, identity)
    return any(changes) or bool(stopped) or (inputs.power == "running") != runs


def _interfaces(session: Session, live: Live, inputs: InstanceInputs) -> bool:
    """Interfaces behind the first may come and go when they outlive the machine."""
    now = {nic["NetworkInterfaceId"]: nic for nic in nics_of(live)}
    wanted = {nic.network_interface_id: index for index, nic in enumerate(inputs.nics) if nic.network_interface_id}
    inline = sum(1 for nic in inputs.nics if nic.subnet_id is not None)
    more = [identity for identity in wanted if identity not in now]
    fewer = [
        identity
        for identity, nic in now.items()
        if identity not in wanted and not nic["Attachment"].get("DeleteOnTermination")
    ]
    own = len(now) - len([identity for identity in now if identity in wanted]) - len(fewer)
    if own != inline:
        raise UserError(
            "network interfaces that are made with a machine cannot come or go while it lives",
            "give the machine interfaces of their own (`networkInterfaceId`), or have it replaced",
        )
    for identity in fewer:
        session.client().detach_network_interface(AttachmentId=now[identity]["Attachment"]["AttachmentId"])
    for identity in more:
        session.client().attach_network_interface(
            InstanceId=live["InstanceId"], NetworkInterfaceId=identity, DeviceIndex=wanted[identity]
        )
    return bool(more or fewer)


def _groups(session: Session, live: Live, inputs: InstanceInputs) -> bool:
    changed = False
    for nic, wanted in zip(nics_of(live), inputs.nics, strict=False):
        if wanted.subnet_id is None:
            continue
        change: list[dict[str, Any]] = []
        if {group["GroupId"] for group in nic.get("Groups") or ()} != set(wanted.security_group_ids):
            change.append({"Groups": wanted.security_group_ids})
        if bool(nic.get("SourceDestCheck", True)) != wanted.source_dest_check:
            change.append({"SourceDestCheck": {"Value": wanted.source_dest_check}})
        for item in change:
            session.client().modify_network_interface_attribute(NetworkInterfaceId=nic["NetworkInterfaceId"], **item)
            changed = True
    return changed


def _metadata(session: Session, live: Live, inputs: InstanceInputs) -> bool:
    told, wanted = live.get("MetadataOptions") or {}, metadata(inputs)
    if all(told.get(key, "disabled") == value for key, value in wanted.items()):
        return False
    session.client().modify_instance_metadata_options(InstanceId=live["InstanceId"], **wanted)
    return True


def _monitoring(session: Session, live: Live, inputs: InstanceInputs) -> bool:
    now = (live.get("Monitoring") or {}).get("State") in ("enabled", "pending")
    if now == inputs.detailed_monitoring:
        return False
    switch = session.client().monitor_instances if inputs.detailed_monitoring else session.client().unmonitor_instances
    switch(InstanceIds=[live["InstanceId"]])
    return True


def _protection(session: Session, identity: str, inputs: InstanceInputs) -> bool:
    ec2 = session.client()
    answer = ec2.describe_instance_attribute(InstanceId=identity, Attribute="disableApiTermination")
    if bool(answer["DisableApiTermination"].get("Value", False)) == inputs.termination_protection:
        return False
    ec2.modify_instance_attribute(InstanceId=identity, DisableApiTermination={"Value": inputs.termination_protection})
    return True


def _disk(operation: Operation, live: Live, inputs: InstanceInputs) -> bool:
    wanted, root, mapping = inputs.root_disk, root_volume_id(live), root_mapping(live)
    if wanted is None or root is None or mapping is None:
        return False
    session: Session = operation.session
    session.touched(root)
    volume = session.reader.look(VOLUME, root)
    changed = volume is not None and modify(operation, volume, wanted)
    if bool(mapping["Ebs"].get("DeleteOnTermination")) != wanted.delete_on_termination:
        session.client().modify_instance_attribute(
            InstanceId=live["InstanceId"],
            BlockDeviceMappings=[
                {
                    "DeviceName": mapping["DeviceName"],
                    "Ebs": {"DeleteOnTermination": wanted.delete_on_termination, "VolumeId": root},
                }
            ],
        )
        changed = True
    return changed


def _while_stopped(session: Session, live: Live, inputs: InstanceInputs) -> list[dict[str, Any]]:
    changes: list[dict[str, Any]] = []
    if inputs.instance_type is not None and live["InstanceType"] != inputs.instance_type:
        changes.append({"InstanceType": {"Value": inputs.instance_type}})
    wanted = user_data(inputs) or b""
    if _user_data(session, str(live["InstanceId"])) != wanted:
        changes.append({"UserData": {"Value": wanted}})
    return changes


def _user_data(session: Session, identity: str) -> bytes:
    from base64 import b64decode

    answer = session.client().describe_instance_attribute(InstanceId=identity, Attribute="userData")
    return b64decode((answer.get("UserData") or {}).get("Value") or "")
