"""Instances of others in the subnets of a stack."""

from collections.abc import Sequence

from provision.spi import DeployedMachine, NativeState, Stranger
from provision_aws.kinds import NETWORK_INTERFACE
from provision_aws.readers.tables import asked
from provision_aws.session import Session


def strangers(
    session: Session, networks: Sequence[NativeState], machines: Sequence[DeployedMachine]
) -> Sequence[Stranger]:
    """Instances with an interface in one of the subnets that are none of `machines`.

    Raises:
        PlatformError: EC2 does not answer.
    """
    ours = {native.id for machine in machines if (native := machine.native("ec2:Instance")) is not None}
    subnets = {native.id: native.name for native in networks if native.token == "ec2:Subnet"}
    found = {
        (subnets[str(nic["SubnetId"])], str((nic.get("Attachment") or {}).get("InstanceId") or ""))
        for nic in asked(session, NETWORK_INTERFACE, "subnet-id", subnets)
    }
    # What Amazon's own services have there is attached to no instance.
    others = sorted((network, instance) for network, instance in found if instance and instance not in ours)
    return [Stranger(network, f"the instance {instance}") for network, instance in others]
