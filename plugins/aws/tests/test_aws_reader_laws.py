"""Both readers let pass exactly what EC2 does, packet by packet, on random small networks."""

from ipaddress import ip_address, ip_network

from aws_worlds import ADDRESSES, GROUPS, MACHINES, PACKETS, Account, World, as_graph, passes, worlds
from hypothesis import HealthCheck, example, given, settings
from provision_aws.readers import read_live_rules, read_rules

from provision.packets.sets import Field, Packet, PacketSpace
from provision.spi import DeployedMachine, LiveRulesRequest, NativeState, NicAddress

SPACE = PacketSpace()
POINTS = {
    one: SPACE.only(
        Packet(4, one[2], ip_address(one[0]), ip_address(one[1]), 0 if one[2] in (1, 47) else one[3], one[4])
    )
    for one in PACKETS
}
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


ANY, WORLD = ("-1", None, None), "0.0.0.0/0"
OPEN = [(group, way, ANY, ("cidr", WORLD)) for group in GROUPS for way in ("ingress", "egress")]


def opened(**more):
    """Groups that let everything pass, so that what surrounds the subnets decides alone."""
    made = {"public": dict.fromkeys(MACHINES, True), "routes": {"front": "internet", "back": "nat"}} | more
    return World(
        OPEN, {name: {"red"} for name in MACHINES}, checked=dict.fromkeys(MACHINES, True), destination=WORLD, **made
    )


def around(*back):
    return {"front": None, "back": list(back)}


def agrees(readout, world):
    for packet, point in POINTS.items():
        first, both = passes(world, packet)
        assert (point <= readout.delivered, point <= readout.connected) == (first, both), packet
    assert readout.unmodelled == ()


@SLOW
@example(opened())
@example(opened(routes={"front": None, "back": "nat"}))
@given(worlds())
def test_a_graph_lets_pass_what_ec2_would(world):
    readout = read_rules(as_graph(world).request(SPACE))

    agrees(readout, world)
    strangers = SPACE.prefixes(Field.SOURCE, [ip_network("10.0.1.200")]) & readout.forged
    assert not strangers if all(world.checked.values()) else not readout.forged - _sent(world)


def _sent(world):
    """Whatever any machine may send to anybody, from any address."""
    loose = [name for name in MACHINES if not world.checked[name]]
    own = SPACE.prefixes(Field.SOURCE, [ip_network(ADDRESSES[name]) for name in loose])
    return SPACE.all - own if len(loose) == 1 else SPACE.all


@SLOW
@example(opened(routes={"front": None, "back": "nat"}))
@example(opened(acls=around((False, True, ("tcp", 22, 80), WORLD), (True, True, ANY, WORLD))))
@example(opened(acls=around((False, True, ANY, WORLD), (True, True, ("tcp", 0, 81), WORLD))))
@example(opened(acls=around((False, True, ("icmp", 8, -1), WORLD), (True, True, ("icmp", 0, -1), WORLD))))
@given(worlds(acls=True))
def test_an_account_lets_pass_what_ec2_does(world):
    machines = [DeployedMachine(name, (NativeState("ec2:Instance", name, f"i-{name}", {}),)) for name in MACHINES]
    addresses = {name: [NicAddress(world.subnet(name), "02:00:00:00:00:01", ADDRESSES[name])] for name in MACHINES}

    agrees(read_live_rules(Account(world), LiveRulesRequest(SPACE, machines, addresses)), world)
