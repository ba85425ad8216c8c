"""One machine as OpenStack describes it now, and as the state records it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from provision.spi.cloud.looking import MachineLook
from provision_openstack.errors import ApiError, explained
from provision_openstack.kinds import FLAVOR, PORT, SECURITY_GROUP_RULE, SERVER, VOLUME, Kind
from provision_openstack.reading import Live, having
from provision_openstack.session import Session

_WITH_FLAVORS = "2.47"
"""From this microversion on a server tells its flavor as it was when it was chosen, with its extra specs."""


class Look(MachineLook[Session]):
    """One machine as it is now."""

    token: ClassVar[str] = "compute:Server"
    group: ClassVar[str] = "network:SecurityGroup"
    kind: ClassVar[Kind] = SERVER
    why_unseen: ClassVar[str] = "hosts are for the cloud's operators to see"

    @cached_property
    def ports(self) -> Sequence[tuple[str, Live | None]]:
        """Its ports in the order of the file, as the state has them: id, and how Neutron shows it."""
        wanted = [str(nic["port_id"]) for nic in self.native.inputs.get("nics") or ()]
        return [(one, self.of(PORT, one)) for one in wanted]

    @cached_property
    def further(self) -> Sequence[str]:
        """Ports of it that the state does not know."""
        known = {identity for identity, _ in self.ports}
        asked = self.session.reader.all(PORT, {"device_id": self.native.id})
        return sorted(str(port["id"]) for port in asked if str(port["id"]) not in known)

    @cached_property
    def volumes(self) -> Sequence[tuple[str, Live | None]]:
        """Its volumes: id, and how Cinder shows it."""
        attached = self.live.get("os-extended-volumes:volumes_attached") or ()
        return [(str(one["id"]), self.of(VOLUME, str(one["id"]))) for one in attached]

    @property
    def is_on_volume(self) -> bool:
        """Whether it boots from a volume: Nova then tells no image."""
        return not self.live.get("image")

    @cached_property
    def flavor(self) -> Mapping[str, Any] | None:
        """What its flavor was when it got it; None when Nova does not tell."""
        compute = self.session.compute
        if compute.offers(_WITH_FLAVORS):
            with explained(f"asking for the flavor of '{self.machine.name}'"):
                try:
                    answer = compute.get(f"{SERVER.path}/{self.native.id}", version=_WITH_FLAVORS)
                except ApiError as error:
                    if not error.absent:
                        raise
                    return None
            found: Mapping[str, Any] = answer["server"].get("flavor") or {}
            return found
        identity = str((self.live.get("flavor") or {}).get("id") or "")
        return self.session.reader.look(FLAVOR, identity)

    @property
    def specs(self) -> Mapping[str, str] | None:
        """Extra specs of its flavor; None when Nova does not tell them."""
        found = None if self.flavor is None else self.flavor.get("extra_specs")
        return None if found is None else {str(key): str(value) for key, value in found.items()}

    def asked(self, groups: Sequence[str]) -> Iterator[tuple[str, Live]]:
        """As many groups at once as fit into an address."""
        for rule in having(self.session.reader, SECURITY_GROUP_RULE, "security_group_id", groups):
            yield str(rule["security_group_id"]), rule
