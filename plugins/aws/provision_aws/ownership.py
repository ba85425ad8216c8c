"""Whose an object is: tags that the very call writes which makes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any

STACK_TAG = "provision:stack"
URN_TAG = "provision:urn"
NAME_TAG = "Name"

_LONGEST = 256  # characters of a tag's value (EC2 User Guide, "Tag your resources": any character is allowed)
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Owner:
    """Who an object belongs to: a resource (`urn`) of a stack (`stack_id`).

    Attributes:
        stack_id: identity of the stack.
        urn: Pulumi's name of the resource.
        token: random digits by which EC2 makes an object once, however often it is asked.
    """

    stack_id: str
    urn: str
    token: str = ""

    def tags(self) -> dict[str, str]:
        """The markers."""
        return {STACK_TAG: self.stack_id, URN_TAG: urn_value(self.urn)}

    def made(self, live: Mapping[str, Any]) -> bool:
        """Whether an object, as EC2 describes it, was made for this resource."""
        tags = tags_of(live)
        return tags.get(STACK_TAG) == self.stack_id and tags.get(URN_TAG) == urn_value(self.urn)


def urn_value(urn: str) -> str:
    """A URN as it stands in a tag: as it is, or its beginning and a digest when it is longer than a tag may be."""
    if len(urn) <= _LONGEST:
        return urn
    digest = blake2s(urn.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{urn[: _LONGEST - len(digest) - 1]}~{digest}"


def tags_of(live: Mapping[str, Any]) -> dict[str, str]:
    """The tags of an object, as EC2 describes it."""
    return {tag["Key"]: tag.get("Value", "") for tag in live.get("Tags") or live.get("TagSet") or ()}


def stack_of(live: Mapping[str, Any]) -> str:
    """Identity of the stack that made an object; empty when none did."""
    return tags_of(live).get(STACK_TAG, "")


def is_marker(key: str) -> bool:
    """Whether a tag is not the user's: ours, or Amazon's own."""
    return key in (STACK_TAG, URN_TAG, NAME_TAG) or key.startswith("aws:")
