"""Random stack files, small enough to be proven in a moment."""

import random

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
    networks = {}
    for index in range(draw.randint(1, 3)):
        networks[f"n{index}"] = {
            "cidr": f"10.20.{index}.0/24",
            "internet": draw.choice(["none", "nat", "routed"]),
            **({"cidr6": f"fd00:20:{index}::/64"} if six and draw.random() < 0.8 else {}),
        }
    machines = {}
    for index in range(draw.randint(1, 4)):
        nics = [{"network": name} for name in draw.sample(sorted(networks), draw.randint(1, min(2, len(networks))))]
        machine = {"image": "micro", "memory": "512MiB", "nics": nics}
        machine["labels"] = {"t": "a" if index == 0 else draw.choice("ab")}
        if draw.random() < 0.3:
            machine["count"] = draw.randint(1, 3)
        elif draw.random() < 0.3:
            nics[0]["address"] = f"10.20.{nics[0]['network'][1:]}.{10 + index}"
        machines[f"m{index}"] = machine
    policies = {f"p{index}": _traffic(draw, networks, machines, six) for index in range(draw.randint(0, 6))}
    if draw.random() < 0.2:
        policies["indoors"] = {"kind": "no_internet", "machines": [f"machine.{draw.choice(list(machines))}"]}
    if draw.random() < 0.2:
        policies["apart"] = {"kind": "peer_isolation", "machines": [draw.choice(["machine.*", "label.t=a"])]}
    isolation = {"policies": policies}
    if draw.random() < 0.1:
        isolation["default"] = "allow"
    return {"version": 1, "platform": "aws", "networks": networks, "machines": machines, "isolation": isolation}


def _traffic(draw, networks, machines, six):
    def peers():
        return list(dict.fromkeys(_peer(draw, networks, machines, six) for _ in range(draw.randint(1, 2))))

    policy = {"kind": "traffic", "from": peers(), "to": peers()}
    if draw.random() < 0.25:
        return policy | {"deny": [draw.choice(_SERVICES)], "order": draw.randint(0, 20)}
    policy["allow"] = list(dict.fromkeys(draw.choice(_SERVICES) for _ in range(draw.randint(1, 3))))
    return policy | ({"order": draw.randint(0, 20)} if draw.random() < 0.3 else {})


def _peer(draw, networks, machines, six):
    return draw.choice(
        [f"machine.{draw.choice([*machines, '*'])}"] * 4
        + [f"network.{draw.choice(list(networks))}", "label.t=a", "outside", "outside", "internet"]
        + [draw.choice([*_PREFIXES, *(["fd00:20::/64"] if six else [])])] * 2
    )
