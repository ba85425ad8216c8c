"""What groups, routes and interfaces of a graph let pass is read back as EC2 would do it, whoever wrote them."""

from ipaddress import ip_address

import pytest
from aws_graphs import Graphs
from provision_aws.readers import read_rules

from provision.packets.sets import Packet, PacketSpace

WORLD = "198.51.100.7"


def packet(source, destination, protocol=6, port=80, from_port=40000):
    one, other = ip_address(source), ip_address(destination)
    return Packet(one.version, protocol, one, other, from_port, port)


def read(graphs):
    space = PacketSpace()
    readout = read_rules(graphs.request(space))

    def passes(*what, **more):
        point = space.only(packet(*what, **more))
        assert (point <= readout.delivered) == (point <= readout.connected)
        return point <= readout.delivered

    return readout, passes


def web_and_db(**more):
    graphs = Graphs()
    web, db = graphs.group("web"), graphs.group("db")
    graphs.rule(web, "egress", "tcp", 5432, group=db)
    graphs.rule(db, "ingress", "tcp", 5432, group=web)
    graphs.machine("web", "front", 10, [web], **more)
    graphs.machine("db", "back", 20, [db])
    return graphs, web, db


@pytest.mark.parametrize("own", [False, True])
def test_both_ends_must_let_a_connection_pass(own):
    graphs, _, _ = web_and_db(own=own)

    readout, passes = read(graphs)

    assert passes("10.0.1.10", "10.0.2.20", port=5432)
    assert not passes("10.0.1.10", "10.0.2.20", port=5433)
    assert not passes("10.0.2.20", "10.0.1.10", port=5432)
    assert not passes("10.0.1.10", "10.0.2.20", 17, 5432)
    assert not passes(WORLD, "10.0.2.20", port=5432)
    assert readout.unmodelled == ()
    assert not readout.forged


def test_a_rule_at_one_end_alone_lets_nothing_pass():
    graphs = Graphs()
    web, db = graphs.group("web"), graphs.group("db")
    graphs.rule(db, "ingress", "-1", cidr="0.0.0.0/0")
    graphs.machine("web", "front", 10, [web])
    graphs.machine("db", "back", 20, [db])

    _, passes = read(graphs)

    assert not passes("10.0.1.10", "10.0.2.20")


def test_rules_of_all_groups_of_an_interface_count():
    graphs, web, db = web_and_db()
    more = graphs.group("more")
    graphs.rule(more, "ingress", "tcp", 22, cidr="10.0.1.0/24")
    graphs.rule(web, "egress", "tcp", 22, cidr="10.0.2.0/24")
    graphs.machine("db2", "back", 30, [db, more])

    _, passes = read(graphs)

    assert passes("10.0.1.10", "10.0.2.30", port=22)
    assert passes("10.0.1.10", "10.0.2.30", port=5432)
    assert not passes("10.0.1.10", "10.0.2.20", port=22)


def test_a_prefix_list_stands_for_its_ranges():
    graphs, web, db = web_and_db()
    listed = graphs.prefix_list("10.0.1.0/25", "192.0.2.0/24")
    graphs.rule(db, "ingress", "udp", 53, list=listed)
    graphs.rule(web, "egress", "udp", 53, cidr="10.0.0.0/16")
    graphs.machine("far", "front", 200, [web])

    _, passes = read(graphs)

    assert passes("10.0.1.10", "10.0.2.20", 17, 53)
    assert not passes("10.0.1.200", "10.0.2.20", 17, 53)


@pytest.mark.parametrize(
    ("protocol", "first", "last", "passing", "stopped"),
    [
        ("icmp", 8, 0, (1, 8 << 8), (1, 8 << 8 | 1)),
        ("icmp", 8, -1, (1, 8 << 8 | 3), (1, 13 << 8)),
        ("icmp", -1, -1, (1, 13 << 8), (17, 13)),
        ("tcp", 0, 65535, (6, 65535), (17, 1)),
        ("132", None, None, (132, 9), (6, 9)),
        ("-1", None, None, (47, 0), None),
    ],
)
def test_what_a_protocol_means(protocol, first, last, passing, stopped):
    graphs, web, db = web_and_db()
    graphs.rule(db, "ingress", protocol, first, last, group=web)
    graphs.rule(web, "egress", "-1", cidr="0.0.0.0/0")

    _, passes = read(graphs)

    assert passes("10.0.1.10", "10.0.2.20", *passing)
    assert stopped is None or not passes("10.0.1.10", "10.0.2.20", *stopped)


