"""A deployed stack is read back from OpenStack: its rules as sets, what machines are, and what somebody changed."""

from dataclasses import replace

import pytest
from openstack_engine import Deployed, configure, engine_environment
from provision_openstack.config import OpenStackConfig
from provision_openstack.provider import OpenStackProvider
from provision_openstack.session import Session

from provision.errors import PlatformError
from provision.loader import load
from provision.spi import EvidenceRequest, Stranger
from provision.verify.evidence import gather
from provision.verify.proof import prove_applied
from provision.verify.state import read_state

pytestmark = [pytest.mark.lab, pytest.mark.engine]

STACK = """
version: 1
platform: openstack
images:
  isolated: {sources: {openstack: {kind: named, name: isolated}}}
networks:
  front: {cidr: 10.20.1.0/24, cidr6: "fd00:20:1::/64"}
  back: {cidr: 10.20.2.0/24}
machines:
  web:
    image: isolated
    memory: 64MiB
    count: 3
    nics: [{network: front}]
  db:
    image: isolated
    memory: 64MiB
    disks: {data: {size: 1GiB, keep_on_delete: false}}
    nics: [{network: back}, {network: front}]
isolation:
  policies:
    world-to-web: {kind: traffic, from: [outside], to: [machine.web], allow: [tcp/8000-8010, icmpv6]}
    not-that: {kind: traffic, from: [outside], to: [machine.web], deny: [tcp/8005], order: 10}
    web-to-db: {kind: traffic, from: [machine.web], to: [machine.db], allow: [tcp/5432]}
    own: {kind: anti_spoofing, machines: [machine.*]}
    indoors: {kind: no_internet, machines: [machine.db]}
    closed: {kind: metadata, machines: [machine.*]}
    apart: {kind: spread, machines: [machine.web]}
    sealed: {kind: disk_encryption, machines: [machine.db]}
    unseen: {kind: hide_hypervisor, machines: [machine.db], nested: true}
sharing:
  shares:
    slow: {machines: [machine.db], cpu: {cap: 0.5}, nic: {outbound: 10Mbit/s}}
"""
SPECS = {"hw:hide_hypervisor_id": "true", "quota:cpu_period": "100000", "quota:cpu_quota": "50000"}
PROVIDER = OpenStackProvider()


@pytest.fixture(scope="module")
def admin(cloud):
    """What clouds have before anybody comes: flavors, an image, a type of volumes that encrypts."""
    made = cloud.admin()
    made.compute.create_flavor(name="isolation-plain", ram=64, vcpus=1, disk=1)
    special = made.compute.create_flavor(name="isolation-guarded", ram=64, vcpus=1, disk=0)
    made.compute.create_flavor_extra_specs(special, SPECS)
    form = {"disk_format": "raw", "container_format": "bare", "visibility": "public"}
    made.image.create_image("isolated", data=bytes(65536), **form)
    luks = made.block_storage.create_type(name="isolation-luks")
    made.block_storage.create_type_encryption(
        luks, provider="luks", cipher="aes-xts-plain64", key_size=256, control_location="front-end"
    )
    return made


@pytest.fixture(scope="module")
def stack(admin, project, tmp_path_factory):
    identity = admin.identity  # whoever limits bandwidth must be a manager of the project
    user, role = identity.find_user(project.name), identity.find_role("manager")
    identity.assign_project_role_to_user(project.id, user, role)
    place = tmp_path_factory.mktemp("verified")
    folder = place / "stack"
    folder.mkdir()
    (folder / "stack.yaml").write_text(STACK)
    (folder / "Pulumi.yaml").write_text("name: isolation\nruntime: provision\n")
    types = {"provision-openstack:encryptedVolumeTypes": ["isolation-luks"]}  # members are not told
    configure(folder, **types)
    made = Deployed(folder, engine_environment(place, project))
    made.fine("up", "-y")
    yield made
    made.fine("down", "-y")


@pytest.fixture(scope="module")
def deployed(stack):
    return read_state(stack.state(), PROVIDER.resource_types)


