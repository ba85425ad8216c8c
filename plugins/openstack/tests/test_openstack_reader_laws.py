"""Both readers let pass exactly what Neutron does, packet by packet, on random small networks."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import HealthCheck, example, given, settings
from openstack_worlds import GROUPS, MACHINES, OPEN, OWN, PACKETS, Cloud, World, addresses, as_graph, passes, worlds
from provision_openstack.readers import read_live_rules, read_rules

from provision.packets.sets import Field, Packet, PacketSpace
from provision.spi import Evidence, LiveRulesRequest

SPACE = PacketSpace()
POINTS = {
    one: SPACE.only(
        Packet(
            ip_address(one[0]).version,
            one[2],
            ip_address(one[0]),
            ip_address(one[1]),
            one[3] if one[2] in (6, 17) else 0,
            one[4],
        )
    )
    for one in PACKETS
}
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ALL = {name: set(GROUPS) for name in MACHINES}
ASKING = [("red", "egress", 4, ("icmp", 8, None), ("all", None)), ("red", "ingress", 4, ("icmp", 0, 0), ("all", None))]
READ = {
    "graph": lambda world: read_rules(as_graph(world, SPACE)),
    "live": lambda world: live(Cloud(world)),
}


def live(cloud):
    return read_live_rules(cloud, LiveRulesRequest(SPACE, cloud.machines(), addresses()))


def own(*names):
    return SPACE.prefixes(Field.SOURCE, [ip_network(address) for name in names for address in OWN[name]])


@pytest.mark.parametrize("reader", sorted(READ))
@SLOW
@example(World(OPEN, ALL))
@example(World(OPEN, ALL, joined=("front",), hides=True, public={"two"}))
@example(World(OPEN, ALL, joined=(), gateway=False))
@example(World(ASKING, {name: {"red"} for name in MACHINES}, stateless={"red"}))
@example(World(OPEN[:2], {"one": {"red"}, "two": None, "three": set()}, pairs={"one": ["10.0.1.99/32"]}))
@given(worlds())
def test_what_passes_is_what_neutron_lets_pass(reader, world):
    readout = READ[reader](world)

    for packet, point in POINTS.items():
        assert (point <= readout.delivered, point <= readout.connected) == passes(world, packet), packet
    assert readout.unmodelled == ()
    assert readout.kind is (Evidence.ACCEPTED if reader == "live" else Evidence.EFFECTIVE)


@pytest.mark.parametrize("reader", sorted(READ))
@SLOW
@example(World(OPEN, ALL, pairs={"one": ["10.0.1.10/32"]}))
@given(worlds())
def test_nobody_forges_but_who_is_not_held_to_its_addresses(reader, world):
    readout = READ[reader](world)

    loose = {name for name in MACHINES if world.groups[name] is None}
    lent = {
        name: [ip_network(pair) for pair in world.pairs.get(name, ()) if pair.removesuffix("/32") not in OWN[name]]
        for name in set(MACHINES) - loose
    }
    anything = SPACE.prefixes(Field.SOURCE, [ip_network("192.0.2.1/32")])
    assert bool(anything & readout.forged) == bool(loose)
    assert bool(readout.claimed) == bool(loose or any(lent.values()))
    for name, prefixes in lent.items():
        for prefix in prefixes:
            assert own(name) & SPACE.prefixes(Field.DESTINATION, [prefix]) <= readout.claimed
    if not loose:
        allowed = SPACE.prefixes(Field.SOURCE, [prefix for prefixes in lent.values() for prefix in prefixes])
        assert readout.forged <= allowed
