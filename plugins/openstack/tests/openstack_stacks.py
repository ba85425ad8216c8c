"""Random stack files, small enough to be proven in a moment, and a cloud that they may be made on."""

import random

import random_stacks
from cloud_requests import FACTS
from provision_openstack.support import BEST

from provision.spi import Capabilities

CLOUD = Capabilities("openstack", {**BEST, "flavors": FACTS["flavors"], "images": FACTS["images"]})
"""A cloud that lacks nothing, with an image and flavors."""

TOLD = Capabilities("openstack", {**CLOUD.facts, "host_prefixes": ["10.20.200.0/24", "203.0.113.64/26"]})
"""The same, and its operators told where its hosts are."""

_SERVICES = (
    "tcp/80",
    "tcp/80",
    "tcp/443",
    "tcp/1-1000",
    "udp/53",
    "icmp",
    "icmp/8",
    "icmpv6",
    "tcp",
    "any",
    "protocol/47",
    "protocol/132",
)
_PREFIXES = (
    "10.0.0.0/8",
    "10.20.0.0/24",
    "10.20.1.1/32",
    "10.20.1.11/32",
    "203.0.113.0/24",
    "2001:db8::/32",
    "fd00:20:1::/64",
    "169.254.0.0/15",
)


def random_stack(seed):
    """A stack file: up to three networks, four entries of machines, and policies that may contradict each other."""
    draw = random.Random(seed)
    six = draw.random() < 0.5
    way = draw.choice(["nat", "routed"])  # a stack has either the one or the other
    networks = random_stacks.networks(draw, six, ["none", way])
    machines = random_stacks.machines(draw, networks)
    policies = random_stacks.traffic(draw, _SERVICES, lambda: _peer(draw, networks, machines, six))
    for name, kind in (("indoors", "no_internet"), ("hands-off", "no_host_access"), ("no-metadata", "metadata")):
        if draw.random() < 0.2:
            policies[name] = {"kind": kind, "machines": [f"machine.{draw.choice(list(machines))}"]}
    return random_stacks.stack(draw, "openstack", networks, machines, policies)


def _peer(draw, networks, machines, six):
    kind = draw.random()
    if kind < 0.45:
        return f"machine.{draw.choice(['*', *machines])}"
    if kind < 0.6:
        return f"network.{draw.choice(list(networks))}"
    if kind < 0.7:
        return "label.t=a"
    if kind < 0.8:
        return draw.choice(["outside", "internet"])
    return draw.choice([one for one in _PREFIXES if six or ":" not in one])
