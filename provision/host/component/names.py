"""What a component is called: by the engine, and in names on the platform."""

import hashlib
import re

from provision.host.component.schema import STACK
from provision.host.protocol import provider_pb2


def component_urn(request: provider_pb2.ConstructRequest) -> str:
    """The name that the engine will give to the component."""
    chain = request.parent.split("::")[2] if request.parent else ""
    kind = STACK if chain in ("", "pulumi:pulumi:Stack") else f"{chain}${STACK}"
    return f"urn:pulumi:{request.stack}::{request.project}::{kind}::{request.name}"


def native_stack(request: provider_pb2.ConstructRequest) -> str:
    """What the stack is called in names on the platform: no two components of one project have the same.

    It ends with a dash, so that another follows and `a` with a machine `b-web` differs from `a-b` with `web`.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", request.name.lower()).strip("-")
    urn = component_urn(request)
    if slug != request.name or "$" in urn.split("::")[2]:
        slug = f"{slug}-{hashlib.blake2s(urn.encode(), digest_size=3).hexdigest()}".lstrip("-")
    return f"{request.stack}-{slug}-"
