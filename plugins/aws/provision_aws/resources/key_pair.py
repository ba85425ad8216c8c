"""`ec2:KeyPair`: a public key for machines."""

from typing import Any

from provision.errors import ForeignObject
from provision_aws.errors import code_of
from provision_aws.kinds import KEY_PAIR
from provision_aws.reading import Live
from provision_aws.resources.base import Native
from provision_aws.resources.native_model import TaggedQuery
from provision_aws.resources.placing_model import KeyPairInputs, KeyPairOutputs, without_comment
from provision_aws.session import Session


class KeyPair(Native[KeyPairInputs, KeyPairOutputs]):
    """A key pair, of which EC2 has the public half alone."""

    token = "ec2:KeyPair"
    Inputs = KeyPairInputs
    Outputs = KeyPairOutputs
    Query = TaggedQuery
    kind = KEY_PAIR

    def make(self, session: Session, inputs: KeyPairInputs, tags: list[dict[str, Any]], token: str) -> Live:
        """One call."""
        from botocore.exceptions import ClientError

        try:
            made: Live = session.client().import_key_pair(
                KeyName=inputs.key_name, PublicKeyMaterial=inputs.public_key.encode(), TagSpecifications=tags
            )
        except ClientError as error:
            if code_of(error) == "InvalidKeyPair.Duplicate":
                raise ForeignObject(
                    f"there is a key pair '{inputs.key_name}', which this resource did not make; it was not touched",
                    "give the key pair another name, or remove that one by hand",
                ) from None
            raise
        return made

    def seen(self, session: Session, live: Live, recorded: KeyPairInputs | None) -> dict[str, Any]:
        """The key, as it is recorded when it is the same."""
        key = live.get("PublicKey")
        if recorded is not None and (key is None or without_comment(key) == without_comment(recorded.public_key)):
            key = recorded.public_key
        return {"key_name": live["KeyName"], "public_key": key}

    def told(self, session: Session, live: Live) -> dict[str, Any]:
        """Name and fingerprint."""
        return {"key_name": live["KeyName"], "fingerprint": live.get("KeyFingerprint", "")}

    def remove(self, session: Session, identity: str, live: Live) -> None:
        """One call, by the name that the key was just seen to have."""
        session.client().delete_key_pair(KeyName=live["KeyName"])
