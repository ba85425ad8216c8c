"""What a change of each field of a stack file does to what is there: in place, a restart, a replacement, lost data.

Each row changes one field, and the native resources before and after are compared as the resource host compares them
for a preview: outputs of what is made anew, or may come out anew of an update, are not known yet.
"""

import copy
from pathlib import Path

import pytest
from provision_libvirt.provider import LibvirtProvider
from provision_libvirt.translate import translate
from pydantic import SecretStr
from stack_requests import request
from test_support import SAMPLES, answer, grammar

from provision.host.plugin.change_classes import severest
from provision.host.plugin.diffing import compare
from provision.host.plugin.previews import of_create, of_update
from provision.host.plugin.schema import schema
from provision.host.plugin.shapes import SEVERITY, fields_of, record_of, to_python_names, to_wire_names
from provision.spi import Change, Output, has_unknown

HERE = str(Path(__file__).parent)
PLACE, RESTART, REPLACE, DESTROYS = Change.IN_PLACE, Change.RESTART, Change.REPLACE, Change.DESTROYS_DATA
NOTHING = None
"""No machine and no disk changes."""
FACTS = {"firmware": ["bios", "efi"], "memory_encryption": ["sev"], "sole_use": True, "unmarked_machines": []}

STACK = {
    "images": {"own": {"sources": {"libvirt": {"kind": "file", "path": "cases/tiny.img", "format": "raw"}}}},
    "networks": {
        "front": {"cidr": "10.0.0.0/24", "cidr6": "fd00:1::/64"},
        "back": {"cidr": "10.0.1.0/24"},
    },
    "machines": {
        "web": {
            "image": "own",
            "memory": "512MiB",
            "root": {"size": "1GiB"},
            "disks": {"data": {"size": "1GiB"}},
            "nics": [{"network": "front"}],
        },
        "db": {"image": "micro", "memory": "128MiB", "nics": [{"network": "back"}]},
    },
    "isolation": {
        "policies": {"open": {"kind": "traffic", "from": ["machine.web"], "to": ["network.front"], "allow": ["tcp/80"]}}
    },
    "sharing": {"shares": {"some": {"machines": ["machine.web"], "cpu": {"cap": 0.5}}}},
}

W, F, P, S = ("machines", "web"), ("networks", "front"), ("isolation", "policies"), ("sharing", "shares", "some")
WEB = ["machine.web"]


NEW = (*P, "new")


RENDERED = ("machines.ssh_keys", "machines.cloud_init")
"""The framework makes user data of them."""


def policy(kind, **fields):
    return (NEW, {"kind": kind, "machines": WEB, **fields})


def part(kind, field, before, after, **fields):
    """A policy that is there, and another value of one of its fields."""
    return ((*NEW, field), after, policy(kind, **{field: before}, **fields))


