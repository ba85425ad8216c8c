"""What inputs and outputs of most native objects have in common."""

from typing import Annotated

from pydantic import Field

from provision.spi import STABLE, OwnedInputs, Properties
from provision_openstack.labels import Description

Name = Annotated[str, Field(max_length=255)]


class NamedInputs(OwnedInputs):
    """Inputs of an object with a name that need not be its own alone, and a description that holds the owner's mark."""

    name: Annotated[Name, Field(description="Its name.")] = ""
    description: Annotated[
        Description, Field(description="What people read of it. The mark of the owner is put behind it.")
    ] = ""


class Query(Properties):
    """What a search for objects may be narrowed by."""

    name: Annotated[str | None, Field(description="Those of this name only.")] = None


class NativeOutputs(Properties):
    """Outputs that every object has."""

    adopted: Annotated[
        bool, Field(description="Whether an import, and not the stack, put it into the state."), STABLE
    ] = False
