"""Laws of packet sets, held against one packet at a time."""

from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from provision.packets import PROTOCOL_NUMBERS, Protocol, Service
from provision.packets.sets import Field, Packet, PacketSet, PacketSpace

SPACE = PacketSpace()
PREFIXES = [
    "0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/31", "10.0.0.2/31", "10.0.0.3/32", "192.0.2.0/25", "::/0", "fd00::/64",
    "fd00::1/128",
]  # fmt: skip
SERVICES = [
    "any", "tcp", "tcp/80", "tcp/79-81", "udp/1-7", "udp", "icmp", "icmp/8", "icmp/8.1", "icmpv6/128.0", "protocol/47",
]  # fmt: skip
ADDRESSES = ["10.0.0.0", "10.0.0.3", "10.255.0.0", "192.0.2.127", "192.0.2.128", "fd00::1", "fd00::2", "fd01::"]
SIDES = {Field.SOURCE: "source", Field.DESTINATION: "destination"}

simple = st.one_of(
    st.builds(lambda side, prefixes: ("prefix", side, prefixes), st.sampled_from(list(SIDES)),
              st.lists(st.sampled_from(PREFIXES), max_size=3)),
    st.builds(lambda service: ("service", service), st.sampled_from(SERVICES)),
    st.builds(lambda first, width: ("ports", first, first + width), st.integers(0, 100), st.integers(0, 70)),
)  # fmt: skip
terms = st.recursive(
    simple,
    lambda inner: st.one_of(st.tuples(st.sampled_from("&|-^"), inner, inner), st.builds(lambda one: ("~", one), inner)),
    max_leaves=6,
)


def made(term) -> PacketSet:
    match term:
        case ("prefix", side, prefixes):
            return SPACE.prefixes(side, [ip_network(p) for p in prefixes])
        case ("service", text):
            return SPACE.service(Service.parse(text))
        case ("ports", first, last):
            return SPACE.between(Field.SOURCE_PORT, first, last)
        case ("~", one):
            return ~made(one)
        case (sign, one, other):
            return {
                "&": PacketSet.__and__,
                "|": PacketSet.__or__,
                "-": PacketSet.__sub__,
                "^": PacketSet.__xor__,
            }[sign](made(one), made(other))


def holds(term, packet: Packet) -> bool:
    match term:
        case ("prefix", side, prefixes):
            return any(getattr(packet, SIDES[side]) in ip_network(p) for p in prefixes)
        case ("service", text):
            return serves(Service.parse(text), packet)
        case ("ports", first, last):
            return first <= packet.source_port <= last
        case ("~", one):
            return not holds(one, packet)
        case (sign, one, other):
            left, right = holds(one, packet), holds(other, packet)
            return {"&": left and right, "|": left or right, "-": left and not right, "^": left != right}[sign]


def serves(service: Service, packet: Packet) -> bool:
    if service.protocol is Protocol.ANY:
        return True
    if packet.protocol != (service.number or PROTOCOL_NUMBERS.get(service.protocol)):
        return False
    if service.has_ports:
        return service.first <= packet.destination_port <= service.last
    kind, code = packet.destination_port >> 8, packet.destination_port & 255
    family = {Protocol.ICMP: 4, Protocol.ICMPV6: 6}.get(service.protocol, packet.family)
    return packet.family == family and service.kind in (None, kind) and service.code in (None, code)


@st.composite
def packets(draw) -> Packet:
    source = ip_address(draw(st.sampled_from(ADDRESSES)))
    same = [ip_address(a) for a in ADDRESSES if ip_address(a).version == source.version]
    port = st.sampled_from([0, 1, 7, 8, 79, 80, 82, 2048, 2049, 32768, 65535])
    protocol = draw(st.sampled_from([1, 6, 17, 47, 58]))
    return Packet(source.version, protocol, source, draw(st.sampled_from(same)), draw(port), draw(port))


@settings(max_examples=300, deadline=None)
@given(terms, packets())
def test_a_set_holds_a_packet_exactly_when_its_terms_do(term, packet):
    assert (SPACE.only(packet) <= made(term)) == holds(term, packet)


@settings(max_examples=150, deadline=None)
@given(terms)
def test_the_example_of_a_set_is_in_it_and_only_the_empty_one_has_none(term):
    found = made(term)
    example = found.example()
    assert (example is None) == (found == SPACE.none) == (not found)
    if example is not None:
        assert SPACE.only(example) <= found
        assert holds(term, example)


@settings(max_examples=150, deadline=None)
@given(terms, terms, terms)
def test_sets_obey_the_laws_of_sets(one, two, three):
    a, b, c = made(one), made(two), made(three)
    assert ~(a | b) == ~a & ~b
    assert a - b == a & ~b
    assert a & (b | c) == (a & b) | (a & c)
    assert (a ^ b) == (a - b) | (b - a)
    assert (a <= b) == (a | b == b)
    assert ~~a == a
    assert SPACE.union([a, b, c]) == a | b | c


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 65535), st.integers(0, 65535))
def test_a_range_is_the_union_of_its_parts(one, other):
    first, last = sorted((one, other))
    middle = (first + last) // 2
    parts = SPACE.between(Field.DESTINATION_PORT, first, middle)
    if middle < last:
        parts |= SPACE.between(Field.DESTINATION_PORT, middle + 1, last)
    assert parts == SPACE.between(Field.DESTINATION_PORT, first, last)
    outside = SPACE.between(Field.DESTINATION_PORT, 0, first - 1) if first else SPACE.none
    outside |= SPACE.between(Field.DESTINATION_PORT, last + 1, 65535) if last < 65535 else SPACE.none
    assert ~parts == outside


def test_the_spelling_of_a_prefix_does_not_matter():
    halves = [ip_network("10.0.0.0/9"), ip_network("10.128.0.0/9"), ip_network("10.1.2.3/32")]
    assert SPACE.prefixes(Field.SOURCE, halves) == SPACE.prefixes(Field.SOURCE, [ip_network("10.0.0.0/8")])