TRAFFIC = (*P, "open")
DENIES = {"kind": "traffic", "from": ["machine.web"], "to": ["network.front"], "deny": ["tcp/80"], "order": 1}
FREE = (P, {})
"""No policies."""
URL = {"kind": "url", "url": "https://example.org/a.img", "sha256": "0" * 64, "format": "raw"}
ROWS = {
    "images.sources.file": (("images", "own", "sources", "libvirt"), URL),
    "isolation.default": (("isolation", "default"), "allow"),
    "isolation.policies.anti_spoofing": policy("anti_spoofing"),
    "isolation.policies.anti_spoofing.arp": part("anti_spoofing", "arp", True, False),
    "isolation.policies.anti_spoofing.ip": part("anti_spoofing", "ip", True, False),
    "isolation.policies.anti_spoofing.mac": part("anti_spoofing", "mac", True, False),
    "isolation.policies.anti_spoofing.machines": part("anti_spoofing", "machines", ["machine.db"], WEB),
    "isolation.policies.confinement": policy("confinement"),
    "isolation.policies.dedicated_cpus": policy("dedicated_cpus", numa=False),
    "isolation.policies.dedicated_cpus.numa": part("dedicated_cpus", "numa", False, True),
    "isolation.policies.disk_encryption": policy("disk_encryption"),
    "isolation.policies.hide_hypervisor": policy("hide_hypervisor"),
    "isolation.policies.memory": policy("memory"),
    "isolation.policies.memory.huge_pages": (*part("memory", "huge_pages", False, True), ((*W, "memory"), "128MiB")),
    "isolation.policies.memory.locked": part("memory", "locked", False, True),
    "isolation.policies.memory_encryption": policy("memory_encryption"),
    "isolation.policies.metadata": policy("metadata", access="closed"),
    "isolation.policies.no_host_access": policy("no_host_access"),
    "isolation.policies.no_internet": policy("no_internet"),
    "isolation.policies.pack": policy("pack", over="numa"),
    "isolation.policies.peer_isolation": policy("peer_isolation"),
    "isolation.policies.secure_boot": policy("secure_boot", vtpm=False),
    "isolation.policies.secure_boot.vtpm": part("secure_boot", "vtpm", False, True),
    "isolation.policies.single_tenancy": policy("single_tenancy"),
    "isolation.policies.spread": policy("spread", over="numa"),
    "isolation.policies.traffic.allow": ((*TRAFFIC, "allow"), ["tcp/81"]),
    "isolation.policies.traffic.deny": ((*TRAFFIC, "deny"), ["tcp/81"], (TRAFFIC, DENIES)),
    "isolation.policies.traffic.destinations": ((*TRAFFIC, "to"), ["machine.web"]),
    "isolation.policies.traffic.sources": ((*TRAFFIC, "from"), ["network.front"]),
    "isolation.services.dhcp": (("isolation", "services"), {"dhcp": False}),
    "isolation.services.dns": (("isolation", "services"), {"dns": False}),
    "isolation.services.nd": (("isolation", "services"), {"nd": False}),
    "machines.autostart": ((*W, "autostart"), True),
    "machines.cpus": ((*W, "cpus"), 2),
    "machines.cpus (as far as there is room)": ((*W, "cpus"), 2, ((*W, "overrides"), {"libvirt": {"max_cpus": 2}})),
    "machines.delete_protection": ((*W, "delete_protection"), True),
    "machines.disks": ((*W, "disks", "more"), {"size": "1GiB"}),
    "machines.disks.encrypted": ((*W, "disks", "data", "encrypted"), True),
    "machines.disks.keep_on_delete": ((*W, "disks", "data", "keep_on_delete"), False),
    "machines.disks.size": ((*W, "disks", "data", "size"), "2GiB"),
    "machines.firmware": ((*W, "firmware"), "uefi"),
    "machines.image": (("machines", "db", "image"), "own"),
    "machines.memory": ((*W, "memory"), "1GiB"),
    "machines.memory (with a balloon)": (
        (*W, "memory"),
        "640MiB",
        ((*S, "memory"), {"balloon": True, "maximum": "1GiB", "minimum": "256MiB"}),
    ),
    "machines.nics": ((*W, "nics"), [{"network": "front"}, {"network": "back"}]),
    "machines.nics (the first goes)": (
        (*W, "nics"),
        [{"network": "back", "mac": "02:00:00:00:00:0b", "address": "10.0.1.12"}],
        FREE,
        ((*W, "nics"), [{"network": "front"}, {"network": "back", "mac": "02:00:00:00:00:0b", "address": "10.0.1.12"}]),
    ),
    "machines.nics.address": ((*W, "nics", 0, "address"), "10.0.0.77"),
    "machines.nics.address6": ((*W, "nics", 0, "address6"), "fd00:1::77"),
    "machines.nics.connected": ((*W, "nics", 0, "connected"), False),
    "machines.nics.mac": ((*W, "nics", 0, "mac"), "02:00:00:00:00:77"),
    "machines.nics.network": ((*W, "nics", 0, "network"), "back", FREE),
    "machines.overrides": ((*W, "overrides"), {"libvirt": {"machine_type": "pc"}}),
    "machines.power": ((*W, "power"), "stopped"),
    "machines.ready_timeout": ((*W, "ready_timeout"), "77s"),
    "machines.root.disposable": ((*W, "root", "disposable"), True),
    "machines.root.encrypted": ((*W, "root", "encrypted"), True),
    "machines.root.size": ((*W, "root", "size"), "2GiB"),
    "machines.shutdown_timeout": ((*W, "shutdown_timeout"), "77s"),
    "machines.user_data": ((*W, "user_data"), "#!/bin/sh"),
    "networks.cidr": ((*F, "cidr"), "10.0.7.0/24"),
    "networks.cidr6": ((*F, "cidr6"), "fd00:7::/64"),
    "networks.dhcp.enabled": ((*F, "dhcp"), {"enabled": False}),
    "networks.dhcp.range": ((*F, "dhcp"), {"range": ["10.0.0.100", "10.0.0.110"]}),
    "networks.dns": ((*F, "dns"), {"name": "10.0.0.10"}),
    "networks.domain": ((*F, "domain"), "shop.test"),
    "networks.gateway": ((*F, "gateway"), "10.0.0.254"),
    "networks.gateway6": ((*F, "gateway6"), "fd00:1::fe"),
    "networks.internet": ((*F, "internet"), "nat"),
    "networks.mtu": ((*F, "mtu"), 1400),
    "sharing.shares.cpu.cap": ((*S, "cpu", "cap"), 0.7),
    "sharing.shares.cpu.weight": ((*S, "cpu", "weight"), 70),
    "sharing.shares.disk.iops": ((*S, "disk"), {"iops": 100}),
    "sharing.shares.disk.throughput": ((*S, "disk"), {"throughput": "1MiB/s"}),
    "sharing.shares.machines": ((*S, "machines"), ["machine.db"]),
    "sharing.shares.memory.balloon": ((*S, "memory"), {"balloon": True}),
    "sharing.shares.memory.maximum": ((*S, "memory"), {"maximum": "1GiB"}),
    "sharing.shares.memory.minimum": ((*S, "memory"), {"minimum": "256MiB"}),
    "sharing.shares.memory.page_sharing": ((*S, "memory"), {"page_sharing": False}),
    "sharing.shares.nic.inbound": ((*S, "nic"), {"inbound": "1Mbit/s"}),
    "sharing.shares.nic.outbound": ((*S, "nic"), {"outbound": "1Mbit/s"}),
}
"""Of each field: where it is, its other value, and what has to be there before."""


