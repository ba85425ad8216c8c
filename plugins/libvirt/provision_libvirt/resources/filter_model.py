# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""What a packet filter is made from."""

from typing import Annotated, Literal

from pydantic import Field

from provision.spi import IMMUTABLE, Computed, Isolates, OwnedInputs, Properties
from provision_libvirt.resources.native_model import POOL_ONLY_ORDERS, NativeOutputs
from provision_libvirt.resources.spelling import SAME_RULES

Action = Literal["accept", "drop", "reject", "return", "continue"]
Direction = Literal["in", "out", "inout"]


class FilterRule(Properties):
    """One rule of a filter."""

    action: Annotated[Action, Field(description="What becomes of a matching packet.")]
    direction: Annotated[Direction, Field(description="Seen from the guest: `in` is to it, `out` is from it.")]
    priority: Annotated[int, Field(description="Order: lower comes first.", ge=-1000, le=1000)] = 500
    statematch: Annotated[bool, Field(description="False: do not follow connections.")] = True
    protocol: Annotated[
        str,
        Field(description="Protocol element: tcp, tcp-ipv6, icmp, all, arp, mac, …", pattern=r"^[a-z][a-z0-9-]*$"),
    ] = "all"
    attributes: Annotated[
        dict[str, str], Field(description="Attributes of the protocol element, such as dstportstart.")
    ] = {}


class FilterReference(Properties):
    """The rules of another filter, put in here."""

    filter: Annotated[str, Field(description="Name of the other filter.")]
    parameters: Annotated[dict[str, list[str]], Field(description="Values of the other filter's variables.")] = {}


class FilterInputs(OwnedInputs):
    """Inputs of `nwfilter:Filter`."""

    pool: Annotated[
        str,
        Field(description="Name of the stack's pool, which is made before and removed after everything else of it."),
        POOL_ONLY_ORDERS,
    ]
    name: Annotated[
        str, Field(description="Base of the name on the hypervisor; each incarnation adds a suffix."), IMMUTABLE
    ]
    chain: Annotated[str, Field(description="Chain that holds the rules: root, ipv4, arp, …"), IMMUTABLE] = "root"
    priority: Annotated[
        int | None, Field(description="Order of the chain: lower comes first.", ge=-1000, le=1000), IMMUTABLE
    ] = None
    content: Annotated[
        str,
        Field(
            description="Digest of the rules when they may not change in place, else empty: another one makes a new "
            "filter, and whatever refers to it changes over in one step."
        ),
        IMMUTABLE,
    ] = ""
    rules: Annotated[list[FilterRule], Field(description="The filter's own rules."), SAME_RULES, Isolates()] = []
    references: Annotated[list[FilterReference], Field(description="Other filters, applied as well."), Isolates()] = []


class FilterOutputs(NativeOutputs):
    """Outputs of `nwfilter:Filter`; its id is the UUID."""

    name: Annotated[str, Field(description="Name on the hypervisor: base name and incarnation."), Computed()]
    uuid: Annotated[str, Field(description="Derived from stack and URN, with a random incarnation."), Computed()]
    older: Annotated[
        list[str], Field(description="Incarnations that were there before it; what is left of them goes with it."),
        Computed(),
    ] = []  # fmt: skip
    fingerprint: Annotated[
        str, Field(description="SHA-256 of the definition as libvirt keeps it; a change by hand alters it."),
        Computed(depends_on=("rules", "references")),
    ]  # fmt: skip
