"""Keys of KMS: looked up, never made."""

from typing import Any

from provision.errors import UserError
from provision_aws.errors import explained, is_absent
from provision_aws.session import Session


def described(session: Session, key: str) -> dict[str, Any]:
    """What KMS tells of a key.

    Args:
        session: of the account.
        key: its id, ARN, or an alias (`alias/NAME`, or its ARN).

    Raises:
        UserError: there is no such key.
    """
    from botocore.exceptions import ClientError

    with explained(f"looking up the key '{key}'"):
        try:
            found: dict[str, Any] = session.client("kms").describe_key(KeyId=key)["KeyMetadata"]
        except ClientError as error:
            if not is_absent(error) and "NotFound" not in str(error):
                raise
            raise UserError(
                f"there is no KMS key '{key}' in {session.region}", "`aws kms list-aliases` shows which there are"
            ) from None
    return found


def resolved(session: Session, key: str) -> str:
    """The ARN of a key; asked once in a process, since an alias seldom moves.

    Raises:
        UserError: there is no such key.
    """
    arn: str = session.once(("kms key", key), lambda: str(described(session, key)["Arn"]))
    return arn