def test_beyond_the_vpc_the_route_table_decides():
    graphs, web, db = web_and_db()
    for group in (web, db):
        graphs.rule(group, "egress", "-1", cidr="0.0.0.0/0")
        graphs.rule(group, "ingress", "tcp", 80, cidr="0.0.0.0/0")
    graphs.table("front", internet="0.0.0.0/0")
    graphs.table("back", nat="0.0.0.0/0")

    _, passes = read(graphs)

    assert passes("10.0.1.10", WORLD)
    assert passes(WORLD, "10.0.1.10")
    assert passes("10.0.2.20", WORLD)  # by the NAT gateway, which takes no SCTP and lets nothing in
    assert not passes("10.0.2.20", WORLD, 132, 80)
    assert not passes(WORLD, "10.0.2.20")
    assert passes("10.0.1.10", "10.0.2.20")  # within the VPC there is always a way


@pytest.mark.parametrize("public", ["not", "by itself", "elastic"])
def test_that_a_machine_has_no_public_address_is_told_where_one_is_needed(public):
    graphs, web, _ = web_and_db(associate_public_ip_address=public == "by itself")
    graphs.rule(web, "ingress", "tcp", 80, cidr="0.0.0.0/0")
    graphs.table("front", internet="0.0.0.0/0")
    if public == "elastic":
        graphs.elastic_ip(graphs.made.build().node("machines/web/instance"))

    readout, _ = read(graphs)

    assert ("no public address" in readout.explain(packet(WORLD, "10.0.1.10"))) is (public == "not")
    assert "no public address" not in readout.explain(packet("10.0.2.20", "10.0.1.10"))


def test_without_a_route_nothing_leaves_the_vpc():
    graphs, web, _ = web_and_db(associate_public_ip_address=True)
    graphs.rule(web, "egress", "-1", cidr="0.0.0.0/0")
    graphs.rule(web, "ingress", "-1", cidr="0.0.0.0/0")

    readout, passes = read(graphs)

    assert not passes("10.0.1.10", WORLD)
    assert not passes(WORLD, "10.0.1.10")
    assert "no route leads there" in readout.explain(packet(WORLD, "10.0.1.10"))


def test_ipv6_addresses_that_amazon_will_give_are_told_by_those_of_the_file():
    graphs = Graphs(six=True)
    web, db = graphs.group("web"), graphs.group("db")
    graphs.rule(web, "egress", "-1", cidr6="::/0")
    graphs.rule(db, "ingress", "tcp", 80, cidr6=graphs.subnets["front"].output("ipv6_cidr_block"))
    graphs.rule(db, "ingress", "tcp", 81, cidr6="fd00::/8")
    graphs.rule(db, "ingress", "tcp", 82, cidr6="2000::/3")
    graphs.machine("web", "front", 10, [web], six=True)
    graphs.machine("db", "back", 20, [db], six=True)
    graphs.table("front", egress_only="::/0")

    readout, passes = read(graphs)

    assert passes("fd00:0:0:1::10", "fd00:0:0:2::20", port=80)
    assert not passes("fd00:0:0:1::10", "fd00:0:0:2::20", port=81)  # no address of the stack is there
    assert passes("fd00:0:0:1::10", "fd00:0:0:2::20", port=82)
    assert passes("fd00:0:0:1::10", "2001:db8:7::1")
    assert not passes("2001:db8:7::1", "fd00:0:0:1::10")
    assert readout.unmodelled == ()

    graphs.rule(db, "ingress", "tcp", 83, cidr6="2a05:d014::/35")
    readout, passes = read(graphs)
    assert "2a05:d014::/35 holds addresses of the stack" in readout.unmodelled[0]


@pytest.mark.parametrize("own", [False, True])
def test_a_prefix_list_may_leave_out_the_range_that_amazon_will_give(own):
    graphs = Graphs(six=True)
    web, db = graphs.group("web"), graphs.group("db")
    graphs.rule(web, "egress", "-1", cidr6="::/0")
    left_out = [graphs.vpc.output("ipv6_cidr_block")] if own else ["fc00::/7"]
    listed = graphs.prefix_list("::/1", "8000::/1", left_out=left_out)
    graphs.rule(db, "ingress", "tcp", 80, list=listed)
    graphs.machine("web", "front", 10, [web], six=True)
    graphs.machine("db", "back", 20, [db], six=True)
    graphs.table("back", internet="::/0")

    readout, passes = read(graphs)

    assert passes("fd00:0:0:1::10", "fd00:0:0:2::20") is not own
    assert passes("fdff::1", "fd00:0:0:2::20") is own
    assert passes("2a00::1", "fd00:0:0:2::20")
    assert readout.unmodelled == ()


