"""Random policies: what becomes of packets in the emitted filters is what the policies say."""

from dataclasses import replace
from functools import cached_property
from ipaddress import ip_address, ip_network

from filter_semantics import Nic, Packet, forward_passes, frame_passes, nic_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from provision_libvirt.translate import translate
from provision_libvirt.translate.reach import Reaching
from stack_requests import FACTS, addresses, request

from provision.models import Stack
from provision.packets import Protocol

NETWORKS = {
    "front": {"cidr": "10.1.0.0/24", "cidr6": "fd00:1::/64", "internet": "routed"},
    "mid": {"cidr": "10.2.0.0/24", "cidr6": "fd00:2::/64", "internet": "routed"},
    "lan": {"cidr": "10.3.0.0/24", "cidr6": "fd00:3::/64", "internet": "nat"},
    "back": {"cidr": "10.4.0.0/24", "cidr6": "fd00:4::/64"},
}
MACHINES = {
    "web": {"count": 2, "nics": ["front"], "labels": {"tier": "web"}},
    "app": {"nics": ["mid", "back"], "labels": {"tier": "app"}},
    "pc": {"nics": ["lan"], "labels": {"tier": "web"}},
    "db": {"nics": ["back"]},
    "bare": {"nics": ["front"]},
}
METADATA = "169.254.169.254"
OUTSIDE = {4: ["8.8.8.8", METADATA, "192.0.2.7", "172.31.0.9"], 6: ["2606:4700::1", "2001:db8:1::5"]}
PEERS = [
    "machine.web", "machine.web-1", "machine.app", "machine.db", "machine.pc", "machine.*", "label.tier=web",
    "network.front", "network.mid", "network.back", "network.lan", "outside", "internet", "host",
    "192.0.2.0/24", "10.1.0.0/28", "10.4.0.0/24", "fd00:1::/64", "8.0.0.0/6", "::/0",
]  # fmt: skip
SERVICES = [
    "tcp/80", "tcp/8000-8100", "tcp", "udp/53", "udp/5000-5010", "icmp", "icmp/8.0", "icmpv6", "icmpv6/128.0",
    "protocol/47", "protocol/132", "any",
]  # fmt: skip
FOLLOWED = [service for service in SERVICES if service != "protocol/47"]


def document(policies):
    machines = {
        name: {
            "image": "micro",
            "memory": "96MiB",
            **{k: v for k, v in it.items() if k in ("count", "labels")},
            "nics": [{"network": network} for network in it["nics"]],
        }
        for name, it in MACHINES.items()
    }
    return {"networks": NETWORKS, "machines": machines, "isolation": {"policies": policies}}


def possible(found):
    """Without the policies that are refused because nothing that they allow could get there."""
    traffic = Stack.model_validate({"version": 1, **document(found)}).isolation.policies
    named = [(name, policy) for name, policy in traffic.items() if policy.kind == "traffic"]
    while refused := {item.path[2] for item in Reaching(ONLY_NETWORKS, named).objections()}:
        named = [(name, policy) for name, policy in named if name not in refused]
    kept = {name for name, _ in named}
    return {name: policy for name, policy in found.items() if name in kept or policy["kind"] != "traffic"}


@st.composite
def policies(draw):
    found = {}
    for index in range(draw(st.integers(0, 4))):
        sources = draw(st.lists(st.sampled_from(PEERS), min_size=1, max_size=2, unique=True))
        targets = draw(st.lists(st.sampled_from(PEERS), min_size=1, max_size=2, unique=True))
        allow = draw(st.lists(st.sampled_from(FOLLOWED), min_size=1, max_size=2, unique=True))
        if any(peer in ("outside", "internet") or "/" in peer for peer in targets):
            allow = [service for service in allow if not service.startswith(("udp", "any"))] or ["tcp/80"]
        found[f"p{index}"] = {"kind": "traffic", "from": sources, "to": targets, "allow": allow}
    return possible(found)


