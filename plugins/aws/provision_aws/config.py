# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""Configuration of the plugin: `pulumi config set provision-aws:FIELD VALUE`.

There is no room for credentials: they are the ambient ones, as every tool of AWS finds them, and are in no state.
"""

from typing import Annotated

from pydantic import Field

from provision.spi import Properties
from provision_aws.labels import Tags


class AwsConfig(Properties):
    """Which account and region, and how they are reached."""

    region: Annotated[
        str | None,
        Field(description="Region, such as eu-central-1. Default: AWS_REGION, AWS_DEFAULT_REGION, else the profile's."),
    ] = None
    profile: Annotated[
        str | None,
        Field(description="Profile of the AWS configuration files. Default: AWS_PROFILE, else `default`."),
    ] = None
    endpoint_url: Annotated[
        str | None,
        Field(
            description="Where the services answer, when it is not AWS itself. Default: AWS_ENDPOINT_URL.",
            pattern=r"^https?://[^/\s]+",
        ),
    ] = None
    assume_role_arn: Annotated[
        str | None, Field(description="Role that is taken on with the credentials that are found.", pattern=r"^arn:")
    ] = None
    assume_role_external_id: Annotated[str | None, Field(description="External id that the role asks for.")] = None
    account_ids: Annotated[
        list[str], Field(description="Accounts that may be worked in; empty for any. Guards against a wrong profile.")
    ] = []
    exclusive_groups: Annotated[
        bool,
        Field(
            description="Whether rules that others put into the stack's security groups are taken away; else they are "
            "only reported."
        ),
    ] = False
    default_tags: Annotated[Tags, Field(description="Tags that everything gets, besides its own.")] = {}
