"""`ec2:ElasticIp`: a public address that stays."""

from typing import Any

from provision_aws.kinds import ELASTIC_IP
from provision_aws.reading import Live
from provision_aws.resources.base import Native
from provision_aws.resources.interface_model import ElasticIpInputs, ElasticIpOutputs
from provision_aws.resources.native_model import TaggedQuery
from provision_aws.session import Session

_AMAZONS_POOL = "amazon"


class ElasticIp(Native[ElasticIpInputs, ElasticIpOutputs]):
    """An elastic IP address."""

    token = "ec2:ElasticIp"
    Inputs = ElasticIpInputs
    Outputs = ElasticIpOutputs
    Query = TaggedQuery
    kind = ELASTIC_IP

    def make(self, session: Session, inputs: ElasticIpInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call."""
        pool = {"PublicIpv4Pool": inputs.public_ipv4_pool} if inputs.public_ipv4_pool else {}
        made: Live = session.client().allocate_address(Domain="vpc", TagSpecifications=tags, **pool)
        return made

    def seen(self, session: Session, live: Live, recorded: ElasticIpInputs | None) -> dict[str, Any]:
        """Where it was taken from."""
        pool = live.get("PublicIpv4Pool")
        return {"public_ipv4_pool": None if pool == _AMAZONS_POOL else pool or None}

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """The address."""
        return {"public_ip": live["PublicIp"]}

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call."""
        session.client().release_address(AllocationId=identity)