EXPECTED = {
    DESTROYS: {
        "images.sources.file",
        "isolation.policies.disk_encryption",
        "machines.disks.encrypted",
        "machines.root.encrypted",
    },
    REPLACE: {
        "machines.overrides",
    },
    RESTART: {
        "isolation.policies.confinement",
        "isolation.policies.dedicated_cpus.numa",
        "isolation.policies.hide_hypervisor",
        "isolation.policies.memory",
        "isolation.policies.memory.huge_pages",
        "isolation.policies.memory.locked",
        "isolation.policies.memory_encryption",
        "isolation.policies.pack",
        "isolation.policies.peer_isolation",
        "isolation.policies.secure_boot",
        "isolation.policies.secure_boot.vtpm",
        "isolation.policies.spread",
        "machines.cpus",
        "machines.firmware",
        "machines.image",
        "machines.memory",
        "machines.nics.address",
        "machines.nics.address6",
        "machines.user_data",
        "networks.cidr",
        "networks.cidr6",
        "networks.dns",
        "networks.domain",
        "networks.gateway",
        "networks.gateway6",
        "networks.internet",
        "networks.mtu",
        "sharing.shares.memory.balloon",
        "sharing.shares.memory.page_sharing",
        "sharing.shares.nic.inbound",
        "sharing.shares.nic.outbound",
    },
    PLACE: {
        "isolation.policies.dedicated_cpus",
        "machines.autostart",
        "machines.cpus (as far as there is room)",
        "machines.disks",
        "machines.disks.keep_on_delete",
        "machines.disks.size",
        "machines.memory (with a balloon)",
        "machines.nics",
        "machines.nics (the first goes)",
        "machines.nics.connected",
        "machines.nics.mac",
        "machines.nics.network",
        "machines.power",
        "machines.ready_timeout",
        "machines.root.disposable",
        "machines.root.size",
        "machines.shutdown_timeout",
        "sharing.shares.cpu.cap",
        "sharing.shares.cpu.weight",
        "sharing.shares.disk.iops",
        "sharing.shares.disk.throughput",
        "sharing.shares.machines",
        "sharing.shares.memory.maximum",
    },
    NOTHING: {
        "isolation.default",
        "isolation.policies.anti_spoofing",
        "isolation.policies.anti_spoofing.arp",
        "isolation.policies.anti_spoofing.ip",
        "isolation.policies.anti_spoofing.mac",
        "isolation.policies.anti_spoofing.machines",
        "isolation.policies.metadata",
        "isolation.policies.no_host_access",
        "isolation.policies.no_internet",
        "isolation.policies.single_tenancy",
        "isolation.policies.traffic.allow",
        "isolation.policies.traffic.deny",
        "isolation.policies.traffic.destinations",
        "isolation.policies.traffic.sources",
        "isolation.services.dhcp",
        "isolation.services.dns",
        "isolation.services.nd",
        "machines.delete_protection",
        "networks.dhcp.enabled",
        "networks.dhcp.range",
        "sharing.shares.memory.minimum",
    },
}
"""Of each field: the worst that its change does to machines and disks."""


