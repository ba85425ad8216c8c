# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""Configuration of the plugin: `pulumi config set provision-openstack:FIELD VALUE`.

There is no room for credentials: they are the ambient ones, as every tool of OpenStack finds them (`clouds.yaml` with
`secure.yaml`, the variables OS_*, application credentials), and are in no state.
"""

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from provision.spi import Properties


def _prefix(text: str) -> str:
    return str(ipaddress.ip_network(text))


class OpenStackConfig(Properties):
    """Which cloud, region and project, and how they are reached."""

    cloud: Annotated[
        str | None,
        Field(description="Name in clouds.yaml. Default: OS_CLOUD, else the variables OS_*.", min_length=1),
    ] = None
    region: Annotated[
        str | None,
        Field(description="Region. Default: that of the cloud's entry, else OS_REGION_NAME.", min_length=1),
    ] = None
    interface: Annotated[
        Literal["public", "internal", "admin"] | None,
        Field(description="Which of the services' endpoints. Default: that of the cloud's entry, else public."),
    ] = None
    ca_file: Annotated[
        str | None,
        Field(description="File with the certificates that are trusted. Default: `cacert` of the entry, OS_CACERT."),
    ] = None
    endpoints: Annotated[
        dict[
            Literal["compute", "network", "image", "block-storage", "identity", "placement"],
            Annotated[str, Field(pattern=r"^https?://[^/\s]+")],
        ],
        Field(description="Where services answer, by their type, when it is not where the catalogue says."),
    ] = {}
    encrypted_volume_types: Annotated[
        list[str],
        Field(description="Types of volumes that encrypt, where the cloud tells that only administrators."),
    ] = []
    host_prefixes: Annotated[
        list[Annotated[str, AfterValidator(_prefix)]],
        Field(
            description="Where the cloud's own hosts have their addresses, as its operators tell: then they are not "
            "`outside`, and `no_host_access` can be kept where machines reach addresses beyond the stack."
        ),
    ] = []
    project_ids: Annotated[
        list[str], Field(description="Projects that may be worked in; empty for any. Guards against a wrong cloud.")
    ] = []