@st.composite
def ordered_policies(draw):
    """Policies that deny, and policies that close something for good, beside others."""
    found = {name: dict(policy) for name, policy in draw(policies()).items()}
    for policy in found.values():
        policy["order"] = draw(st.sampled_from([None, 5, 10, 20]))
    for index in range(draw(st.integers(1, 3))):
        found[f"d{index}"] = {
            "kind": "traffic",
            "from": draw(st.lists(st.sampled_from(PEERS), min_size=1, max_size=2, unique=True)),
            "to": draw(st.lists(st.sampled_from(PEERS), min_size=1, max_size=2, unique=True)),
            "deny": draw(st.lists(st.sampled_from(FOLLOWED), min_size=1, max_size=2, unique=True)),
            "order": draw(st.sampled_from([5, 10, 20])),
        }
    for kind in draw(st.sets(st.sampled_from(["no_internet", "no_host_access", "metadata"]))):
        found[kind.replace("_", "-")] = {
            "kind": kind,
            "machines": [draw(st.sampled_from(["machine.*", "machine.web", "label.tier=app"]))],
        }
    for machines in draw(st.sets(st.sampled_from(["machine.*", "machine.web", "label.tier=web"]), max_size=1)):
        found["apart"] = {"kind": "peer_isolation", "machines": [machines]}
    return possible(found)


ONLY_NETWORKS = Stack.model_validate({"version": 1, **document({})})


