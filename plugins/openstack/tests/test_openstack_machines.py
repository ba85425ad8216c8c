"""A machine with everything in a real OpenStack: how it changes, how its disks grow, and what people do with it."""

import asyncio
from dataclasses import replace

import pytest
from openstack_lab import extend_fails
from provision_openstack import daytwo
from provision_openstack.config import OpenStackConfig
from provision_openstack.provider import OpenStackProvider
from provision_openstack.session import Session

from provision.errors import ForeignObject, NotFound
from provision.spi import (
    DeployedMachine,
    HasConsole,
    HasLog,
    HasPower,
    HasStatus,
    NativeState,
    PowerAction,
    PowerRequest,
    RunState,
)
from provision.testing import CheckRefused, Lifecycle, OperationFailed

pytestmark = pytest.mark.lab

STACK = "c" * 32
SERVER, VOLUME, ATTACHMENT, PORT = "compute:Server", "volume:Volume", "compute:VolumeAttachment", "network:Port"


def run(work):
    return asyncio.run(asyncio.wait_for(work, 500))


def alone(work):
    """Work with a plugin process of its own, as far as the plugin can tell."""

    async def inside():
        async with Lifecycle(OpenStackProvider, {}) as lifecycle:
            return await work(lifecycle)

    return run(inside())


async def make(lifecycle, token, word, /, **inputs):
    inputs = await lifecycle.check(token, {"stackId": STACK, **inputs}, name=word)
    return await lifecycle.create(token, inputs, name=word)


async def changed(lifecycle, token, name, made, /, **inputs):
    wanted = await lifecycle.check(token, made.inputs | inputs, made, name=name)
    return wanted, await lifecycle.diff(token, made, wanted, name=name)


async def update(lifecycle, token, name, made, /, **inputs):
    wanted, found = await changed(lifecycle, token, name, made, **inputs)
    assert found.changed
    assert not found.replaces, found
    return await lifecycle.update(token, made, wanted, name=name)


@pytest.fixture(scope="module")
def machine(cloud, project):
    """A server with two interfaces, a root disk that is a volume, and two more volumes; by name of the resource."""

    async def work(lifecycle):
        made = {}
        for network in ("front", "back", "later"):
            made[network] = await make(lifecycle, "network:Network", network, name=network)
            made[f"{network}-v4"] = await make(
                lifecycle, "network:Subnet", f"{network}-v4",
                networkId=made[network].id, name=network, cidr=f"10.4.{len(made)}.0/24",
            )  # fmt: skip
            made[f"{network}-nic"] = await make(
                lifecycle, PORT, f"{network}-nic", networkId=made[network].id, name=network
            )
        made["server"] = await make(
            lifecycle, SERVER, "server", name="server", flavorId=cloud.flavor(), imageId=cloud.image(),
            rootVolume={}, rootSizeGib=2, nics=[{"portId": made["front-nic"].id}, {"portId": made["back-nic"].id}],
        )  # fmt: skip
        for disk in ("data", "logs"):
            made[disk] = await make(lifecycle, VOLUME, disk, name=disk, sizeGib=1)
            ends = {"serverId": made["server"].id, "volumeId": made[disk].id}
            made[f"{disk}-attachment"] = await make(lifecycle, ATTACHMENT, f"{disk}-attachment", **ends)
        return made

    with pytest.MonkeyPatch.context() as patch:
        for name, value in project.environment.items():
            patch.setenv(name, value)
        made = alone(work)
        yield made


@pytest.fixture
def reached(machine, session):
    """The session, and the server as commands of day two get it."""
    made = machine["server"]
    inputs = {"stack_id": STACK, "power": "running"}
    return session, DeployedMachine("web", (NativeState(SERVER, "machines/web/server", made.id, {}, inputs),))


def live(session, made):
    return session.compute.get(f"/servers/{made.id}", version="2.46")["server"]


def volume(session, made):
    return session.volume.get(f"/volumes/{made.id}")["volume"]


def test_a_server_has_all_its_interfaces_and_volumes(machine, session):
    there = session.compute.get(f"/servers/{machine['server'].id}/os-interface")["interfaceAttachments"]
    attached = live(session, machine["server"])["os-extended-volumes:volumes_attached"]

    assert {one["port_id"] for one in there} == {machine["front-nic"].id, machine["back-nic"].id}
    assert {one["id"] for one in attached} > {machine["data"].id, machine["logs"].id}
    assert len(attached) == 3
    assert live(session, machine["server"])["image"] == ""
    assert volume(session, machine["data"])["status"] == "in-use"


