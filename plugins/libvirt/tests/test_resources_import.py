"""Taking over what others made: found by a search, imported by name or UUID, changed and removed; and nothing else."""

import dataclasses

import libvirt
import pytest
from provision_libvirt.functions import Describe, DescribeArguments, FindImage, FindImageArguments
from provision_libvirt.resources import Domain, Filter, Network, Pool, Seed, Volume, xml_filter, xml_storage
from resource_bench import POOL, RULES, STACK, Thing, network

from provision.errors import ForeignObject, UserError
from provision.spi import FunctionRequest, ListRequest, Operation, ReadRequest

pytestmark = pytest.mark.lab
FOREIGN = "11111111-2222-4333-8444-555555555555"
NETWORK = f"""
<network><name>by-hand</name><uuid>{FOREIGN}</uuid><forward mode='nat'/><bridge name='by-hand' stp='on' delay='0'/>
<ip address='10.88.0.1' netmask='255.255.255.0'><dhcp><range start='10.88.0.10' end='10.88.0.20'/></dhcp></ip></network>
"""
DOMAIN = f"""
<domain type='qemu'><name>by-hand</name><uuid>{FOREIGN}</uuid><memory>65536</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>%s</devices></domain>
"""


def operation(bench):
    return Operation(urn="urn:pulumi:dev::shop::t::imported", session=bench.session, note=bench.notes.append)


def take(bench, kind, identity):
    """Import: what the engine would record, with the stack's identity as the first check after it fills it in."""
    seen = kind().read(ReadRequest(operation(bench), identity, None, None))
    assert seen is not None
    assert seen.inputs.stack_id == ""
    inputs = seen.inputs.model_copy(update={"stack_id": STACK})
    return Thing(kind, operation(bench), inputs, seen.id, seen.outputs)


def found(bench, kind, limit=None, **query):
    return list(kind().list(ListRequest(operation(bench), kind.Query(**query), limit)))


def alike(inputs):
    return dict(inputs) | {"rules": [xml_filter.canonical(rule) for rule in getattr(inputs, "rules", ())]}


@pytest.fixture
def by_hand(bench):
    """Makes objects as a person does, and removes what is left of them."""
    made = []

    def make(method, text):
        made.append(getattr(bench.connection, method)(text))
        return made[-1]

    yield make
    for thing in made:
        for step in ("destroy", "undefine"):
            try:
                getattr(thing, step)()
            except (libvirt.libvirtError, AttributeError):
                continue


# ---- what our own stacks made


def test_every_object_of_a_stack_is_found_and_reads_on_import_as_it_was_made(bench, pool):
    front = network(bench)
    rules = bench.make(Filter, "f", pool=POOL, name="shop-dev-web", rules=RULES)
    disk = bench.make(Volume, "d", pool=POOL, name="data.qcow2", capacity_bytes=16 << 20)
    source = {"kind": "backing", "path": disk.outputs.path, "format": "qcow2"}
    over = bench.make(Volume, "o", pool=POOL, name="over.qcow2", source=source, capacity_bytes=16 << 20)
    seed = bench.make(Seed, "s", pool=POOL, name="web", meta_data="m", network_config="n", user_data="hush")
    machine = bench.make(
        Domain,
        "m",
        pool=POOL,
        name="shop-dev-web",
        memory_mib=64,
        accelerator="qemu",
        machine="pc-q35-7.2",
        disks=[{"path": over.outputs.path, "serial": "data"}],
        seed=seed.outputs.path,
        nics=[{"network": "shop-dev-front", "mac": "02:00:00:00:00:0b", "filter": rules.outputs.name}],
        generations=[over.outputs.generation],
        power="stopped",
    )

    for thing in (pool, front, rules, disk, over, seed, machine):
        name = thing.outputs.volume_name if hasattr(thing.outputs, "volume_name") else thing.outputs.name
        listed = found(bench, thing.kind, name=name, ours=True)
        assert [item.id for item in listed] == [thing.id], thing.kind
        taken = take(bench, thing.kind, thing.id)
        assert alike(taken.inputs) == alike(thing.inputs)
        assert taken.outputs.adopted
        assert taken.drift() == set()
    assert take(bench, Network, "shop-dev-front").id == front.id
    assert take(bench, Domain, "shop-dev-web").id == machine.id
    assert take(bench, Volume, disk.outputs.path).id == disk.id
    assert found(bench, Volume, pool="other") == []
    assert [item.name for item in found(bench, Volume, pool=POOL)] == ["data.qcow2", "over.qcow2"]
    assert len(found(bench, Filter, limit=3)) == 3


# ---- what others made


def test_a_network_that_a_person_made_is_taken_over_changed_and_removed(bench, pool, by_hand):
    made = by_hand("networkDefineXML", NETWORK.replace("stp='on'", "stp='off'"))
    assert found(bench, Network, ours=False) == [], "one that does not run cannot be imported"
    with pytest.raises(UserError, match="'by-hand' cannot be imported: it is not running"):
        take(bench, Network, "by-hand")
    made.create()

    assert [item.id for item in found(bench, Network, ours=False)] == [FOREIGN]
    taken = take(bench, Network, "by-hand")
    assert taken.id == FOREIGN
    assert taken.inputs.ipv4.prefix == 24
    assert taken.drift() == set()
    changed = taken.update(dhcp_hosts=[{"mac": "02:00:00:00:00:0b", "ip": "10.88.0.30"}])
    assert changed.drift() == set()
    assert changed.outputs.adopted
    assert made.UUIDString() == FOREIGN
    changed.delete()
    assert found(bench, Network, ours=False) == []


