"""How the steps of the engine become changes, lines and sentences."""

import io
import os

import pytest
from rich.console import Console

from provision.cli.changes import Action, Changes, machines
from provision.cli.progress import LastingConsole, Progress
from provision.cli.words import failure, summary
from provision.host.events import Message, PropertyChange, ResourceStep

STACK = "urn:pulumi:dev::shop::provision:index:Stack"
SERVER = f"{STACK}$provision:index:Machine$provision-memory:compute:Server::machines/web-0/server"
DISK = f"{STACK}$provision:index:Machine$provision-memory:compute:Volume::machines/web-0/disk-data"
MACHINE = f"{STACK}$provision:index:Machine::machines/web-0"
IMAGE = PropertyChange("image", "a → b", replaces=True)
MEMORY = PropertyChange("memoryMib", "64 → 65")


def steps(*ops, urn=SERVER, changes=(IMAGE, MEMORY), kept=False):
    for op in ops:
        yield ResourceStep("started", op, urn, changes if op != "delete-replaced" else (), kept)
        yield ResourceStep("done", op, urn, changes if op != "delete-replaced" else (), kept)


def collected(*events, preview=False):
    changes = Changes(preview=preview)
    for event in events:
        changes.take(event)
    return changes


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize(
    "order",
    [("delete-replaced", "replace", "create-replacement"), ("create-replacement", "replace", "delete-replaced")],
)
def test_a_replacement_is_one_change_whatever_its_order(order, preview):
    changes = collected(*steps(*order), preview=preview)
    assert [(c.action, c.properties) for c in changes.found] == [(Action.REPLACE, (IMAGE, MEMORY))]


def test_a_replacement_that_stops_halfway_says_what_is_gone():
    changes = collected(*steps("delete-replaced", "replace"), ResourceStep("failed", "create-replacement", SERVER))
    assert [(c.action, c.failed) for c in changes.found] == [(Action.REPLACE, True)]
    assert failure(changes, "up", interrupted=False) == (
        "up failed: 1 resource failed (machines/web-0/server); 1 change done and recorded. "
        "Deleted, and not made anew yet: machines/web-0/server. Run it again to go on from there."
    )


def test_an_old_object_that_goes_after_its_successor_came_is_not_missed():
    changes = collected(*steps("create-replacement", "replace", "delete-replaced"))
    assert changes.halfway() == []


def test_a_failed_preview_changes_nothing_even_when_it_announced_deletions():
    changes = collected(*steps("delete-replaced", "replace"), preview=True)
    assert failure(changes, "preview", interrupted=False) == "preview failed; nothing was changed."


def test_a_drift_counts_by_what_the_refresh_found_and_not_by_its_beginning():
    changes = collected(
        ResourceStep("started", "refresh", SERVER),
        ResourceStep("done", "update", SERVER, (MEMORY,)),
        ResourceStep("started", "refresh", DISK),
        ResourceStep("done", "delete", DISK),
    )
    assert summary(changes, "refresh") == "Drift: 1 machine changed; 1 resource changed outside, 1 gone."


def test_machines_are_counted_by_their_own_fate_and_else_by_that_of_their_parts():
    other = MACHINE.replace("web-0", "db")
    changes = collected(
        *steps("create", urn=other), *steps("create", urn=DISK.replace("web-0", "db")), *steps("update", urn=DISK)
    )
    assert machines(changes.found) == {"db": Action.CREATE, "web-0": Action.UPDATE}
    assert summary(changes, "up") == "Done: 1 machine created, 1 changed; 1 resource created, 1 updated."


@pytest.mark.parametrize(
    ("op", "kept", "lost"), [("delete", False, True), ("delete", True, False), ("update", False, False)]
)
def test_a_summary_names_the_disks_whose_data_is_lost(op, kept, lost):
    changes = collected(*steps(op, urn=DISK, kept=kept), preview=True)
    assert ("Data will be lost on: machines/web-0/disk-data." in summary(changes, "preview")) is lost


