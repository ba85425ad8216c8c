"""Random small stacks, each proven, and broken once: against an oracle that sends every packet of a small world.

    python plugins/libvirt/tests/small_stacks.py [HOW MANY] [FIRST SEED]

The oracle evaluates filters for one packet at a time (`filter_semantics`), and policies by what the file says: it
shares nothing with the translation, the reader or the proof.
"""

import random
import sys
import time
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

from filter_semantics import Packet, forward_passes, frame_passes, nic_of
from provision_libvirt import readers
from provision_libvirt.translate import translate
from stack_requests import addresses, request

from provision.models import Stack
from provision.spi import ResourceGraph
from provision.verify.proof import Proof, prove

NAMES = ("a", "b", "c")
PORTS = (21, 22, 23, 24)
SERVICES = ("tcp/22", "tcp/22-23", "udp/22", "tcp/23", "udp/21-23", "icmp", "tcp")
FIELDS = [
    *({"protocol": number, "sport": 40_000, "dport": port} for number in (6, 17) for port in PORTS),
    {"protocol": 1, "kind": 8},
]


@dataclass(frozen=True)
class Found:
    """What became of one seed.

    Attributes:
        alarm: a difference where there is none, in words; empty when there is no false alarm.
        broken: what was broken on purpose.
        differs: a packet on which the broken filters and the file do not agree, None when the oracle finds none.
        noticed: whether the proof says so.
    """

    alarm: str
    broken: str
    differs: Packet | None
    noticed: bool


def document(chance: random.Random) -> dict[str, Any]:
    """Two or three machines on one network or two, with up to three policies."""
    names = NAMES[: chance.choice((2, 3, 3))]
    networks = {"x": {"cidr": "10.9.0.0/29", "internet": "routed"}, "y": {"cidr": "10.9.0.8/29", "internet": "routed"}}
    labels = ("red", "blue")
    peers = [*(f"machine.{name}" for name in names), "machine.*", "label.tier=red", "network.x", "10.9.0.0/30"]
    policies: dict[str, Any] = {}
    for index in range(chance.randrange(4)):
        said = "deny" if chance.random() < 0.2 else "allow"
        policies[f"p{index}"] = {
            "kind": "traffic",
            "from": chance.sample(peers, chance.choice((1, 1, 2))),
            "to": chance.sample(peers, chance.choice((1, 1, 2))),
            said: chance.sample(SERVICES, chance.choice((1, 2))),
            **({"order": chance.choice((1, 2))} if said == "deny" or chance.random() < 0.3 else {}),
        }
    machines = {
        name: {
            "image": "micro",
            "memory": "96MiB",
            "labels": {"tier": chance.choice(labels)},
            "nics": [{"network": chance.choice(("x", "x", "y")), "address": None}],
        }
        for name in names
    }
    for place, machine in enumerate(machines.values()):
        machine["nics"][0]["address"] = f"10.9.0.{(2 if machine['nics'][0]['network'] == 'x' else 10) + place}"
    return {"networks": networks, "machines": machines, "isolation": {"policies": policies}}


@dataclass(frozen=True)
class World:
    """A stack and its filters, by the packet."""

    stack: Stack
    graph: ResourceGraph

    def differs(self) -> Packet | None:
        """A packet between machines on which filters and file do not agree."""
        given = addresses(self.stack)
        nics = {name: nic_of(self.graph, f"machines/{name}/domain", 0) for name in given}
        for source, target in permutations(given, 2):
            same = given[source][0].network == given[target][0].network
            for fields in FIELDS:
                packet = Packet(4, str(given[source][0].ipv4), str(given[target][0].ipv4), **fields)
                follower = replace(packet, state="ESTABLISHED")
                fares = all(
                    passes(nics[one], nics[other], sent, same)
                    for one, other, sent in (
                        (source, target, packet), (target, source, packet.answer()), (source, target, follower),
                    )
                )  # fmt: skip
                if fares is not self.allowed(source, target, packet):
                    return packet
        return None

    def allowed(self, source: str, target: str, packet: Packet) -> bool:
        """What the file says: the first policy by order that speaks of it, a denial before an allowance."""
        found = []
        for policy in self.stack.isolation.policies.values():
            if any(self.means(str(peer), source) for peer in policy.sources) and any(
                self.means(str(peer), target) for peer in policy.destinations
            ):
                for says, services in ((False, policy.deny), (True, policy.allow)):
                    if any(serves(str(service), packet) for service in services):
                        found.append((1001 if policy.order is None else policy.order, says))
        return min(found, default=(0, False))[1]

    def means(self, peer: str, name: str) -> bool:
        """Whether a peer of a policy is that machine."""
        kind, _, rest = peer.partition(".")
        machine = self.stack.machines[name]
        address = int(str(machine.nics[0].address).rpartition(".")[2])
        if "/" in peer:
            return address < 4
        return {
            "machine": rest in ("*", name),
            "network": machine.nics[0].network == rest,
            "label": machine.labels["tier"] == rest.partition("=")[2],
        }[kind]