def test_without_an_import_the_same_requests_are_refused(bench, pool, by_hand):
    made = by_hand("networkDefineXML", NETWORK)
    made.create()
    taken = take(bench, Network, FOREIGN)
    stranger = dataclasses.replace(taken, outputs=taken.outputs.model_copy(update={"adopted": False}))

    for touch in (stranger.update, stranger.delete):
        before = made.XMLDesc()
        with pytest.raises(ForeignObject, match="the network 'by-hand' exists on the hypervisor"):
            touch()
        assert made.XMLDesc() == before


def test_what_a_type_cannot_describe_is_not_imported(bench, pool, by_hand):
    by_hand("networkDefineXML", NETWORK.replace("<ip ", "<bandwidth><inbound average='9'/></bandwidth><ip ")).XMLDesc()
    domain = by_hand("defineXML", DOMAIN % "<graphics type='vnc'/>")

    with pytest.raises(UserError, match=r"the machine 'by-hand' cannot be imported: .*devices/graphics"):
        take(bench, Domain, domain.name())
    assert found(bench, Domain) == []


def test_a_machine_that_a_person_made_is_taken_over_changed_and_removed(bench, pool, by_hand):
    domain = by_hand("defineXML", DOMAIN % "<memballoon model='none'/>")

    taken = take(bench, Domain, "by-hand")
    assert [item.id for item in found(bench, Domain, ours=False)] == [FOREIGN]
    assert taken.drift() == set()
    assert not taken.inputs.console_log
    changed = taken.update(memory_mib=96)
    assert changed.drift() == set()
    assert domain.maxMemory() == 96 << 10
    changed.delete()
    assert bench.connection.listAllDomains() == []


def test_a_filter_that_a_person_made_keeps_its_name(bench, pool, by_hand):
    by_hand("nwfilterDefineXML", "<filter name='by-hand'><rule action='drop' direction='in'><tcp/></rule></filter>")

    taken = take(bench, Filter, "by-hand")
    assert taken.inputs.name == "by-hand"
    changed = taken.update(rules=[{"action": "accept", "direction": "in", "protocol": "udp"}])
    assert changed.outputs.name == "by-hand"
    assert changed.drift() == set()
    changed.delete()
    assert found(bench, Filter, name="by-hand") == []
    assert take(bench, Filter, "clean-traffic").inputs.name == "clean-traffic"


def test_an_imported_pool_holds_new_volumes_and_goes_without_what_others_keep_in_it(bench, by_hand):
    path = "/var/lib/libvirt/images/by-hand"
    pool = by_hand("storagePoolDefineXML", xml_storage.pool("by-hand", FOREIGN, path))
    pool.build(0)
    pool.create(0)
    pool.createXML(xml_storage.volume("theirs.qcow2", "qcow2", 1 << 20), 0)
    taken = take(bench, Pool, "by-hand")
    sizes = {"pool": "by-hand", "capacity_bytes": 1 << 20}
    with pytest.raises(ForeignObject, match="storage pool 'by-hand'"):
        bench.make(Volume, "d", name="ours.qcow2", **sizes)
    bench.make(Volume, "d", name="ours.qcow2", pool_uuid=FOREIGN, **sizes)

    theirs = take(bench, Volume, "by-hand/theirs.qcow2")
    assert theirs.update(capacity_bytes=2 << 20).drift() == set()
    taken.delete()

    assert bench.notes == [f"volumes with data stay in {path} on the hypervisor: ours.qcow2, theirs.qcow2"]
    again = by_hand("storagePoolDefineXML", xml_storage.pool("by-hand", FOREIGN, path))
    again.create(0)
    theirs.delete()
    assert [volume.name() for volume in again.listAllVolumes()] == ["ours.qcow2"]
    again.storageVolLookupByName("ours.qcow2").delete(0)
    again.destroy()
    again.delete(0)


def test_a_second_pool_of_a_stack_goes_without_what_the_first_one_holds(bench, pool):
    network(bench)
    second = bench.make(Pool, "second", name="shop-second")

    second.delete()

    assert [found.name() for found in bench.connection.listAllNetworks()] == ["shop-dev-front"]


# ---- questions


def test_a_program_can_ask_what_the_hypervisor_has(bench):
    answer = Describe().call(FunctionRequest(operation(bench), DescribeArguments()))

    assert answer.name == bench.connection.getHostname()
    assert answer.cpus == bench.connection.getInfo()[2]
    assert answer.memory_mib == bench.connection.getInfo()[1]
    assert "qemu" in answer.accelerators
    assert "q35" in answer.machine_types


def test_a_program_can_find_an_image_and_is_told_what_there_is(bench, pool):
    for name in ("debian-1.qcow2", "debian-2.qcow2", "other.qcow2"):
        bench.make(Volume, name, pool=POOL, name=name, capacity_bytes=1 << 20)

    def ask(**arguments):
        return FindImage().call(FunctionRequest(operation(bench), FindImageArguments(**arguments)))

    answer = ask(name="debian-*")
    assert (answer.pool, answer.name, answer.format, answer.capacity_bytes) == (
        POOL,
        "debian-2.qcow2",
        "qcow2",
        1 << 20,
    )
    assert answer.names == [f"{POOL}/debian-1.qcow2", f"{POOL}/debian-2.qcow2"]
    assert bench.connection.storageVolLookupByPath(answer.path).name() == "debian-2.qcow2"
    with pytest.raises(UserError, match="no image in the pool 'nowhere' has a name like 'debian-\\*'"):
        ask(name="debian-*", pool="nowhere")
    with pytest.raises(UserError) as caught:
        ask(name="fedora-*")
    assert caught.value.fix == f"there are: {POOL}/debian-1.qcow2, {POOL}/debian-2.qcow2, {POOL}/other.qcow2"