@pytest.fixture
def look(stack, deployed, in_project):
    """Looks at the cloud as a new process would: what passes, and what machines show."""
    return Look(load(stack.folder), deployed)


class Look:
    def __init__(self, loaded, deployed):
        self.loaded = loaded
        self.deployed = deployed

    def session(self):
        return Session(OpenStackConfig(encrypted_volume_types=["isolation-luks"]))

    def told(self):
        """Differences between the file and the live rules, and what is not understood."""
        session = self.session()
        try:
            proof = prove_applied(self.loaded.stack, self.deployed, PROVIDER, session)
        finally:
            session.close()
        assert not isinstance(proof, str)
        return [str(one) for one in proof.differences], list(proof.unmodelled)

    def everything(self):
        session = self.session()
        try:
            return gather(self.loaded, self.deployed, {"default": (PROVIDER, session)})
        finally:
            session.close()

    def shown(self, name, *policies):
        """Evidence of policies of the file about one machine: kind, whether it holds, text."""
        asked = [self.loaded.stack.isolation.policies[one] for one in policies]
        chosen = {"apart": [one for one in self.deployed.machines if one != "db"]}
        members = tuple(
            tuple(self.deployed.machines[one] for one in chosen.get(policy, self.deployed.machines))
            for policy in policies
        )
        session = self.session()
        try:
            request = EvidenceRequest(self.deployed.machines[name], tuple(asked), self.deployed.shared, members)
            answers = PROVIDER.evidence(session, request)
        finally:
            session.close()
        return [[(str(one.kind), one.holds, one.text) for one in answer] for answer in answers]

    def port(self, machine):
        return self.deployed.machines[machine].native("network:Port")


def test_everything_is_accepted_as_the_file_says(look):
    found = look.everything()

    assert found.proof is not None
    assert found.proof.holds, found.proof
    assert found.applied is not None
    assert found.applied.holds, found.applied
    told = {**found.policies, **found.shares}
    assert set(told) == {*look.loaded.stack.isolation.policies, "slow"}
    accepted = {name: kinds["accepted"] for name, kinds in told.items()}
    assert {name: held.holds for name, held in accepted.items()} == dict.fromkeys(told, True), accepted
    assert accepted["sealed"].text.endswith("2 volumes encrypted")
    assert found.policies["apart"]["effective"].text.endswith("hosts are for the cloud's operators to see")
    settings = {name: held.holds for name, held in found.settings.items()}
    assert settings == dict.fromkeys(("own", "closed", "apart", "sealed", "unseen"), True)


def test_machines_are_on_different_hosts(look, admin):
    webs = [one.native("compute:Server").id for name, one in look.deployed.machines.items() if name != "db"]

    assert len({admin.compute.get_server(one).compute_host for one in webs}) == 3
    texts = [look.shown(f"web-{number}", "apart")[0][-2][2] for number in range(3)]
    assert len(set(texts)) == 3
    assert all("with 0 other machines" in text for text in texts)


def test_a_rule_made_by_hand_is_found_and_said_to_be_foreign(look, admin):
    groups = [look.port(machine).inputs["security_group_ids"][0] for machine in ("db", "web-0")]
    rules = [
        admin.network.create_security_group_rule(
            security_group_id=group, direction=direction, ether_type="IPv4", protocol="tcp", port_range_min=22,
            port_range_max=22, remote_ip_prefix="10.20.0.0/16",
        )
        for group, direction in zip(groups, ("ingress", "egress"), strict=True)
    ]  # fmt: skip
    try:
        found, _ = look.told()
        (shown,) = look.shown("db", "web-to-db")
    finally:
        for rule in rules:
            admin.network.delete_security_group_rule(rule)

    assert any("tcp/22" in one and "made by somebody else" in one and "(db" in one for one in found), found
    assert shown[0][:2] == ("accepted", False)
    assert f"the rule {rules[0].id} of {groups[0]} is on no record" in shown[0][2]
    assert look.told() == ([], [])


