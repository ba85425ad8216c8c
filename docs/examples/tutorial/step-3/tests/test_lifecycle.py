"""A machine from its first start to its end, whatever happens in between."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from provision_qemu.guests import POWER_OFF, guest
from provision_qemu.provider import QemuProvider
from provision_qemu.qemu import Qemu

from provision.testing import Lifecycle, Made, OperationFailed

MACHINE = "machine:Machine"


@asynccontextmanager
async def made(machines, inputs) -> AsyncIterator[tuple[Lifecycle, dict, Made]]:
    async with Lifecycle(QemuProvider, {"directory": str(machines)}) as platform:
        checked = await platform.check(MACHINE, {"name": "web", "stackId": "0123", **inputs})
        yield platform, checked, await platform.create(MACHINE, checked)


def test_a_machine_is_read_as_it_was_made(machines, tmp_path):
    async def run() -> None:
        async with made(machines, {**guest(tmp_path, ""), "cpus": 2, "memoryMib": 64}) as (platform, inputs, machine):
            found = await platform.read(MACHINE, machine)
            assert found == machine
            imported = await platform.read(MACHINE, machine.id)  # an import knows no more than the id
            assert imported is not None
            assert imported.inputs == inputs

    asyncio.run(run())


def test_power_is_switched_in_place_and_all_else_replaces(machines, tmp_path):
    async def run() -> None:
        async with made(machines, guest(tmp_path, "")) as (platform, inputs, machine):
            off = inputs | {"power": "stopped"}
            assert (await platform.diff(MACHINE, machine, off)).detailed == {"power": "update"}
            machine = await platform.update(MACHINE, machine, off)
            assert await platform.read(MACHINE, machine) == machine
            bigger = await platform.diff(MACHINE, machine, off | {"memoryMib": 512})
            assert bigger.detailed == {"memoryMib": "update_replace"}
            assert bigger.delete_before_replace

    asyncio.run(run())


def test_a_guest_that_powers_off_is_seen_and_switched_on_again(machines, tmp_path):
    async def run() -> None:
        async with made(machines, guest(tmp_path, "bye", then=POWER_OFF)) as (platform, inputs, machine):
            found = await platform.read(MACHINE, machine)
            while found and found.inputs["power"] == "running":
                await asyncio.sleep(0.05)
                found = await platform.read(MACHINE, machine)
            assert found is not None
            await platform.update(MACHINE, found, inputs)

    asyncio.run(run())


def test_delete_leaves_nothing_and_can_be_repeated(machines, tmp_path):
    async def run() -> None:
        async with made(machines, guest(tmp_path, "")) as (platform, _, machine):
            await platform.delete(MACHINE, machine)
            await platform.delete(MACHINE, machine)
            assert list(machines.iterdir()) == []
            assert await platform.read(MACHINE, machine) is None

    asyncio.run(run())


def test_a_create_after_an_interrupted_one_leaves_exactly_one_process(machines, tmp_path):
    async def run() -> None:
        async with made(machines, guest(tmp_path, "")) as (
            platform,
            inputs,
            machine,
        ):  # unrecorded
            again = await platform.create(MACHINE, inputs | {"cpus": 2})
            assert again.id == machine.id
            assert Qemu(machines, {}).uuids() == [machine.id]
            assert Qemu(machines, {}).look(machine.id)["cpus"] == 2
            other = await platform.create(MACHINE, inputs, name="other")
            assert Qemu(machines, {}).uuids() == sorted([machine.id, other.id])

    asyncio.run(run())


def test_a_process_that_was_killed_is_gone(machines, tmp_path):
    async def run() -> None:
        async with made(machines, guest(tmp_path, "")) as (platform, inputs, machine):
            os.kill(int((machines / machine.id / "pid").read_text()), signal.SIGKILL)
            while Qemu(machines, {}).uuids():
                await asyncio.sleep(0.02)
            assert await platform.read(MACHINE, machine) is None
            await platform.create(MACHINE, inputs)

    asyncio.run(run())


def test_a_process_with_another_identity_is_never_touched(machines, tmp_path):
    async def run() -> None:
        async with made(machines, guest(tmp_path, "")) as (platform, _, machine):
            elsewhere = "00000000-0000-8000-8000-000000000000"
            (machines / machine.id).rename(machines / elsewhere)
            stranger = Made(elsewhere, machine.outputs, machine.inputs)
            with pytest.raises(OperationFailed, match=machine.id) as failed:
                await platform.delete(MACHINE, stranger)
            assert failed.value.code == "ALREADY_EXISTS"
            (machines / elsewhere).rename(machines / machine.id)
            assert await platform.read(MACHINE, machine) == machine

    asyncio.run(run())


def test_a_machine_of_another_stack_is_never_touched(machines, tmp_path):
    async def run() -> None:
        async with made(machines, guest(tmp_path, "")) as (platform, _, machine):
            theirs = Made(machine.id, machine.outputs, machine.inputs | {"stackId": "4567"})
            for attempt in (
                platform.delete(MACHINE, theirs),
                platform.update(MACHINE, theirs, theirs.inputs | {"power": "stopped"}),
            ):
                with pytest.raises(OperationFailed) as failed:
                    await attempt
                assert failed.value.code == "ALREADY_EXISTS"
            assert await platform.read(MACHINE, machine) == machine

    asyncio.run(run())
