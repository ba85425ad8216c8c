# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What endpoints of a VPC are made from."""

import json
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from provision.spi import IGNORE_ORDER, IMMUTABLE, STABLE, Computed, Normalized
from provision_aws.resources.native_model import NativeOutputs, TaggedInputs


def compact(text: object) -> object:
    """A JSON document without what has no meaning in it; what is none as it is."""
    try:
        return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) if isinstance(text, str) else text
    except ValueError:
        return text


class VpcEndpointInputs(TaggedInputs):
    """Inputs of `ec2:VpcEndpoint`: a way to one of Amazon's services, for a VPC without the internet.

    `Gateway` is for S3 and DynamoDB, and puts a route into tables; `Interface` is for the others, and puts an interface
    into subnets.
    """

    vpc_id: Annotated[str, Field(description="Id of the VPC."), IMMUTABLE]
    service_name: Annotated[
        str, Field(description="Such as com.amazonaws.eu-central-1.s3.", pattern=r"^[a-z0-9.-]+$"), IMMUTABLE
    ]
    endpoint_type: Annotated[Literal["Gateway", "Interface"], Field(description="Which of the two."), IMMUTABLE]
    route_table_ids: Annotated[
        list[str], Field(description="Tables that get the route, of a gateway."), IGNORE_ORDER
    ] = []
    subnet_ids: Annotated[
        list[str], Field(description="Subnets that get an interface, one in a zone."), IGNORE_ORDER
    ] = []
    security_group_ids: Annotated[
        list[str], Field(description="Groups that say who may reach an interface."), IGNORE_ORDER
    ] = []
    private_dns_enabled: Annotated[
        bool, Field(description="Whether the service's usual name leads to an interface; needs DNS in the VPC.")
    ] = False
    policy: Annotated[
        str | None,
        Field(description="IAM policy as JSON: what may be done through it; default: everything."),
        Normalized(compact, "blanks and the order of keys do not matter"),
    ] = None

    @model_validator(mode="after")
    def _fits_the_type(self) -> Self:
        if self.endpoint_type == "Gateway" and (self.subnet_ids or self.security_group_ids or self.private_dns_enabled):
            raise ValueError("subnets, groups and names are for the type `Interface`")
        if self.endpoint_type == "Interface" and self.route_table_ids:
            raise ValueError("`route_table_ids` are for the type `Gateway`")
        if self.endpoint_type == "Interface" and not (self.subnet_ids and self.security_group_ids):
            raise ValueError(
                "an interface needs `subnet_ids` and `security_group_ids`: else EC2 gives it the VPC's default group"
            )
        if self.policy is not None:
            try:
                json.loads(self.policy)
            except ValueError:
                raise ValueError("`policy` is not JSON") from None
        return self


class VpcEndpointOutputs(NativeOutputs):
    """Outputs of `ec2:VpcEndpoint`; its id is the endpoint's (`vpce-…`)."""

    state: Annotated[str, Field(description="`available`."), Computed()]
    prefix_list_id: Annotated[
        str | None, Field(description="Id of the service's addresses, for rules of groups; of a gateway."), STABLE
    ]
    dns_names: Annotated[list[str], Field(description="Names of an interface."), Computed()]
    network_interface_ids: Annotated[
        list[str], Field(description="Ids of its interfaces."), Computed(depends_on=("subnet_ids",))
    ]
