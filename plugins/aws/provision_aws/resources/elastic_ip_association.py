"""`ec2:ElasticIpAssociation`: who has a public address."""

from collections.abc import Iterator
from typing import Any

from provision.errors import RetriableError
from provision.spi import Operation
from provision_aws.kinds import ELASTIC_IP
from provision_aws.reading import Live
from provision_aws.resources.belonging import Belonging
from provision_aws.resources.interface_model import ElasticIpAssociationInputs, ElasticIpAssociationOutputs
from provision_aws.session import Session

_OF_ADDRESS = "eipalloc-"
"""What the refusal of an address that somebody has names: its id, not that of an interface or a machine."""


class ElasticIpAssociation(Belonging[ElasticIpAssociationInputs, ElasticIpAssociationOutputs]):
    """The association of an elastic IP address with an interface or a machine."""

    token = "ec2:ElasticIpAssociation"
    Inputs = ElasticIpAssociationInputs
    Outputs = ElasticIpAssociationOutputs
    noun = "association of an elastic IP address"
    whole = ELASTIC_IP
    taken = ("Resource.AlreadyAssociated", "InvalidIPAddress.InUse")

    def whole_id(self, inputs: ElasticIpAssociationInputs) -> str:
        """The address."""
        return inputs.allocation_id

    def key(self, live: Live, part: Live) -> str:
        """EC2's id."""
        return str(part["AssociationId"])

    def parts(self, live: Live) -> Iterator[Live]:
        """There is one, or none."""
        if live.get("AssociationId"):
            yield live

    def clashes(self, live: Live, part: Live, inputs: ElasticIpAssociationInputs) -> bool:
        """An address is with one interface."""
        return True

    def refused(self, error: Exception) -> Exception:
        """Who has the address is not shown yet, which passes; otherwise the interface has another one."""
        if _OF_ADDRESS in str(error):
            return RetriableError(f"the address is given to somebody who is not shown yet ({error})", "run again")
        return super().refused(error)

    def make(self, session: Session, inputs: ElasticIpAssociationInputs) -> None:
        """One call, which takes the address away from nobody."""
        wanted = {
            "NetworkInterfaceId": inputs.network_interface_id,
            "InstanceId": inputs.instance_id,
            "PrivateIpAddress": inputs.private_ip_address,
        }
        given = {key: value for key, value in wanted.items() if value is not None}
        session.client().associate_address(AllocationId=inputs.allocation_id, AllowReassociation=False, **given)

    def remove(self, operation: Operation, live: Live, part: Live, inputs: ElasticIpAssociationInputs | None) -> None:
        """One call."""
        operation.session.client().disassociate_address(AssociationId=part["AssociationId"])

    def seen(self, live: Live, part: Live, recorded: ElasticIpAssociationInputs | None) -> dict[str, Any]:
        """By machine where that is how it is recorded."""
        by_machine = recorded is not None and recorded.instance_id is not None
        address = part.get("PrivateIpAddress") or None
        return {
            "allocation_id": live["AllocationId"],
            "network_interface_id": None if by_machine else part.get("NetworkInterfaceId") or None,
            "instance_id": part.get("InstanceId") or None if by_machine else None,
            "private_ip_address": address if recorded is not None and recorded.private_ip_address else None,
        }

    def told(self, live: Live, part: Live) -> dict[str, Any]:
        """The address."""
        return {"public_ip": live["PublicIp"], "association_id": part["AssociationId"]}