def test_volumes_grow_while_a_server_has_them_and_alone(machine, session):
    async def work(lifecycle):
        machine["data"] = await update(lifecycle, VOLUME, "data", machine["data"], sizeGib=3)
        spare = await make(lifecycle, VOLUME, "spare", name="spare", sizeGib=1)
        grown = await update(lifecycle, VOLUME, "spare", spare, sizeGib=2)
        assert volume(session, grown)["size"] == 2
        seen = await lifecycle.read(VOLUME, machine["data"], "data")
        assert seen.inputs["sizeGib"] == 3
        await lifecycle.delete(VOLUME, grown, "spare")

    alone(work)

    assert (volume(session, machine["data"])["size"], volume(session, machine["data"])["status"]) == (3, "in-use")


def test_the_volume_that_a_server_starts_from_grows_while_it_runs_and_never_shrinks(machine, session):
    async def work(lifecycle):
        before = live(session, machine["server"])
        machine["server"] = await update(lifecycle, SERVER, "server", machine["server"], rootSizeGib=4)
        seen = await lifecycle.read(SERVER, machine["server"], "server")
        assert seen.inputs["rootSizeGib"] == 4
        with pytest.raises(CheckRefused, match="cannot shrink from 4 to 3 GiB"):
            await changed(lifecycle, SERVER, "server", machine["server"], rootSizeGib=3)
        return before

    before, after = alone(work), live(session, machine["server"])

    attached = [one["id"] for one in after["os-extended-volumes:volumes_attached"]]
    (root,) = set(attached) - {machine["data"].id, machine["logs"].id}
    there = session.volume.get(f"/volumes/{root}")["volume"]
    assert (there["size"], there["status"], after["status"]) == (4, "in-use", "ACTIVE")
    assert (after["id"], after["OS-SRV-USG:launched_at"]) == (before["id"], before["OS-SRV-USG:launched_at"])


def test_what_must_be_encrypted_and_is_not_is_refused_when_it_is_made(machine, session):
    async def work(lifecycle):
        with pytest.raises(OperationFailed) as volume:
            await make(lifecycle, VOLUME, "open", name="open", sizeGib=1, encrypted=True)
        await lifecycle.delete(VOLUME, volume.value.kept, "open")
        more = {"flavorId": machine["server"].inputs["flavorId"], "imageId": machine["server"].inputs["imageId"]}
        more |= {"rootVolume": {}, "rootSizeGib": 1, "rootEncrypted": True}
        with pytest.raises(OperationFailed) as server:
            await make(lifecycle, SERVER, "bare", name="bare", **more)
        await lifecycle.delete(SERVER, server.value.kept, "bare")
        return volume.value.message, server.value.message

    for message in alone(work):
        assert "is to be encrypted, and Cinder made it without" in message


def test_a_volume_that_its_storage_does_not_let_grow_is_whole_and_says_what_to_do(cloud, machine, session):
    async def work(lifecycle):
        stuck = await make(lifecycle, VOLUME, "stuck", name="stuck", sizeGib=1)
        with cloud.going_wrong(extend_fails("^stuck$", "no room")):
            with pytest.raises(OperationFailed) as failed:
                await update(lifecycle, VOLUME, "stuck", stuck, sizeGib=2)
            assert len(cloud.followed()) == 1
        assert (await lifecycle.read(VOLUME, stuck, "stuck")).inputs["sizeGib"] == 1
        with pytest.raises(OperationFailed, match="could not let the volume"):
            await update(lifecycle, VOLUME, "stuck", stuck, sizeGib=2)
        await lifecycle.delete(VOLUME, stuck, "stuck")
        return failed.value

    failed = alone(work)

    assert "could not let the volume" in failed.message
    assert "1 GiB" in failed.message
    assert "operators" in failed.message
    assert failed.kept is None, "the state says what is true: nothing has changed"


def test_a_flavor_is_changed_with_a_restart_and_confirmed(cloud, machine, session):
    larger = cloud.flavor(cpus=2, memory_mib=128)

    async def work(lifecycle):
        return await update(lifecycle, SERVER, "server", machine["server"], flavorId=larger)

    machine["server"] = alone(work)

    assert live(session, machine["server"])["flavor"]["id"] == larger
    assert live(session, machine["server"])["status"] == "ACTIVE"


def test_an_interface_is_added_and_taken_away_in_place(machine, session):
    both = [{"portId": machine["front-nic"].id}, {"portId": machine["back-nic"].id}]

    async def work(lifecycle):
        more = [*both, {"portId": machine["later-nic"].id}]
        grown = await update(lifecycle, SERVER, "server", machine["server"], nics=more)
        there = session.compute.get(f"/servers/{grown.id}/os-interface")["interfaceAttachments"]
        assert len(there) == 3
        return await update(lifecycle, SERVER, "server", grown, nics=both)

    machine["server"] = alone(work)

    there = session.compute.get(f"/servers/{machine['server'].id}/os-interface")["interfaceAttachments"]
    assert {one["port_id"] for one in there} == {machine["front-nic"].id, machine["back-nic"].id}


