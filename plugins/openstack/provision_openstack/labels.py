"""Descriptions, names and metadata that people may write."""

from typing import Annotated

from pydantic import AfterValidator, Field

from provision_openstack.ownership import METADATA_KEY, PROPERTY_KEY, plain_text

_MARK_LENGTH = 100
"""Characters that the mark at the end of a description may take."""

_LONGEST = 255
"""Characters of a description or of a value of metadata (API references of Nova, Neutron and Cinder)."""


def _unmarked(text: str) -> str:
    if plain_text(text) != text:
        raise ValueError("a description must not end in the mark of an owner; leave that part out")
    return text


def _free(metadata: dict[str, str]) -> dict[str, str]:
    for key in (METADATA_KEY, PROPERTY_KEY):
        if key in metadata:
            raise ValueError(f"the key '{key}' is reserved; take another one")
    return metadata


Description = Annotated[str, Field(max_length=_LONGEST - _MARK_LENGTH), AfterValidator(_unmarked)]
Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=255)], Annotated[str, Field(max_length=_LONGEST)]],
    AfterValidator(_free),
]
