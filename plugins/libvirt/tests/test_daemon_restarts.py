"""The hypervisor's daemon is killed while the plugin works; machines run on, and so do operations."""

import asyncio
import contextlib
import os
import subprocess
import time

import pytest
from provision_libvirt import lab, micro
from provision_libvirt.config import LibvirtConfig
from provision_libvirt.provider import LibvirtProvider
from provision_libvirt.session import Session, explained

from provision.errors import EnvironmentProblem, RetriableError
from provision.testing import Lifecycle

pytestmark = pytest.mark.lab
STACK = {"stackId": "0123456789abcdef"}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hv") / "lab"
    yield lab.start(directory, owner=os.getpid())
    lab.stop(directory)


def daemon(running):
    return running.directory / "run/libvirtd.pid"


async def struck(running, work, *, after):
    """Do some work and kill the daemon in the middle of it; the lab starts the daemon again."""
    young = daemon(running).stat().st_mtime + 11 - time.time()
    await asyncio.sleep(max(0.0, young))  # the lab takes one for broken that does not live for ten seconds
    pid = daemon(running).read_text().strip()
    task = asyncio.create_task(work)
    await asyncio.sleep(after)
    assert not task.done()
    subprocess.run(["nsenter", "-t", str(running.pid), "-p", "-m", "kill", "-9", pid], check=True)
    result = await task
    assert daemon(running).read_text().strip() != pid
    return result


async def make(platform, token, called, /, **inputs):
    return await platform.create(token, await platform.check(token, STACK | inputs, name=called), name=called)


async def machine(platform):
    """Everything that a machine needs, and its inputs."""
    pool = await make(platform, "storage:Pool", "pool", name="shop-dev")
    made, digest = [pool], micro.build().digest
    for kind in ("micro-kernel", "micro-initrd"):
        source = {"kind": kind, "digest": digest}
        about = {"pool": "shop-dev", "name": kind, "format": "raw", "cache": True, "source": source}
        made.append(await make(platform, "storage:Volume", kind, **about))
    inputs = {
        "pool": "shop-dev",
        "name": "shop-dev-web",
        "memoryMib": 96,
        "accelerator": "qemu",
        "kernel": made[1].outputs["path"],
        "initrd": made[2].outputs["path"],
        "cmdline": micro.CMDLINE,
        "probeChannel": True,
        "ready": "channel",
        "readyTimeoutS": 120,
    }
    return made, inputs


def test_a_machine_gets_ready_changes_and_goes_although_the_daemon_dies_meanwhile(running):
    async def life():
        async with Lifecycle(LibvirtProvider, {"uri": running.uri}) as platform:
            made, inputs = await machine(platform)
            inputs = await platform.check("domain:Domain", STACK | inputs)
            web = await struck(running, platform.create("domain:Domain", inputs), after=2)
            seen = await platform.read("domain:Domain", web)
            assert (await platform.diff("domain:Domain", seen, inputs)).detailed == {}

            more = await platform.check("domain:Domain", {**inputs, "memoryMib": 112}, web)
            web = await struck(running, platform.update("domain:Domain", web, more), after=1)
            assert (await platform.read("domain:Domain", web)).inputs["memoryMib"] == 112

            await struck(running, platform.delete("domain:Domain", web), after=0.01)
            assert await platform.read("domain:Domain", web) is None
            for token, thing in (("storage:Volume", made[2]), ("storage:Volume", made[1]), ("storage:Pool", made[0])):
                await platform.delete(token, thing)

    asyncio.run(life())


def test_a_daemon_that_hangs_is_given_up_and_answers_when_it_goes_on(running, monkeypatch):
    for name, value in (("KEEPALIVE_SECONDS", 1), ("KEEPALIVE_COUNT", 2), ("ANSWER_SECONDS", 2), ("SILENT_SECONDS", 1)):
        monkeypatch.setattr(f"provision_libvirt.session._{name}", value)
    session = Session(LibvirtConfig(uri=running.uri))
    connection = session.connection()
    with stopped(running):
        with (
            pytest.raises(RetriableError, match="asking: the hypervisor gave no sign of life for 3 s"),
            explained("asking"),
        ):
            connection.getHostname()
        with pytest.raises(RetriableError, match=r"gave no answer for 2 s .it could be reached before"):
            session.connection()
        with pytest.raises(EnvironmentProblem, match="gave no answer for 2 s"):
            Session(LibvirtConfig(uri=running.uri))
    session.close()
    monkeypatch.undo()

    again = Session(LibvirtConfig(uri=running.uri))
    assert again.connection().getHostname()
    again.close()


@contextlib.contextmanager
def stopped(running):
    """Have the daemon stand still while inside."""

    def send(signal):
        pid = daemon(running).read_text().strip()
        subprocess.run(["nsenter", "-t", str(running.pid), "-p", "-m", "kill", signal, pid], check=True)

    send("-STOP")
    try:
        yield
    finally:
        send("-CONT")