def test_components_and_bookkeeping_are_no_resources():
    changes = collected(
        *steps("same", urn=MACHINE),
        *steps("same", urn="urn:pulumi:dev::shop::pulumi:providers:pulumi::default"),
        *steps("same"),
    )
    assert summary(changes, "up") == "Nothing to change: 1 resource as the file says."


def shown(*events, command="up", width=80, terminal=True, told=None):
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None, highlight=False)
    show = Progress(command, Changes(preview=command == "preview"), told if told is not None else set(), console)
    for event in events:  # not entered: what is under way is drawn over, and here the lines that stay are looked at
        show(event)
    return file.getvalue()


def test_a_failure_is_told_once_below_its_resource():
    said = shown(
        ResourceStep("started", "update", SERVER),
        Message("error", "the platform refuses\n  fix: ask its owner", SERVER),
        ResourceStep("failed", "update", SERVER),
    )
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    assert lines == [
        " ! Server      machines/web-0/server                   failed",
        "               the platform refuses",
        "                 fix: ask its owner",
    ]


def test_lines_fit_80_columns_and_long_names_are_kept_whole():
    name = "machines/" + "long" * 10 + "-99/disk-" + "data" * 5
    urn = DISK.replace("machines/web-0/disk-data", name)
    said = shown(*steps("update", urn=urn, changes=(PropertyChange("sizeGib", "1 → 2"),)), *steps("create"))
    assert name in said
    assert max(len(line.rstrip()) for line in said.splitlines()) <= 80
    assert "               sizeGib: 1 → 2" in said


def test_excerpts_of_the_stack_file_are_cut_and_never_broken():
    excerpt = "stack.yaml:1:1: error: wrong\n    1 | " + "x" * 200 + "\n      | ^^^"
    said = shown(Message("error", excerpt))
    assert [line[:9] for line in said.splitlines() if " | " in line] == ["    1 | x", "      | ^"]
    assert len([line for line in said.splitlines() if "xxx" in line]) == 1


def test_a_pipe_gets_every_character():
    text = "stack.yaml:1:1: error: wrong\n    1 | " + "x" * 200
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=False, soft_wrap=True)
    with Progress("up", Changes(preview=False), set(), console) as show:
        show(Message("error", text))
    assert file.getvalue() == text + "\n"


def test_a_run_goes_on_when_nobody_reads_what_it_says():
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", encoding="utf-8") as gone:
        with Progress("up", Changes(preview=False), set(), LastingConsole(file=gone)) as show:
            for event in steps("create"):
                show(event)
        gone.write("this is read by nobody either")


def test_what_the_preview_has_told_is_not_told_again():
    told: set[str] = set()
    warning = Message("warning", "policy 'apart' is not enforced")
    assert "policy 'apart'" in shown(warning, command="preview", told=told)
    assert "policy 'apart'" not in shown(warning, told=told)


def test_that_a_disk_loses_its_data_is_said_once():
    announced = Message("info", "destroys data: format changes", DISK)
    said = shown(announced, *steps("delete-replaced", "replace", "create-replacement", urn=DISK))
    assert "destroys data" not in said
    assert said.count("the data on this disk is lost") == 1


def test_what_else_loses_data_is_announced_by_its_plugin_alone():
    announced = Message("info", "destroys data: image changes", SERVER)
    said = shown(announced, *steps("delete-replaced", "replace", "create-replacement"))
    assert said.count("destroys data: image changes") == 1
    assert "is lost" not in said


def test_a_reason_that_many_resources_share_is_told_once():
    away = "the hypervisor cannot be reached\n  fix: start it"
    said = shown(Message("error", away, DISK), Message("error", away, SERVER), command="refresh")
    assert said.count("cannot be reached") == 1
    assert said.count("failed") == 2
    assert "for the same reason as machines/web-0/disk-data" in said