@pytest.mark.parametrize(
    "change",
    [
        {"userData": "IyEvYmluL3NoCg=="},
        {"rootVolume": {"deleteOnTermination": False}},
        {"availabilityZone": "elsewhere"},
        {"keyName": "other"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_nova_does_by_a_rebuild_is_shown_as_a_replacement(machine, change):
    async def work(lifecycle):
        return await changed(lifecycle, SERVER, "server", machine["server"], **change)

    _, found = alone(work)

    assert [path.partition(".")[0] for path in found.replaces] == list(change)


def test_the_plugin_has_the_commands_of_day_two():
    provider = OpenStackProvider()
    assert all(isinstance(provider, kind) for kind in (HasStatus, HasPower, HasLog, HasConsole))


def test_status_is_one_question_with_flavor_and_addresses(reached):
    session, machine = reached
    calls = []
    daytwo.machine_status(session, [machine])
    session.stand_between(lambda name, call: (calls.append(name), call())[1])

    told = daytwo.machine_status(session, [machine, DeployedMachine("never", ())])

    assert (told["web"].state, told["web"].wanted, told["web"].why) == (RunState.RUNNING, RunState.RUNNING, "")
    assert (told["web"].granted_cpus, told["web"].granted_memory_mib) == (2, 128)
    assert len(told["web"].addresses) == 2
    assert told["never"].state is RunState.GONE
    assert calls == ["compute.GET /servers/detail"]


def test_a_machine_is_switched_off_and_on_and_restarted_even_when_it_is_locked(machine, reached):
    session, deployed = reached
    session.compute.post(f"/servers/{machine['server'].id}/action", {"lock": None})

    def switch(action, **more):
        return daytwo.switch_power(session, deployed, PowerRequest(action, timeout=120, **more))

    assert switch(PowerAction.OFF)
    assert not switch(PowerAction.OFF)
    assert daytwo.machine_status(session, [deployed])["web"].state is RunState.STOPPED
    assert switch(PowerAction.ON)
    assert not switch(PowerAction.ON)
    assert switch(PowerAction.REBOOT)
    assert switch(PowerAction.REBOOT, force=True)
    assert daytwo.machine_status(session, [deployed])["web"].state is RunState.RUNNING
    assert live(session, machine["server"])["status"] == "ACTIVE"
    assert session.compute.get(f"/servers/{machine['server'].id}", version="2.46")["server"]["locked"]
    session.compute.post(f"/servers/{machine['server'].id}/action", {"unlock": None})


def test_what_a_machine_printed_is_read_once(reached):
    session, machine = reached

    first = daytwo.read_log(session, machine)
    second = daytwo.read_log(session, machine, first.position)

    assert b"FAKE CONSOLE OUTPUT" in first.data
    assert (second.data, second.lost) == (b"", False)
    assert daytwo.console_log(session, machine).encode() == first.data


def test_the_console_is_an_address_for_a_browser(reached, capsys):
    daytwo.console(*reached)

    said = capsys.readouterr().out
    assert "'web' in a browser" in said
    assert "http://127.0.0.1:6080/vnc_auto.html?path=" in said


def test_what_is_not_the_stacks_own_is_left_alone(reached):
    session, machine = reached
    (native,) = machine.natives
    other = DeployedMachine("web", (replace(native, inputs={"stack_id": "d" * 32}),))
    gone = DeployedMachine("web", (replace(native, id="0" * 32),))

    with pytest.raises(ForeignObject):
        daytwo.switch_power(session, other, PowerRequest(PowerAction.OFF))
    with pytest.raises(NotFound):
        daytwo.read_log(session, gone)
    told = daytwo.machine_status(session, [other])
    assert told["web"].state is RunState.GONE


def test_everything_is_removed_again(machine):
    async def work(lifecycle):
        order = {"data-attachment": ATTACHMENT, "logs-attachment": ATTACHMENT, "data": VOLUME, "logs": VOLUME}
        for name, token in {**order, "server": SERVER}.items():
            await lifecycle.delete(token, machine.pop(name), name)

    alone(work)
    session = Session(OpenStackConfig())
    assert session.compute.get("/servers")["servers"] == []
    assert session.volume.get("/volumes")["volumes"] == []
    session.close()
