# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What inputs of most native objects have in common."""

from typing import Annotated

from pydantic import Field

from provision.spi import STABLE, OwnedInputs, Properties
from provision_aws.labels import Tags


class TaggedInputs(OwnedInputs):
    """Inputs of an object with tags: the markers of its owner, a name for people and labels."""

    name: Annotated[str, Field(description="What people see in the console: the tag `Name`.", max_length=256)] = ""
    tags: Annotated[Tags, Field(description="Further tags.")] = {}


class Query(Properties):
    """What a search for objects may be narrowed by."""

    vpc_id: Annotated[str | None, Field(description="Those of one VPC only.")] = None
    tags: Annotated[dict[str, str], Field(description="Those that have all of these tags.")] = {}


class TaggedQuery(Properties):
    """What a search for objects that lie in no VPC may be narrowed by."""

    tags: Annotated[dict[str, str], Field(description="Those that have all of these tags.")] = {}


class NativeOutputs(Properties):
    """Outputs that every object has."""

    adopted: Annotated[
        bool, Field(description="Whether an import, and not the stack, put it into the state."), STABLE
    ] = False
