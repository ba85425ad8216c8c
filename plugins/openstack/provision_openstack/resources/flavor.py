"""`compute:Flavor`: a size of servers."""

from typing import Any

from provision.spi import Checked, CheckFailure, CheckRequest, Operation, has_unknown
from provision_openstack.errors import ApiError, taken
from provision_openstack.extra_specs import problems
from provision_openstack.kinds import FLAVOR
from provision_openstack.ownership import Owner
from provision_openstack.reading import Live
from provision_openstack.resources.base import Native
from provision_openstack.resources.placing_model import FlavorInputs, FlavorOutputs
from provision_openstack.session import Session


class Flavor(Native[FlavorInputs, FlavorOutputs]):
    """A flavor, for administrators. Its extra specs follow the call that makes it; it is handed out only then."""

    token = "compute:Flavor"
    Inputs = FlavorInputs
    Outputs = FlavorOutputs
    kind = FLAVOR

    def check(self, request: CheckRequest) -> Checked:
        """What Nova would ignore or refuse; a flavor that was imported may have what it has."""
        specs = request.inputs.get("extra_specs") or {}
        known = (request.old_inputs or {}).get("extra_specs")
        if has_unknown(specs) or specs == known or not all(isinstance(value, str) for value in specs.values()):
            return Checked(request.inputs)
        return Checked(request.inputs, [CheckFailure("extra_specs", text) for text in problems(specs)])

    def body(self, session: Session, inputs: FlavorInputs) -> dict[str, Any]:
        """Without its extra specs."""
        return {
            "name": inputs.name,
            "vcpus": inputs.vcpus,
            "ram": inputs.ram_mib,
            "disk": inputs.disk_gib,
            "OS-FLV-EXT-DATA:ephemeral": inputs.ephemeral_gib,
            "swap": inputs.swap_mib,
            "os-flavor-access:is_public": inputs.is_public,
        }

    def make(self, session: Session, inputs: FlavorInputs, owner: Owner) -> Live:
        """A name that is taken is somebody else's, since what is ours has been looked for.

        Raises:
            ForeignObject: the name is taken.
        """
        try:
            return super().make(session, inputs, owner)
        except ApiError as error:
            if error.status == 409:
                raise taken(self.called(inputs), error.text) from None
            raise

    def change(self, operation: Operation, live: Live, inputs: FlavorInputs, *, fresh: bool) -> bool:
        """Its extra specs."""
        compute, path = operation.session.compute, f"{self.kind.path}/{live['id']}/os-extra_specs"
        now = live.get("extra_specs") or {}
        more = {key: value for key, value in inputs.extra_specs.items() if now.get(key) != value}
        if more:
            compute.post(path, {"extra_specs": more}, version=self.kind.version)
        for key in set(now) - set(inputs.extra_specs):
            compute.delete(f"{path}/{key}", version=self.kind.version)
        return now != inputs.extra_specs

    def seen(self, session: Session, live: Live, recorded: FlavorInputs | None) -> dict[str, Any]:
        """As shown."""
        return {
            "name": live["name"],
            "vcpus": live["vcpus"],
            "ram_mib": live["ram"],
            "disk_gib": live["disk"],
            "ephemeral_gib": live.get("OS-FLV-EXT-DATA:ephemeral") or 0,
            "swap_mib": live.get("swap") or 0,
            "is_public": bool(live.get("os-flavor-access:is_public", True)),
            "extra_specs": dict(live.get("extra_specs") or {}),
        }

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """As shown."""
        return {"flavor_name": live["name"]}
