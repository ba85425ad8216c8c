"""`compute:Keypair`: a public key that servers are made with."""

from typing import Any

from provision_openstack.errors import ApiError, taken
from provision_openstack.kinds import KEYPAIR
from provision_openstack.ownership import Owner, plain_name
from provision_openstack.reading import Live
from provision_openstack.resources.base import Native
from provision_openstack.resources.placing_model import KeypairInputs, KeypairOutputs
from provision_openstack.session import Session


class Keypair(Native[KeypairInputs, KeypairOutputs]):
    """A key pair. Servers keep a copy of the key."""

    token = "compute:Keypair"
    Inputs = KeypairInputs
    Outputs = KeypairOutputs
    kind = KEYPAIR

    def body(self, session: Session, inputs: KeypairInputs) -> dict[str, Any]:
        """The key."""
        return {"public_key": inputs.public_key}

    def marked(self, body: dict[str, Any], inputs: KeypairInputs, owner: Owner) -> dict[str, Any]:
        """By its name."""
        return {"name": owner.named(inputs.name), **body}

    def make(self, session: Session, inputs: KeypairInputs, owner: Owner) -> Live:
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

    def seen(self, session: Session, live: Live, recorded: KeypairInputs | None) -> dict[str, Any]:
        """Its name without the mark."""
        return {"name": plain_name(str(live["name"])), "public_key": str(live["public_key"]).strip()}

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """As shown."""
        return {"key_name": live["name"], "fingerprint": live.get("fingerprint") or ""}
