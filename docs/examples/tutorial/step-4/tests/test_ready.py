"""A machine is made when its guest is up, and not before."""

import asyncio

import pytest
from provision_qemu.guests import guest
from provision_qemu.provider import QemuProvider
from provision_qemu.qemu import Qemu

from provision.testing import Lifecycle, OperationFailed

MACHINE = "machine:Machine"


def test_create_waits_for_what_the_guest_prints(machines, tmp_path):
    async def run() -> None:
        async with Lifecycle(QemuProvider, {"directory": str(machines)}) as platform:
            inputs = {"name": "web", "stackId": "0123", **guest(tmp_path, "all is up"), "ready": "is up"}
            machine = await platform.create(MACHINE, await platform.check(MACHINE, inputs))
            assert "all is up" in Qemu(machines, {}).log(machine.id)

    asyncio.run(run())


def test_a_guest_that_does_not_come_up_is_kept_and_waited_for_again(machines, tmp_path):
    async def run() -> None:
        async with Lifecycle(QemuProvider, {"directory": str(machines)}) as platform:
            inputs = {"name": "web", "stackId": "0123", **guest(tmp_path, "panic: no root"), "ready": "is up"}
            checked = await platform.check(MACHINE, inputs)
            with pytest.raises(OperationFailed) as failed:
                await platform.create(MACHINE, checked, timeout=1)
            assert failed.value.reasons == ("machine web has not printed 'is up' yet", "panic: no root")
            assert "has not printed 'is up' yet" in platform.log.texts("status")
            kept = failed.value.kept
            assert kept is not None
            assert Qemu(machines, {}).uuids() == [kept.id]  # it is in state, and still runs

            with (machines / kept.id / "log").open("a") as log:
                log.write("now all is up")
            await platform.update(MACHINE, kept, checked)  # what the engine sends in the next `up`

    asyncio.run(run())


def test_cancelling_a_run_keeps_what_was_made(machines, tmp_path):
    async def run() -> None:
        async with Lifecycle(QemuProvider, {"directory": str(machines)}) as platform:
            inputs = {"name": "web", "stackId": "0123", **guest(tmp_path, ""), "ready": "is up"}
            checked = await platform.check(MACHINE, inputs)
            creating = asyncio.create_task(platform.create(MACHINE, checked))
            while not Qemu(machines, {}).uuids():
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            await platform.cancel()
            with pytest.raises(OperationFailed) as failed:
                await asyncio.wait_for(creating, 5)
            assert failed.value.kept is not None

    asyncio.run(run())


def test_all_machines_of_the_user_are_listed(machines, tmp_path):
    async def run() -> None:
        async with Lifecycle(QemuProvider, {"directory": str(machines)}) as platform:
            inputs = {"name": "web", "stackId": "0123", **guest(tmp_path, "")}
            checked = await platform.check(MACHINE, inputs)
            machine = await platform.create(MACHINE, checked)
            assert [(found.id, found.name) for found in await platform.list(MACHINE)] == [(machine.id, "web")]

    asyncio.run(run())
