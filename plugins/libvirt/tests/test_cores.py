"""Which CPUs of a host become a machine's own."""

from hypothesis import given
from hypothesis import strategies as st
from provision_libvirt.translate.cores import Host, Want, place_all


def topology(nodes=2, cores=2, threads=2, memory_mib=1024):
    """CPUs numbered as on real hosts: first threads of all cores, then second ones."""
    total = nodes * cores
    found = []
    for node in range(nodes):
        own = range(node * cores, (node + 1) * cores)
        cpus = [
            {"id": core + thread * total, "siblings": ",".join(str(core + t * total) for t in range(threads))}
            for core in own
            for thread in range(threads)
        ]
        found.append({"id": node, "memory_mib": memory_mib, "huge_pages": {}, "cpus": cpus})
    return found


def want(machine="a", policy="own", vcpus=1, emulator=False, one_node=False, smt="share", memory_mib=64):
    return Want(machine, policy, vcpus, emulator, one_node, smt, memory_mib)


wants = st.lists(
    st.builds(
        want,
        machine=st.integers(0, 10_000).map(str),
        policy=st.sampled_from("xyz"),
        vcpus=st.integers(1, 5),
        emulator=st.booleans(),
        one_node=st.booleans(),
        smt=st.sampled_from(["share", "isolate", "require"]),
        memory_mib=st.sampled_from([64, 700]),
    ),
    max_size=6,
    unique_by=lambda item: item.machine,
)
hosts = st.builds(topology, st.integers(1, 3), st.integers(1, 4), st.integers(1, 2))


@given(hosts, wants, st.integers(0, 3))
def test_no_cpu_is_given_twice_and_every_machine_has_all_or_its_policy_is_refused(host, asked, others):
    made = place_all(host, asked, others)
    cpus = {cpu["id"] for node in host for cpu in node["cpus"]}
    given_away = [cpu for placed in made.placed.values() for cpu in {*placed.vcpus, *placed.emulator}]

    assert len(given_away) == len(set(given_away))
    assert set(given_away) | made.rest <= cpus
    assert not made.rest & set(given_away)
    assert not made.placed or made.rest or len(made.placed) == len(asked) + others
    for item in asked:
        assert (item.machine in made.placed) is (item.policy not in made.refused)
        if item.machine in made.placed:
            assert len(set(made.placed[item.machine].vcpus)) == item.vcpus
    assert made == place_all(host, asked, others)


@given(hosts, wants)
def test_siblings_of_isolated_machines_run_nothing_and_nodes_hold_what_they_were_given(host, asked):
    made = place_all(host, asked, 0)
    siblings = {cpu["id"]: {int(s) for s in cpu["siblings"].split(",")} for node in host for cpu in node["cpus"]}
    node_of = {cpu["id"]: node["id"] for node in host for cpu in node["cpus"]}
    used = {name: {*placed.vcpus, *placed.emulator} for name, placed in made.placed.items()}
    for item in asked:
        if item.machine not in used:
            continue
        own = used[item.machine]
        if item.smt != "share":
            cores = set().union(*(siblings[cpu] for cpu in own))
            elsewhere = set().union(set(), *(cpus for name, cpus in used.items() if name != item.machine))
            assert not cores & (elsewhere | made.rest)
        if item.smt == "isolate":
            assert all(len(siblings[cpu] & own) == 1 for cpu in own)
        if item.one_node:
            assert {node_of[cpu] for cpu in own} == {made.placed[item.machine].node}
    for node in host:
        memory = [i.memory_mib for i in asked if i.machine in used and made.placed[i.machine].node == node["id"]]
        assert sum(memory) <= node["memory_mib"]


def test_the_highest_cores_go_first():
    made = place_all(topology(), [want("a", vcpus=2), want("b", emulator=True)], 1)

    assert (made.placed["a"].vcpus, made.placed["a"].emulator) == ((7, 3), (7, 3))
    assert (made.placed["b"].vcpus, made.placed["b"].emulator) == ((6,), (2,))
    assert made.rest == {0, 1, 4, 5}


def test_siblings_are_kept_idle_or_given_together():
    made = place_all(topology(), [want("a", smt="isolate"), want("b", vcpus=2, smt="require")], 0)

    assert made.placed["a"].vcpus == (3,)
    assert made.placed["b"].vcpus == (2, 6)
    assert made.rest == {0, 1, 4, 5}


def test_what_is_missing_is_said_in_numbers():
    def reason(asked, host=None, others=0):
        return place_all(host or topology(), asked, others).refused["own"]

    assert reason([want(vcpus=9)]) == ("machine 'a' needs 9 CPUs of its own, but of the 8 of the hypervisor 8 are left")
    assert reason([want(vcpus=6), want("b", vcpus=3)]) == (
        "machine 'b' needs 3 CPUs of its own, but of the 8 of the hypervisor 2 are left"
    )
    assert reason([want(vcpus=5, smt="isolate")]) == (
        "machine 'a' needs 5 cores of its own, but of the 4 of the hypervisor 4 are left"
    )
    assert reason([want(smt="require")], topology(threads=1)) == (
        "the hypervisor's cores have one thread each, so there are no sibling threads to give"
    )
    assert reason([want(vcpus=5, one_node=True)]) == (
        "machine 'a' needs 5 CPUs of its own, but of the 4 of NUMA node 0 4 are left; "
        "machine 'a' needs 5 CPUs of its own, but of the 4 of NUMA node 1 4 are left"
    )
    assert reason([want(memory_mib=2048, one_node=True)], topology(nodes=1)) == (
        "machine 'a' needs 2048 MiB, but NUMA node 0 has 1024 MiB left"
    )
    assert reason([want(vcpus=8)], others=2) == (
        "of the hypervisor's 8 CPUs none would be left for the 2 machines without CPUs of their own"
    )


def test_a_policy_that_does_not_fit_takes_nothing_from_the_next():
    made = place_all(topology(), [want("a", "big", vcpus=4), want("b", "big", vcpus=9), want("c", "small", vcpus=7)], 0)

    assert set(made.refused) == {"big"}
    assert set(made.placed) == {"c"}


def test_cpus_that_are_off_are_no_siblings():
    host = Host.of([{"id": 0, "memory_mib": 1, "cpus": [{"id": 0, "siblings": "0-1"}]}])

    assert host.cpus == {0}
