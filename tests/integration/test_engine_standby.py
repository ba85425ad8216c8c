"""`provision` with the real engine and plugins that wait for it: they are used, and none is left however a run ends."""

import os
import signal
import time
from pathlib import Path

import pytest
from test_engine_cli import project  # noqa: F401 - a fixture

from provision.testing.store import Fault

pytestmark = pytest.mark.engine

LOCATIONS = """\
locations:
  west:
    platform: memory
    config: {{store: {store}}}
"""


def processes(home):
    """Command lines of what belongs to a Pulumi home: the engine, shims, and plugins, by process number."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            environment = (place / "environ").read_bytes().split(b"\0")
            words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue
        if words and f"PULUMI_HOME={home}".encode() in environment:
            found[int(place.name)] = words
    return found


def until(condition, what):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def slow(project, command):  # noqa: F811
    """Begin a run that makes a machine for a minute, and wait until it does."""
    project.store.inject(Fault("create", "slow", name="shop-dev-web-1", seconds=60))
    begun = project.begin(*command)
    until(
        lambda: any(call.operation == "create" and call.name == "shop-dev-web-1" for call in project.store.calls()),
        "no machine is made",
    )
    return begun


def test_two_providers_of_one_plugin_have_a_process_each_and_nothing_is_left(project, tmp_path):  # noqa: F811
    far = tmp_path / "far.json"
    project.edit(
        "networks:\n", LOCATIONS.format(store=far) + "networks:\n  away: {cidr: 10.9.0.0/24, location: west}\n"
    )
    begun = slow(project, ("up", "--yes"))
    home = project.env["PULUMI_HOME"]
    running = list(processes(home).values())
    assert len([words for words in running if "provision.host.early" in words]) == 2, running
    assert [words for words in running if "provision.host.plugin memory" in words], "the second provider's"
    begun.send_signal(signal.SIGINT)
    assert project.end(begun).code == 130
    until(lambda: not processes(home), "something is left after an interrupt")

    assert "Done: " in project.fine("up", "--yes").out
    assert "away" in far.read_text()
    assert "away" not in (project.folder / "platform.json").read_text()
    assert project.fine("up", "--yes").out.startswith("Nothing to change: ")
    assert "Done: " in project.fine("down", "--yes").out
    assert processes(home) == {}


def test_a_command_that_is_killed_leaves_no_process_and_the_next_one_goes_on(project):  # noqa: F811
    home = project.env["PULUMI_HOME"]
    begun = slow(project, ("up", "--yes"))
    (engine,) = [pid for pid, words in processes(home).items() if "--non-interactive up" in words]
    begun.kill()
    begun.communicate()
    os.kill(engine, signal.SIGKILL)
    until(lambda: not processes(home), f"still there: {processes(home)}")

    assert "Done: " in project.fine("up", "--yes").out
    assert len(project.store.objects("compute:Server")) == 2
