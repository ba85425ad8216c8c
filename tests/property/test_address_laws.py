from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from provision.translate import AddressPlanInputs, AddressSpace, WantedAddress, allocate

NETWORKS = {
    "a": AddressSpace(cidr="10.0.0.0/26", cidr6="fd00::/120", reserved=["10.0.0.1", "10.0.0.9-10.0.0.12"]),
    "b": AddressSpace(cidr="10.0.1.0/27", reserved=["10.0.1.1"]),
}
names = st.sampled_from([f"m{i}" for i in range(24)])
machines = st.frozensets(st.tuples(names, st.sampled_from(sorted(NETWORKS))), max_size=20)


def inputs(wanted):
    items = {f"{name}/{network}": WantedAddress(network=network) for name, network in sorted(wanted)}
    return AddressPlanInputs(scope="p/s", networks=NETWORKS, wanted=items)


def run(wanted, old=None):
    assigned, failures = allocate(inputs(wanted), old or {})
    assert not failures
    return assigned


@given(st.lists(machines, min_size=1, max_size=6))
def test_whatever_comes_and_goes_nothing_moves_and_nothing_is_shared(steps):
    old = {}
    for wanted in steps:
        new = run(wanted, old)
        assert all(new[key] == old[key] for key in new.keys() & old.keys())
        assert set(new) == {f"{name}/{network}" for name, network in wanted}
        for family in ("ipv4", "ipv6", "mac"):
            given = [address for item in new.values() if (address := getattr(item, family)) is not None]
            assert len(given) == len(set(given))
        old = new


@given(machines)
def test_only_usable_addresses_are_given(wanted):
    for key, item in run(wanted).items():
        space = NETWORKS[key.partition("/")[2]]
        network, address = ip_network(space.cidr), ip_address(item.ipv4)
        assert address in network
        assert address not in (network.network_address, network.broadcast_address, network[1])
        assert space.cidr != "10.0.0.0/26" or not 9 <= int(address) - int(network.network_address) <= 12
        if space.cidr6:
            assert ip_address(item.ipv6) in ip_network(space.cidr6)


@given(machines, st.randoms())
def test_the_order_of_the_file_does_not_matter(wanted, random):
    shuffled = inputs(wanted)
    items = list(shuffled.wanted.items())
    random.shuffle(items)
    assert allocate(shuffled.model_copy(update={"wanted": dict(items)}), {})[0] == run(wanted)


@given(machines, machines)
def test_checking_again_changes_nothing(before, wanted):
    once = run(wanted, run(before))
    assert run(wanted, once) == once


@given(st.integers(1, 40))
def test_a_prefix_is_used_to_its_last_address_and_no_further(count):
    space = AddressSpace(cidr="10.0.0.0/27", reserved=["10.0.0.1"])
    wanted = {f"m{i}/a": WantedAddress(network="a") for i in range(count)}
    assigned, failures = allocate(AddressPlanInputs(scope="p/s", networks={"a": space}, wanted=wanted), {})
    assert len({item.ipv4 for item in assigned.values() if item.ipv4}) == min(count, 29)
    assert bool(failures) == (count > 29)
