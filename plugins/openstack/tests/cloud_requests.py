"""Requests for translation to a cloud, from stacks written as data, with addresses in the order of the file."""

from collections import Counter
from typing import Any

from provision.models import Stack
from provision.spi import Capabilities, Decision, NicAddress, TranslationRequest, Verdict


def flavor(name: str, cpus: int, memory_mib: int, disk_gib: int, **extra_specs: str) -> dict[str, Any]:
    return {
        "id": f"id-of-{name}",
        "name": name,
        "cpus": cpus,
        "memory_mib": memory_mib,
        "disk_gib": disk_gib,
        "extra_specs": {key.replace("__", ":"): value for key, value in extra_specs.items()},
    }


FACTS: dict[str, Any] = {
    "roles": ["admin", "member"],
    "services": ["compute", "network", "image", "block-storage"],
    "extensions": ["port-security", "qos", "security-group", "security-groups-remote-address-group"],
    "microversions": {"compute": "2.96"},
    "external_networks": [{"id": "id-of-public", "name": "public"}],
    "flavors": [flavor("tiny", 1, 512, 1), flavor("small", 2, 2048, 10), flavor("diskless", 1, 256, 0)],
    "images": [
        {"id": "old", "name": "micro", "created": "2025-01-01", "size": 1 << 20, "min_disk_gib": 0},
        {"id": "new", "name": "micro", "created": "2026-01-01", "size": 1 << 20, "min_disk_gib": 0},
        {"id": "big", "name": "big", "created": "2026-01-01", "size": 5 << 30, "min_disk_gib": 8},
    ],
    "volume_types": ["fast"],
}


def addresses(stack: Stack) -> dict[str, tuple[NicAddress, ...]]:
    """`.10`, `.11`, … on each network unless the file says otherwise."""
    used: Counter[str] = Counter()
    found: dict[str, tuple[NicAddress, ...]] = {}
    for entry, machine in stack.machines.items():
        for name in machine.names(entry):
            nics = []
            for nic in machine.nics:
                network = stack.networks[nic.network]
                place = 10 + used[nic.network]
                used[nic.network] += 1
                number = list(stack.networks).index(nic.network)
                ipv4 = str(nic.address or network.cidr[place]) if network.cidr else None
                ipv6 = str(nic.address6 or network.cidr6[place]) if network.cidr6 else None
                nics.append(NicAddress(nic.network, f"02:00:00:00:{number:02x}:{place:02x}", ipv4, ipv6))
            found[name] = tuple(nics)
    return found


def request(document: dict[str, Any], **facts: Any) -> TranslationRequest:
    """A request for the stack that `document` describes, with every policy enforced."""
    stack = Stack.model_validate({"version": 1, **document})
    return TranslationRequest(
        stack=stack,
        project="shop",
        stack_name="dev",
        capabilities=Capabilities("openstack", FACTS | facts),
        decisions={n: Decision(n, p.kind, Verdict.ENFORCE) for n, p in stack.isolation.policies.items()},
        addresses=addresses(stack),
        user_data={"web-0": "#!/bin/sh\n"},
    )
