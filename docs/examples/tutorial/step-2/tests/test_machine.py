"""A machine is made; nothing more yet."""

import asyncio
import time
from pathlib import Path

import pytest
from provision_qemu.guests import guest
from provision_qemu.provider import QemuProvider

from provision.testing import CheckRefused, Lifecycle, OperationFailed

MACHINE = "machine:Machine"


def test_a_preview_makes_nothing_and_create_makes_a_machine_that_prints(machines, tmp_path):
    async def run() -> None:
        async with Lifecycle(QemuProvider, {"directory": str(machines)}) as platform:
            inputs = await platform.check(MACHINE, {"name": "web", **guest(tmp_path, "hello from the guest")})
            assert (inputs["cpus"], inputs["memoryMib"]) == (1, 256)
            await platform.create(MACHINE, inputs, preview=True)
            assert list(machines.iterdir()) == []
            made = await platform.create(MACHINE, inputs)
            log = Path(made.outputs["log"])
            while "hello from the guest" not in log.read_text():
                time.sleep(0.05)

    asyncio.run(run())


def test_inputs_are_checked_by_the_model(machines, tmp_path):
    async def run() -> None:
        async with Lifecycle(QemuProvider, {"directory": str(machines)}) as platform:
            with pytest.raises(CheckRefused) as refused:
                await platform.check(MACHINE, {"name": "web", **guest(tmp_path, ""), "cpus": 65, "memory": 1})
            assert refused.value.failures == {
                "cpus": "must be less than or equal to 64",
                "memory": "is not a property of this type; did you mean 'memoryMib'?",
            }

    asyncio.run(run())


def test_every_change_replaces_the_machine(machines, tmp_path):
    async def run() -> None:
        async with Lifecycle(QemuProvider, {"directory": str(machines)}) as platform:
            inputs = await platform.check(MACHINE, {"name": "web", **guest(tmp_path, "")})
            made = await platform.create(MACHINE, inputs)
            compared = await platform.diff(MACHINE, made, inputs | {"cpus": 2})
            assert compared.detailed == {"cpus": "update_replace"}

    asyncio.run(run())


def test_a_machine_that_qemu_refuses_leaves_nothing(machines, tmp_path):
    async def run() -> None:
        async with Lifecycle(QemuProvider, {"directory": str(machines)}) as platform:
            inputs = await platform.check(MACHINE, {"name": "web", **guest(tmp_path, ""), "kernel": "/no/kernel"})
            with pytest.raises(OperationFailed, match=r"QEMU does not start: .*/no/kernel"):
                await platform.create(MACHINE, inputs)
            assert list(machines.iterdir()) == []

    asyncio.run(run())