def test_ranges_that_hold_all_public_addresses_hold_those_of_the_stack():
    graphs = Graphs(six=True)
    web, db = graphs.group("web"), graphs.group("db")
    graphs.rule(web, "egress", "-1", cidr6="::/0")
    for cidr in ("2000::/4", "3000::/5", "3800::/6", "3c00::/7", "3e00::/8", "3f00::/8"):
        graphs.rule(db, "ingress", "tcp", 80, cidr6=cidr)
    graphs.machine("web", "front", 10, [web], six=True)
    graphs.machine("db", "back", 20, [db], six=True)

    readout, passes = read(graphs)

    assert passes("fd00:0:0:1::10", "fd00:0:0:2::20")
    assert readout.unmodelled == ()


def test_a_machine_without_the_ipv6_address_of_the_file_neither_sends_nor_gets():
    graphs = Graphs()
    group = graphs.group("group")
    for direction in ("ingress", "egress"):
        graphs.rule(group, direction, "-1", cidr6="::/0")
    for name, last in (("one", 10), ("two", 11)):
        graphs.machine(name, "front", last, [group], six=True, ipv6_addresses=[])

    assert not read(graphs)[1]("fd00:0:0:1::10", "fd00:0:0:1::11")


def test_what_amazon_keeps_of_a_subnet_takes_no_part_in_connections():
    graphs, web, _ = web_and_db()
    for direction in ("ingress", "egress"):
        graphs.rule(web, direction, "-1", cidr="0.0.0.0/0")

    _, passes = read(graphs)

    assert not passes("10.0.1.1", "10.0.1.10")
    assert not passes("10.0.1.10", "10.0.1.255")
    assert passes("10.0.1.4", "10.0.1.10")


def test_the_metadata_service_is_filtered_by_no_group():
    graphs, _, _ = web_and_db(metadata_options={"http_endpoint": "enabled"})

    readout, passes = read(graphs)

    assert passes("10.0.1.10", "169.254.169.254")
    assert not passes("10.0.1.10", "169.254.169.254", port=81)
    assert not passes("10.0.2.20", "169.254.169.254")
    assert "no security group filters it" in readout.explain(packet("10.0.1.10", "169.254.169.254"))


def test_without_its_check_a_machine_may_forge_what_its_groups_let_out():
    graphs, _, _ = web_and_db(source_dest_check=False)
    space = PacketSpace()

    forged = read_rules(graphs.request(space)).forged

    assert space.only(packet("10.0.1.99", "10.0.2.20", port=5432)) <= forged
    assert not space.only(packet("10.0.1.99", "10.0.2.20", port=80)) & forged
    assert not space.only(packet("10.0.1.10", "10.0.2.20", port=5432)) & forged


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda graphs, db: graphs.rule(db, "ingress", "tcp", 1, list="pl-123"), "prefix list pl-123"),
        (lambda graphs, db: graphs.rule(db, "ingress", "tcp", 9, 1, cidr="0.0.0.0/0"), "the ports 9 to 1"),
        (lambda graphs, db: graphs.rule(db, "ingress", "frob", cidr="0.0.0.0/0"), "the protocol 'frob'"),
        (lambda graphs, db: graphs.rule(db, "ingress", "tcp", 1, group="sg-7"), "sg-7 is not the stack's"),
        (lambda graphs, db: graphs.machine("x", "front", 40, ["sg-8"]), "sg-8 is not the stack's"),
        (lambda graphs, db: graphs.machine("x", "front", 40, []), "no security group"),
        (
            lambda graphs, db: graphs.machine("x", "front", 40, [db], subnet_id="subnet-9"),
            "subnet-9 is not the stack's",
        ),
        (lambda graphs, db: graphs.machine("x", "front", 40, [db], private_ip_address="10.0.1.41"), "instead of"),
    ],
)
def test_what_cannot_be_known_is_named(spoil, said):
    graphs, _, db = web_and_db()
    spoil(graphs, db)

    unmodelled = read(graphs)[0].unmodelled

    assert any(said in one for one in unmodelled), unmodelled


def test_the_rules_that_decide_are_told():
    graphs, _, _ = web_and_db()
    readout, _ = read(graphs)

    passing = readout.explain(packet("10.0.1.10", "10.0.2.20", port=5432))
    stopped = readout.explain(packet("10.0.2.20", "10.0.1.10"))

    assert passing == "rule-1: tcp/5432 to db; rule-2: tcp/5432 from web"
    assert stopped.startswith("no rule of db lets it out of machines/db/instance, network card 0")