class World:
    """The ends of connections, and what the file says of them, computed without the translation."""

    def __init__(self, policies_):
        self.stack = Stack.model_validate({"version": 1, **document(policies_)})
        self.graph = translate(request(document(policies_)))
        self.ends = {}
        for name, nics in addresses(self.stack).items():
            entry = name if name in MACHINES else name.rpartition("-")[0]
            for index, nic in enumerate(nics):
                for family, address in ((4, nic.ipv4), (6, nic.ipv6)):
                    self.ends[address] = (family, entry, name, nic.network, index)
        self.nics: dict[str, Nic] = {}
        self.said = {}
        self.gateways = {str(ip_network(n[key])[1]) for n in NETWORKS.values() for key in ("cidr", "cidr6")}
        self.gateways -= {"10.4.0.1", "fd00:4::1"}  # no way out, no need: the hypervisor is not there

    def nic(self, address):
        if address not in self.nics:
            _, _, name, _, index = self.ends[address]
            self.nics[address] = nic_of(self.graph, f"machines/{name}/domain", index)
        return self.nics[address]

    def means(self, peer, address):
        end, text = self.ends.get(address), str(peer)
        if "/" in text:
            return ip_address(address) in ip_network(text)
        if text == "host":
            return address in self.gateways or address in FACTS["host_addresses"]
        if end is None:
            beyond = address not in self.gateways and address not in FACTS["host_addresses"]
            return beyond and (text == "outside" or (text == "internet" and ip_address(address).is_global))
        kind, _, name = text.partition(".")
        return {
            "machine": name in ("*", end[1], end[2]),
            "network": name == end[3],
            "label": f"tier={MACHINES[end[1]].get('labels', {}).get('tier')}" == name,
        }.get(kind, False)

    def allowed(self, packet):
        """Whether the file allows the packet."""
        ends = packet.src, packet.dst
        if ends not in self.said:
            self.said[ends] = self.between(*ends)
        traffic = [
            (order, says) for order, says, services in self.said[ends] if any(serves(s, packet) for s in services)
        ]
        return min(traffic, default=(0, False))[1]

    def between(self, source, target):
        """What policies say of packets between two addresses: order, whether it is allowed, and of which services."""
        traffic = []
        for policy in self.stack.isolation.policies.values():
            order = getattr(policy, "order", None)
            if policy.kind == "metadata":
                if target == METADATA and any(self.means(peer, source) for peer in policy.machines):
                    return []
                continue
            if policy.kind == "peer_isolation":
                ends = [self.ends.get(source), self.ends.get(target)]
                selected = all(self.means(peer, end) for peer in policy.machines for end in (source, target))
                if None not in ends and ends[0][3] == ends[1][3] and selected:
                    return []
                continue
            if policy.kind in ("no_internet", "no_host_access"):
                what = "internet" if policy.kind == "no_internet" else "host"
                for one, other in ((source, target), (target, source)):
                    if any(self.means(peer, one) for peer in policy.machines) and self.means(what, other):
                        return []
                continue
            if any(self.means(peer, source) for peer in policy.sources) and any(
                self.means(peer, target) for peer in policy.destinations
            ):
                for says, services in ((False, policy.deny), (True, policy.allow)):
                    traffic.append((1001 if order is None else order, says, services))
        return traffic

    @cached_property
    def lets_the_hypervisor_in(self):
        """Whether a policy that allows something speaks of any address of the hypervisor's."""
        peers = [
            peer
            for policy in self.stack.isolation.policies.values()
            if policy.kind == "traffic" and policy.allow
            for peer in (*policy.sources, *policy.destinations)
        ]
        return self.stack.isolation.default == "allow" or any(
            str(peer) == "host" or ("/" in str(peer) and any(self.means(peer, one) for one in self.hosts))
            for peer in peers
        )

    @property
    def hosts(self):
        return [*self.gateways, *FACTS["host_addresses"]]

    def route(self, source, target):
        """`bridge`, `routed` or None, as libvirt's networks alone would have it."""
        here, there = self.ends.get(source), self.ends.get(target)
        if here and there:
            if here[3] == there[3]:
                return "bridge"
            both = {NETWORKS[here[3]].get("internet"), NETWORKS[there[3]].get("internet")}
            return "routed" if both == {"routed"} else None
        return None if NETWORKS[(here or there)[3]].get("internet") is None else "routed"

    def delivered(self, packet):
        """Whether the packet comes out at the other end."""
        way = self.route(packet.src, packet.dst)
        if way == "bridge" and self.nic(packet.src).isolated and self.nic(packet.dst).isolated:
            return False
        if way is None and (packet.src in self.ends) == (packet.dst in self.ends):
            way = "routed"  # nothing but the filters is in the way: a filtered sender passes by the network's own rules
        if packet.src in self.ends:
            sender = self.nic(packet.src)
            sent = Packet(**{**packet.__dict__, "mac": packet.mac or sender.mac})
            if not frame_passes(sender, sent, "out") or not forward_passes(sender, packet, "out"):
                return False
        if packet.dst in self.ends:
            receiver = self.nic(packet.dst)
            if way == "bridge" and not forward_passes(receiver, packet, "in"):
                return False
            if not frame_passes(receiver, packet, "in"):
                return False
        return True

    def connects(self, packet):
        """Whether the packet, its answer, and what follows on that come through."""
        follower = replace(packet, state="ESTABLISHED")
        return all(self.delivered(one) for one in (packet, packet.answer(), follower))


def serves(service, packet):
    number = {Protocol.TCP: 6, Protocol.UDP: 17, Protocol.ICMP: 1, Protocol.ICMPV6: 58}.get(
        service.protocol, service.number
    )
    if service.protocol is Protocol.ANY:
        return True
    if number != packet.protocol:
        return False
    if service.has_ports:
        return service.first <= packet.dport <= service.last
    return service.kind in (None, packet.kind)


def probes(family):
    for port in (79, 80, 7999, 8000, 8100, 8101):
        yield {"protocol": 6, "sport": 40000, "dport": port}
    for port in (53, 54, 4999, 5010):
        yield {"protocol": 17, "sport": 40000, "dport": port}
    yield {"protocol": 1 if family == 4 else 58, "kind": 8 if family == 4 else 128}
    yield {"protocol": 47}
    yield {"protocol": 132}


PROBES = {family: list(probes(family)) for family in (4, 6)}