def resolved(value, outputs):
    """Inputs with the outputs that they refer to, as they are known."""
    if isinstance(value, Output):
        return outputs[value.node][value.property]
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return {key: resolved(item, outputs) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolved(item, outputs) for item in value]
    return value


def wire(node, outputs):
    """A node's inputs as the engine has them."""
    return to_wire_names(resolved(node.inputs, outputs), record_of(node.type.Inputs))


def python(node, outputs):
    return to_python_names(outputs, record_of(node.type.Outputs))


def classes(before, after):
    """The class of the change of each native resource that stays, by name; those that stay as they are left out."""
    old, now, then, found = {}, {}, {}, {}
    for node in translate(request(before, HERE, **FACTS)).nodes:
        inputs = wire(node, then)
        made = {name: f"{node.name}.{name}" for name in node.type.Outputs.model_fields}
        made = to_wire_names(made, record_of(node.type.Outputs))
        mirrored = of_create(node.type.Inputs, node.type.Outputs, inputs)
        outputs = made | {name: value for name, value in mirrored.items() if not has_unknown(value)}
        old[node.name], then[node.name] = (inputs, outputs), python(node, outputs)
    for node in translate(request(after, HERE, **FACTS)).nodes:
        kinds, inputs = (node.type.Inputs, node.type.Outputs), wire(node, now)
        if node.name not in old:
            outputs = of_create(*kinds, inputs)
        else:
            recorded, outputs = old[node.name]
            differences = compare(kinds[0], recorded, inputs)
            if differences:
                found[node.name] = severest(differences)
                replaced = SEVERITY.index(found[node.name]) >= SEVERITY.index(Change.REPLACE)
                changed = {str(item.path[0]) for item in differences}
                outputs = of_create(*kinds, inputs) if replaced else of_update(*kinds, inputs, outputs, changed)
        now[node.name] = python(node, outputs)
    return found


def changed(document, path, value):
    made = copy.deepcopy(document)
    place = made
    for key in path[:-1]:
        place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
    place[path[-1]] = value
    return made


def outcome(path, value, *given):
    before = STACK
    for where, what in given:
        before = changed(before, where, what)
    return classes(before, changed(before, path, value))


CASES = [(name, kind) for kind, names in EXPECTED.items() for name in sorted(names)]


@pytest.mark.parametrize(("feature", "wanted"), CASES)
def test_a_change_of_a_field_is_of_this_class(feature, wanted):
    found = outcome(*ROWS[feature])
    own = [kind for name, kind in found.items() if name.endswith(("/domain", "/root")) or "/disk-" in name]

    assert max(own, key=SEVERITY.index, default=NOTHING) is wanted


def test_every_field_of_machines_networks_and_shares_and_every_policy_has_a_class():
    enforced = {name for name in grammar() if answer(name, SAMPLES.get(name, True), **FACTS).enforced}
    fields = {name for name in enforced if name.startswith(("machines.", "networks.", "sharing.shares."))}
    fields = {name for name in fields if not name.startswith(RENDERED)}
    policies = {name for name in enforced if name.startswith("isolation.policies.") and name.count(".") == 2}

    assert fields | policies <= set(ROWS) | {"isolation.policies.traffic"}
    assert set(ROWS) == set().union(*EXPECTED.values())


def test_nothing_changes_when_nothing_changes():
    assert classes(STACK, STACK) == {}


@pytest.mark.parametrize("kind", LibvirtProvider.resource_types, ids=lambda kind: kind.token)
def test_the_schema_says_the_class_of_every_property_that_is_not_changed_in_place(kind):
    said = schema(LibvirtProvider(), [kind])["resources"][f"provision-libvirt:{kind.token}"]["inputProperties"]
    words = {RESTART: "restarts the object", REPLACE: "makes the object anew", DESTROYS: "destroys its data"}

    for name, field in fields_of(kind.Inputs).items():
        if name in said and field.change is not PLACE:
            assert words[field.change] in said[name]["description"]
