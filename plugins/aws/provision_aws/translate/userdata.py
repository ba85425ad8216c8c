"""User data as EC2 takes it."""

import gzip
from base64 import b64encode

from pydantic import SecretStr

from provision_aws.resources.instance_model import MOST_USER_DATA


def packed(data: str | SecretStr) -> str | SecretStr | None:
    """In base64, compressed where it is too long (cloud-init unpacks it); None when that does not help."""
    text = data.get_secret_value() if isinstance(data, SecretStr) else data
    raw = text.encode()
    if len(raw) > MOST_USER_DATA:
        raw = gzip.compress(raw, mtime=0)
    if len(raw) > MOST_USER_DATA:
        return None
    encoded = b64encode(raw).decode()
    return SecretStr(encoded) if isinstance(data, SecretStr) else encoded