def test_a_further_group_on_a_port_is_found(look, admin, project):
    port = look.port("web-0")
    default = admin.network.find_security_group("default", project_id=project.id)
    admin.network.update_port(port.id, security_groups=[*port.inputs["security_group_ids"], default.id])
    try:
        found, _ = look.told()
        (shown,) = look.shown("web-0", "world-to-web")
    finally:
        admin.network.update_port(port.id, security_groups=port.inputs["security_group_ids"])

    assert any(default.id in one and "(web-0)" in one for one in found), found  # it lets everything out
    assert shown[0] == ("accepted", False, f"port 0 is also in {default.id}")


def test_a_stranger_in_a_group_of_the_stack_is_found(look, admin):
    port = look.port("web-0")
    made = admin.network.create_port(
        network_id=port.inputs["network_id"], security_groups=port.inputs["security_group_ids"][:1]
    )
    try:
        _, unmodelled = look.told()
    finally:
        admin.network.delete_port(made)

    assert any(made.id in one and "no machine's of the stack" in one for one in unmodelled)


def test_a_server_of_others_on_a_network_of_the_stack_is_seen_and_what_neutron_has_there_is_not(look, admin):
    session, shared = look.session(), look.deployed.shared
    port = look.port("web-0")
    (network,) = (one.name for one in shared if one.id == port.inputs["network_id"])
    machines = list(look.deployed.machines.values())
    assert PROVIDER.strangers(session, shared, machines) == []
    server = "5a5a5a5a-0000-4000-8000-000000000001"  # Neutron takes the word of whoever makes a port
    made = admin.network.create_port(
        network_id=port.inputs["network_id"], device_owner="compute:nova", device_id=server
    )
    try:
        assert PROVIDER.strangers(session, shared, machines) == [Stranger(network, f"the server {server}")]
    finally:
        admin.network.delete_port(made)


def test_a_port_that_may_use_other_addresses_is_found(look, admin):
    port = look.port("web-1")
    admin.network.update_port(port.id, allowed_address_pairs=[{"ip_address": "10.20.1.99"}])
    try:
        found, _ = look.told()
        (shown,) = look.shown("web-1", "own")
    finally:
        admin.network.update_port(port.id, allowed_address_pairs=[])

    assert any("can claim, in address resolution, to have 10.20.1.99" in one for one in found), found
    assert shown[0] == ("accepted", False, "port 0 may also use 10.20.1.99")


def test_a_port_without_port_security_is_found(look, admin):
    port = look.port("web-2")
    admin.network.update_port(port.id, security_groups=[], port_security_enabled=False)
    try:
        found, _ = look.told()
        spoofing, traffic = look.shown("web-2", "own", "world-to-web")
    finally:
        admin.network.update_port(port.id, port_security_enabled=True)
        admin.network.update_port(port.id, security_groups=port.inputs["security_group_ids"])

    assert any("has no port security, and so no filter" in one for one in found), found
    assert (spoofing[0][1], traffic[0][1]) == (False, False)
    assert look.told() == ([], [])


def test_a_router_made_by_hand_opens_nothing_that_rules_close(look, admin, project):
    subnets = [one for one in admin.network.subnets(project_id=project.id) if one.ip_version == 4]
    router = admin.network.create_router(project_id=project.id)
    for subnet in subnets:
        port = admin.network.create_port(network_id=subnet.network_id, fixed_ips=[{"subnet_id": subnet.id}])
        admin.network.add_interface_to_router(router, port_id=port.id)
    try:
        assert look.told() == ([], [])
    finally:
        for port in list(admin.network.ports(device_id=router.id)):
            admin.network.remove_interface_from_router(router, port_id=port.id)
        admin.network.delete_router(router)


def test_a_machine_that_is_gone_is_told(look):
    machine = look.deployed.machines["db"]
    natives = tuple(
        replace(one, id="00000000-0000-0000-0000-000000000001") if one.token == "compute:Server" else one
        for one in machine.natives
    )
    look.deployed = replace(look.deployed, machines={**look.deployed.machines, "db": replace(machine, natives=natives)})

    with pytest.raises(PlatformError, match="the machine 'db' is not there"):
        look.told()
    with pytest.raises(PlatformError, match="the machine 'db' is not there"):
        look.shown("db", "own")
