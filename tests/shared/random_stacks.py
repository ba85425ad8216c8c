"""Parts of random stack files, small enough to be proven in a moment; plugins add policies of their own."""


def networks(draw, six, ways):
    """Up to three networks.

    Args:
        draw: a `random.Random`.
        six: whether they may have IPv6 too.
        ways: out of them, of which each has one.
    """
    found = {}
    for index in range(draw.randint(1, 3)):
        found[f"n{index}"] = {
            "cidr": f"10.20.{index}.0/24",
            "internet": draw.choice(ways),
            **({"cidr6": f"fd00:20:{index}::/64"} if six and draw.random() < 0.8 else {}),
        }
    return found


def machines(draw, networks):
    """Up to four entries of machines on them, some of several, some with an address."""
    found = {}
    for index in range(draw.randint(1, 4)):
        nics = [{"network": name} for name in draw.sample(sorted(networks), draw.randint(1, min(2, len(networks))))]
        machine = {"image": "micro", "memory": "512MiB", "nics": nics}
        machine["labels"] = {"t": "a" if index == 0 else draw.choice("ab")}
        if draw.random() < 0.3:
            machine["count"] = draw.randint(1, 3)
        elif draw.random() < 0.3:
            nics[0]["address"] = f"10.20.{nics[0]['network'][1:]}.{10 + index}"
        found[f"m{index}"] = machine
    return found


def traffic(draw, services, peer):
    """Up to six traffic policies, which may contradict each other.

    Args:
        draw: a `random.Random`.
        services: among which they choose.
        peer: gives one.
    """
    return {f"p{index}": _policy(draw, services, peer) for index in range(draw.randint(0, 6))}


def _policy(draw, services, peer):
    def peers():
        return list(dict.fromkeys(peer() for _ in range(draw.randint(1, 2))))

    policy = {"kind": "traffic", "from": peers(), "to": peers()}
    if draw.random() < 0.25:
        return policy | {"deny": [draw.choice(services)], "order": draw.randint(0, 20)}
    policy["allow"] = list(dict.fromkeys(draw.choice(services) for _ in range(draw.randint(1, 3))))
    return policy | ({"order": draw.randint(0, 20)} if draw.random() < 0.3 else {})


def stack(draw, platform, networks, machines, policies):
    """A stack file of them; now and then everything is allowed by default."""
    isolation = {"policies": policies}
    if draw.random() < 0.1:
        isolation["default"] = "allow"
    return {"version": 1, "platform": platform, "networks": networks, "machines": machines, "isolation": isolation}
