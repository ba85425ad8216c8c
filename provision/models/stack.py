"""The stack: everything that one stack file says."""

import enum
from typing import Annotated, Any, Literal

from pydantic import Field

from provision.models.base import Model, Name
from provision.models.drift import DriftRules
from provision.models.image import Image
from provision.models.isolation import Isolation
from provision.models.machine import Machine
from provision.models.network import Network
from provision.models.sharing import Sharing


class ParameterType(enum.StrEnum):
    """Types of parameters."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "list"


class Parameter(Model):
    """A value that the stack's configuration fills in: `pulumi config set NAME VALUE`."""

    type: Annotated[ParameterType, Field(description="string, integer, number, boolean or list.")] = (
        ParameterType.STRING
    )
    default: Annotated[Any, Field(description="Value when none is configured; without it, one must be.")] = None
    secret: Annotated[bool, Field(description="Kept secret everywhere; usable only where secrets are accepted.")] = (
        False
    )
    description: Annotated[str, Field(description="What it is for.")] = ""


class Reference(Model):
    """Another Pulumi stack whose outputs are used here as `${ref.NAME.OUTPUT}`."""

    stack: Annotated[str, Field(description="Full name of the other stack: organization/project/stack.")]


DEFAULT_LOCATION = "default"
"""Where what says no location is: the location of that name, else the stack's own platform as it is configured."""


class Location(Model):
    """One hypervisor, region or cloud."""

    platform: Annotated[Name, Field(description="Name of the provider plugin.")]
    config: Annotated[dict[str, Any], Field(description="The plugin's configuration for this location.")] = {}


class Stack(Model):
    """A stack file: machines, and how they are isolated from, and share with, each other."""

    version: Annotated[Literal[1], Field(description="Version of the grammar; defaults change only with it.")]
    description: Annotated[str, Field(description="What the stack is for.")] = ""
    platform: Annotated[Name | None, Field(description="Provider plugin; provision:platform overrides it.")] = None
    parameters: Annotated[dict[str, Parameter], Field(description="Values from the stack's configuration.")] = {}
    references: Annotated[dict[Name, Reference], Field(description="Other stacks whose outputs are used.")] = {}
    locations: Annotated[dict[Name, Location], Field(description="Several hypervisors, regions or clouds.")] = {}
    images: Annotated[dict[Name, Image], Field(description="Images by name.")] = {}
    networks: Annotated[dict[Name, Network], Field(description="Networks by name.")] = {}
    machines: Annotated[dict[Name, Machine], Field(description="Machines by name.")] = {}
    isolation: Annotated[Isolation, Field(description="What is kept apart.")] = Isolation()
    sharing: Annotated[Sharing, Field(description="How hosts are shared.")] = Sharing()
    drift: Annotated[DriftRules, Field(description="What is done about changes from outside.")] = DriftRules()
    outputs: Annotated[dict[str, Any], Field(description="Names exported to Pulumi.")] = {}
    include: Annotated[None, Field(description="Reserved for a later version.")] = None
    modules: Annotated[None, Field(description="Reserved for a later version.")] = None

    def home(self, location: str | None) -> str:
        """The location of what says `location:`; of what says none `default`, else the only one that there is."""
        if location is not None:
            return location
        if DEFAULT_LOCATION not in self.locations and self.platform is None and len(self.locations) == 1:
            return next(iter(self.locations))
        return DEFAULT_LOCATION
