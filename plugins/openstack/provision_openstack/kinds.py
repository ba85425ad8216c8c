"""How OpenStack's services show each kind of object."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provision_openstack.ownership import Place

COMPUTE_VERSION = "2.46"
"""Microversion of most calls to Nova: the last that tells which flavor a server has by its id."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object.

    Attributes:
        noun: what people call it.
        service: which service has it: `network`, `compute`, `image` or `block-storage`.
        path: of all of them; that of one is below it.
        one: what an answer holds one in; empty: the answer is the object.
        many: what an answer holds many in.
        place: where its mark is.
        detail: path of a listing in full, where it is another one.
        states: field with its state.
        gone: states of an object that is as good as gone.
        id: field with its identity.
        version: microversion of calls, for Nova.
        by_project: whether a listing must be narrowed to the project, since users see those of others too.
        paged: whether answers come page by page.
    """

    noun: str
    service: str
    path: str
    one: str
    many: str
    place: Place = "description"
    detail: str = ""
    states: str = "status"
    gone: tuple[str, ...] = ()
    id: str = "id"
    version: str = ""
    by_project: bool = False
    paged: bool = True

    def is_gone(self, live: Mapping[str, Any]) -> bool:
        """Whether the service only remembers the object."""
        return self.state(live) in self.gone

    def state(self, live: Mapping[str, Any]) -> str:
        """Its state in the service's words; empty for kinds without."""
        return str(live.get(self.states) or "")


NETWORK = Kind("network", "network", "/networks", "network", "networks", by_project=True)
SUBNET = Kind("subnet", "network", "/subnets", "subnet", "subnets", by_project=True)
ROUTER = Kind("router", "network", "/routers", "router", "routers", by_project=True)
PORT = Kind("port", "network", "/ports", "port", "ports", by_project=True)
FLOATING_IP = Kind("floating IP address", "network", "/floatingips", "floatingip", "floatingips", by_project=True)
SECURITY_GROUP = Kind(
    "security group", "network", "/security-groups", "security_group", "security_groups", by_project=True
)
SECURITY_GROUP_RULE = Kind(
    "rule of a security group", "network", "/security-group-rules", "security_group_rule", "security_group_rules",
    by_project=True,
)  # fmt: skip
ADDRESS_GROUP = Kind("address group", "network", "/address-groups", "address_group", "address_groups", by_project=True)
QOS_POLICY = Kind("QoS policy", "network", "/qos/policies", "policy", "policies", by_project=True)
KEYPAIR = Kind("key pair", "compute", "/os-keypairs", "keypair", "keypairs", "name", id="name", version=COMPUTE_VERSION)
SERVER_GROUP = Kind(
    "server group", "compute", "/os-server-groups", "server_group", "server_groups", "name", version="2.64"
)
FLAVOR = Kind("flavor", "compute", "/flavors", "flavor", "flavors", detail="/flavors/detail", version="2.61")
SERVER = Kind(
    "server", "compute", "/servers", "server", "servers", "metadata", "/servers/detail", gone=("DELETED",),
    version=COMPUTE_VERSION,
)  # fmt: skip
IMAGE = Kind("image", "image", "/images", "", "images", "properties", gone=("deleted", "pending_delete"))
VOLUME = Kind("volume", "block-storage", "/volumes", "volume", "volumes", "metadata", "/volumes/detail")