def serves(service: str, packet: Packet) -> bool:
    """Whether a service, as it is written, is that of a packet."""
    name, _, ports = service.partition("/")
    if {"tcp": 6, "udp": 17, "icmp": 1}[name] != packet.protocol:
        return False
    first, _, last = ports.partition("-")
    return not ports or int(first) <= packet.dport <= int(last or first)


def passes(sender: Any, receiver: Any, packet: Packet, same: bool) -> bool:
    """Whether a packet comes from one NIC to another."""
    sent = replace(packet, mac=sender.mac)
    return (
        frame_passes(sender, sent, "out")
        and forward_passes(sender, packet, "out")
        and frame_passes(receiver, sent, "in")
        and (not same or forward_passes(receiver, packet, "in"))
    )


def broken(chance: random.Random, graph: ResourceGraph) -> tuple[ResourceGraph, str]:
    """The same with one rule gone, turned round, or with another port."""
    nodes = [node for node in graph.nodes if node.inputs.get("rules")]
    node = chance.choice(nodes)
    rules = list(node.inputs["rules"])
    index = chance.randrange(len(rules))
    rule, how = rules[index], chance.choice(("gone", "turned", "moved"))
    if how == "moved" and "dstportstart" in rule.get("attributes", {}):
        port = chance.choice([port for port in PORTS if str(port) != rule["attributes"]["dstportstart"]])
        kept = {key: value for key, value in rule["attributes"].items() if key != "dstportend"}
        rules[index] = {**rule, "attributes": {**kept, "dstportstart": str(port)}}
    elif how == "turned":
        rules[index] = {**rule, "action": "drop" if rule["action"] == "accept" else "accept"}
    else:
        del rules[index]
    changed = tuple(
        replace(one, inputs={**one.inputs, "rules": rules}) if one.name == node.name else one for one in graph.nodes
    )
    return ResourceGraph(graph.components, changed), f"{node.name}: {how}: {rule}"


def tried(seed: int) -> Found | None:
    """One stack, proven and broken; None when the plugin refuses it."""
    from provision.errors import PolicyRefused

    chance = random.Random(seed)
    asked = request(document(chance))
    try:
        graph = translate(asked)
    except PolicyRefused:
        return None

    def proven(made: ResourceGraph) -> Proof:
        return prove(asked.stack, addresses(asked.stack), made, asked.capabilities, readers, most=1)

    right, wrong = World(asked.stack, graph).differs(), proven(graph)
    alarm = "" if wrong.holds and right is None else f"seed {seed}: {right} {wrong.differences} {wrong.unmodelled}"
    other, what = broken(chance, graph)
    return Found(alarm, what, World(asked.stack, other).differs(), not proven(other).holds)


def main() -> int:
    """Try many, and say what was found."""
    many, first = (int(word) for word in (*sys.argv[1:], *("1000", "0")[len(sys.argv) - 1 :]))
    began, found, seed = time.process_time(), list[Found](), first
    while len(found) < many:
        one, seed = tried(seed), seed + 1
        if one is not None:
            found.append(one)
    alarms = [one.alarm for one in found if one.alarm]
    differing = [one for one in found if one.differs is not None]
    missed = [f"{one.broken}: {one.differs}" for one in differing if not one.noticed]
    print(f"{many} stacks ({seed - first - many} refused): {len(alarms)} false alarms; {len(differing)} broken such "
          f"that a packet fares otherwise, {len(differing) - len(missed)} of them noticed; "
          f"{time.process_time() - began:.0f} s of CPU")  # fmt: skip
    for line in [*alarms, *missed][:10]:
        print(line)
    return bool(alarms or missed)


if __name__ == "__main__":
    sys.exit(main())
