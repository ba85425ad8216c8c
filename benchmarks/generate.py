"""Stack files of any size: tiers in a row, each reaching only the next; policies grow with the machines."""

TIER = 100
"""Machines in a tier, where there are that many."""


def stack_file(machines: int, *, written_out: bool) -> str:
    """A stack file with this many machines.

    Args:
        machines: how many.
        written_out: every machine as an entry of its own, told apart by labels; else one entry with `count` per tier.
    """
    tiers = max(2, machines // TIER)
    sizes = [machines // tiers + (tier < machines % tiers) for tier in range(tiers)]
    lines = ["version: 1", "platform: libvirt", "networks:"]
    for number in range(max(1, tiers // 10)):
        lines += [f"  net{number}:", "    internet: routed"]
        lines += [f"    cidr: 10.{number}.0.0/16", f"    cidr6: fd00:{number:x}::/64"]
    lines.append("machines:")
    for tier, size in enumerate(sizes):
        network = f"net{tier // 10 % max(1, tiers // 10)}"
        if written_out:
            for index in range(size):
                lines += _machine(f"tier{tier}-m{index}", tier, network)
        else:
            lines += [*_machine(f"tier{tier}", tier, network), f"    count: {size}"]
    lines += ["isolation:", "  policies:", "    world:", *_policy("outside", "label.tier=t0", "tcp/443, icmp, icmpv6")]
    for tier in range(tiers - 1):
        lines += [f"    step-{tier}:", *_policy(f"label.tier=t{tier}", f"label.tier=t{tier + 1}", f"tcp/{8000 + tier}")]
    return "\n".join(lines) + "\n"


def _machine(name: str, tier: int, network: str) -> list[str]:
    return [
        f"  {name}:",
        "    image: micro",
        "    memory: 96MiB",
        f"    labels: {{tier: t{tier}}}",
        f"    nics: [{{network: {network}}}]",
    ]


def _policy(source: str, destination: str, services: str) -> list[str]:
    return [
        "      kind: traffic",
        f"      from: [{source}]",
        f"      to: [{destination}]",
        f"      allow: [{services}]",
    ]