def pairs(world):
    for family in (4, 6):
        inside = [address for address, end in world.ends.items() if end[0] == family]
        others = OUTSIDE[family] + [g for g in sorted(world.gateways) if ip_address(g).version == family]
        others += [a for a in FACTS["host_addresses"] if ip_address(a).version == family]
        for source in inside:
            for target in inside:
                if world.ends[source][2] != world.ends[target][2]:
                    yield family, source, target
            for other in others:
                yield family, source, other
                yield family, other, source


OPEN_BUT_FOR_ONE = {
    "open": {"kind": "traffic", "from": ["outside"], "to": ["machine.web"], "allow": ["tcp/80"]},
    "never": {"kind": "traffic", "from": ["outside"], "to": ["machine.web"], "deny": ["tcp/8000"], "order": 1},
}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(policies(), ordered_policies()))
@example(OPEN_BUT_FOR_ONE)
def test_every_probe_packet_fares_as_the_policies_say(drawn):
    world = World(drawn)
    for family, source, target in pairs(world):
        reachable = world.route(source, target) is not None
        inbound_nat = target in world.ends and source not in world.ends and world.ends[target][3] == "lan"
        own_gateway = {source, target} & world.gateways
        for fields in PROBES[family]:
            packet = Packet(family, source, target, **fields)
            allowed = world.allowed(packet)
            if not allowed:
                assert not world.connects(packet), packet
                # Answers that are routed in are told by address and port alone: of what may be answered, a lone TCP
                # segment from beyond, or a lone packet of the hypervisor's, may get in, but no connection; of the
                # hypervisor's none where no policy speaks of it.
                hypervisor = source in world.gateways or source in FACTS["host_addresses"]
                beyond = source not in world.ends
                if hypervisor and packet.protocol == 6 and not world.lets_the_hypervisor_in:
                    assert not world.delivered(packet), packet
                if not hypervisor and (packet.protocol == 17 or (packet.protocol == 6 and not beyond)):
                    assert not world.delivered(packet), packet
            elif reachable and not inbound_nat and not own_gateway:
                assert world.connects(packet), packet


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(policies(), st.data())
def test_a_machine_sends_nothing_as_another(drawn, data):
    world = World(drawn)
    family, source, target = data.draw(st.sampled_from([p for p in pairs(world) if p[1] in world.ends]))
    liar = data.draw(st.sampled_from([a for a, e in world.ends.items() if e[0] == family and a != source]))
    sender = world.nic(liar)
    for fields in probes(family):
        lie = Packet(family, source, target, mac=sender.mac, **fields)
        assert not frame_passes(sender, lie, "out")
        assert not frame_passes(sender, Packet(family, liar, target, mac="02:00:00:00:00:fe", **fields), "out")
        for kind, direction in (("ESTABLISHED", "REPLY"), ("NEW", "ORIGINAL")):
            strayed = Packet(family, target, source, state=kind, direction=direction, **fields)
            assert not frame_passes(sender, strayed, "in")


def test_the_model_of_libvirt_can_fail():
    allow = {"p": {"kind": "traffic", "from": ["machine.web"], "to": ["machine.bare"], "allow": ["tcp/80"]}}
    world = World(allow)
    web, bare = (next(a for a, e in world.ends.items() if e[0] == 4 and e[1] == n) for n in ("web", "bare"))
    packet = Packet(4, web, bare, 6, 40000, 80)
    assert world.connects(packet)
    broken = tuple(rule for rule in world.nic(bare).rules if rule.get("attributes", {}).get("dstportstart") != "80")
    world.nics[bare] = Nic(world.nic(bare).mac, broken)
    assert not world.connects(packet)
    closed = tuple(rule for rule in world.nic(web).rules if not (rule["action"] == "drop" and rule["priority"] == 1000))
    world.nics[web] = Nic(world.nic(web).mac, closed)
    assert world.delivered(Packet(4, web, "8.8.8.8", 17, 1, 1))
