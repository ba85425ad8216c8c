"""What a stack file says of isolation, as the state keeps it, so that the next change can be shown against it."""

import json
from typing import Any

from pydantic import ValidationError

from provision.models import Stack

ISOLATION = "isolation"
"""Output of the stack's component that holds the record."""

_OF_NETWORK = {
    "cidr", "cidr6", "internet", "gateway", "gateway6", "dhcp", "dns", "domain", "location", "labels",
}  # fmt: skip
_OF_MACHINE = {"count", "labels", "location"}
_NEEDED = {"image": "-", "memory": "1MiB"}
"""What every machine must say, and nothing here depends on."""


def record(stack: Stack) -> str:
    """The networks, the machines' labels and NICs, and the isolation of a stack, as compact JSON."""
    said: dict[str, Any] = {
        "version": 1,
        "platform": stack.platform,
        "locations": {name: {"platform": one.platform} for name, one in stack.locations.items()},
        "networks": {
            name: one.model_dump(mode="json", exclude_defaults=True, include=_OF_NETWORK)
            for name, one in stack.networks.items()
        },
        "machines": {
            name: {
                **one.model_dump(mode="json", exclude_defaults=True, include=_OF_MACHINE),
                "nics": [{"network": nic.network} for nic in one.nics],
            }
            for name, one in stack.machines.items()
        },
        "isolation": stack.isolation.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    }
    return json.dumps({key: value for key, value in said.items() if value}, separators=(",", ":"))


def recall(text: str) -> Stack | None:
    """The stack of a record, with nothing in it but what `record` keeps; None when it cannot be read."""
    try:
        said = json.loads(text)
        said["machines"] = {name: _NEEDED | one for name, one in said.get("machines", {}).items()}
        return Stack.model_validate(said)
    except (ValidationError, ValueError, TypeError, AttributeError):
        return None
