"""Random stack files, small enough to be proven in a moment."""

import random

import random_stacks

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
)
_PREFIXES = ("10.0.0.0/8", "10.20.0.0/24", "10.20.1.11/32", "203.0.113.0/24", "2001:db8::/32", "10.20.0.8/29")


def random_stack(seed):
    """A stack file: up to three networks, four entries of machines, and policies that may contradict each other."""
    draw = random.Random(seed)
    six = draw.random() < 0.5
    networks = random_stacks.networks(draw, six, ["none", "nat", "routed"])
    machines = random_stacks.machines(draw, networks)
    policies = random_stacks.traffic(draw, _SERVICES, lambda: _peer(draw, networks, machines, six))
    if draw.random() < 0.2:
        policies["indoors"] = {"kind": "no_internet", "machines": [f"machine.{draw.choice(list(machines))}"]}
    if draw.random() < 0.2:
        policies["apart"] = {"kind": "peer_isolation", "machines": [draw.choice(["machine.*", "label.t=a"])]}
    return random_stacks.stack(draw, "aws", networks, machines, policies)


def _peer(draw, networks, machines, six):
    return draw.choice(
        [f"machine.{draw.choice([*machines, '*'])}"] * 4
        + [f"network.{draw.choice(list(networks))}", "label.t=a", "outside", "outside", "internet"]
        + [draw.choice([*_PREFIXES, *(["fd00:20::/64"] if six else [])])] * 2
    )
