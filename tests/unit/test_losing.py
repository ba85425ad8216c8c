"""Data is destroyed only where the configuration or the command line names the machine or disk."""

import asyncio
import json
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import Field

from provision.diagnostics import DiagnosticSink
from provision.errors import StackFileError, UserError
from provision.host.ahead import may_hold_data
from provision.host.deploying.losing import Held, held, refuse_missing_disks, refuse_missing_machines, wanted
from provision.host.permission import VARIABLE, Permission, permission, subject
from provision.host.plugin.configuration import ALLOWED
from provision.host.plugin.diffing import compare
from provision.host.plugin.losing import refuse_loss
from provision.host.values import UNKNOWN
from provision.loader import load
from provision.spi import (
    DESTROYS_DATA,
    IMMUTABLE,
    Created,
    CreateRequest,
    DataLoss,
    Node,
    Properties,
    Read,
    ReadRequest,
    ResourceType,
    Updated,
    UpdateRequest,
)
from provision.testing import Lifecycle, MemoryProvider, OperationFailed
from provision.translate import place


class JarInputs(Properties):
    name: Annotated[str, IMMUTABLE] = "jar"
    glass: Annotated[str, DESTROYS_DATA] = "clear"
    label: str = ""
    worth: Annotated[DataLoss, Field(description="What loses what is in it.")] = DataLoss.REPLACED


class JarOutputs(Properties):
    name: str


class Jar(ResourceType[JarInputs, JarOutputs, Any]):
    token: ClassVar[str] = "lab:Jar"
    Inputs: ClassVar[type[Properties]] = JarInputs
    Outputs: ClassVar[type[Properties]] = JarOutputs

    def create(self, request: CreateRequest[JarInputs]) -> Created[JarOutputs]:
        return Created(request.inputs.name, JarOutputs(name=request.inputs.name))

    def read(self, request: ReadRequest[JarInputs, JarOutputs]) -> Read[JarInputs, JarOutputs] | None:
        assert request.inputs is not None
        return Read(request.id, request.inputs, JarOutputs(name=request.id))

    def update(self, request: UpdateRequest[JarInputs, JarOutputs]) -> Updated[JarOutputs]:
        return Updated(request.outputs)

    def loses_data(self, inputs: JarInputs) -> DataLoss:
        return inputs.worth


class JarProvider(MemoryProvider):
    name: ClassVar[str] = "memory"
    resource_types: ClassVar[Any] = (*MemoryProvider.resource_types, Jar)


NAME = "machines/db/disk-data"


def compared(old: dict[str, Any], new: dict[str, Any], *allowed: str, name: str = NAME, check: bool = True) -> Any:
    """The answer to a diff of a jar, or the refusal."""

    async def work() -> Any:
        async with Lifecycle(JarProvider) as platform:
            await platform.configure({ALLOWED: list(allowed)})
            before = await platform.check("lab:Jar", old, name=name)
            made = await platform.create("lab:Jar", before, name=name)
            news = await platform.check("lab:Jar", new, made, name=name) if check else {**before, **new}
            return made.outputs, await platform.diff("lab:Jar", made, news, name=name)

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("worth", "change", "refused"),
    [
        ("replaced", {"glass": "green"}, True),
        ("replaced", {"name": "other"}, False),
        ("replaced", {"label": "jam"}, False),
        ("removed", {"glass": "green"}, True),
        ("removed", {"name": "other"}, True),
        ("removed", {"label": "jam"}, False),
        ("never", {"glass": "green"}, False),
        ("never", {"name": "other"}, False),
    ],
)
def test_a_replacement_that_loses_data_is_refused_in_the_diff(
    worth: str, change: dict[str, str], refused: bool
) -> None:
    old = {"worth": worth}
    if not refused:
        compared(old, old | change)
        return
    with pytest.raises(OperationFailed) as found:
        compared(old, old | change)
    (changed,) = change
    assert found.value.message == (
        f"this would replace the disk 'data' of machine 'db' and destroy its data ({changed} changes)\n"
        "  fix: undo the change, or allow it: pulumi config set --path 'provision:allowDestroy[0]' db/data; "
        "or for one run: provision up --allow-destroy db/data"
    )


@pytest.mark.parametrize("allowed", ["db", "db/data", "db/*", "*", "machines/db/disk-data"])
def test_what_names_the_machine_or_the_disk_allows_it(allowed: str) -> None:
    _, found = compared({}, {"glass": "green"}, "other", allowed)
    assert found.replaces == ("glass",)


@pytest.mark.parametrize("allowed", ["d", "db/other", "db-0", "data"])
def test_what_names_something_else_does_not(allowed: str) -> None:
    with pytest.raises(OperationFailed, match=r"allowDestroy\[1\]' db/data"):
        compared({}, {"glass": "green"}, allowed)


def test_a_refresh_and_a_source_that_is_made_anew_are_told_apart() -> None:
    compared({}, {"glass": "green"}, check=False)  # a refresh only looks
    with pytest.raises(OperationFailed, match="glass may change"):
        compared({}, {"glass": UNKNOWN}, check=False)  # what it is made from is replaced
    compared({}, {"glass": UNKNOWN})  # a preview in which nobody can know: the update will


def forced(worth: str, *allowed: str, known: bool = False) -> None:
    """What the engine calls of a resource that it was told to replace."""

    async def work() -> None:
        async with Lifecycle(JarProvider) as platform:
            made = await platform.create(
                "lab:Jar", await platform.check("lab:Jar", {"worth": worth}, name=NAME), name=NAME
            )
        async with Lifecycle(JarProvider) as platform:
            await platform.configure({ALLOWED: list(allowed)})
            if known:
                await platform.check("lab:Jar", {"worth": worth}, made, name=NAME)
            await platform.check("lab:Jar", {"worth": worth}, name=NAME)
            await platform.delete("lab:Jar", made, name=NAME)

    asyncio.run(work())


@pytest.mark.parametrize("worth", ["replaced", "removed"])
def test_a_replacement_that_was_asked_for_is_refused_before_anything_is_deleted(worth: str) -> None:
    with pytest.raises(OperationFailed) as found:
        forced(worth)
    assert found.value.message == (
        "this would replace the disk 'data' of machine 'db' and destroy its data (its replacement was asked for)\n"
        "  fix: leave out --replace or --target-replace (pulumi state untaint, if it was tainted), or allow it: "
        "pulumi config set --path 'provision:allowDestroy[0]' db/data; "
        "or for one run: provision up --allow-destroy db/data"
    )


def test_it_is_let_through_where_it_is_allowed_or_loses_nothing_and_so_is_one_that_a_diff_asked_for() -> None:
    forced("removed", "db")
    forced("never")
    forced("removed", known=True)


def test_what_loses_data_is_recorded_for_those_who_read_the_state() -> None:
    outputs, _ = compared({"worth": "removed"}, {"worth": "removed"})
    assert outputs["__data"] == {"lost": "removed"}
    outputs, _ = compared({"worth": "never"}, {"worth": "never"})
    assert "__data" not in outputs


def test_a_permission_comes_from_the_configuration_and_from_one_run() -> None:
    given = permission('["db", "web-*"]', {VARIABLE: "cache/data,mail"})
    assert given == Permission(("db", "web-*"), ("cache/data", "mail"))
    assert given.covers("web-3")
    assert given.covers("x", "mail")
    assert not given.covers("cache")
    assert permission("db", {}).configured == ("db",)
    assert permission(["a", "b"], {}).configured == ("a", "b")
    for nothing in (None, "", "[", 3):
        assert permission(nothing, {}) == Permission()


def test_the_commands_go_on_after_what_is_configured_and_quote_patterns() -> None:
    assert Permission(("a",)).commands(["db", "*"]) == (
        "pulumi config set --path 'provision:allowDestroy[1]' db && "
        "pulumi config set --path 'provision:allowDestroy[2]' '*'; "
        "or for one run: provision up --allow-destroy db --allow-destroy '*'"
    )


def test_resources_outside_of_machines_go_by_their_own_names() -> None:
    assert subject("images/tiny").names == ("images/tiny",)
    assert subject("site/machines/db/root").names == ("db", "site/machines/db/root")
    assert subject("machines/db/disk-a").words == "disk 'a' of machine 'db'"


STACK = """\
version: 1
platform: here
machines:
  web:
    image: micro
    memory: 96MiB
    count: 2
  db:
    image: micro
    memory: 96MiB
    renamed_from: store
"""


def machines(tmp_path: Any, text: str = STACK, identity: str = "") -> tuple[Any, DiagnosticSink]:
    (tmp_path / "stack.yaml").write_text(text)
    loaded = load(tmp_path)
    sink = DiagnosticSink(loaded.source_map)
    parts = place(loaded.stack, sink)
    return wanted(parts, {part.location: identity for part in parts}), sink


def refusal(found: list[Held], tmp_path: Any, *allowed: str, text: str = STACK, identity: str = "") -> str:
    by_name, sink = machines(tmp_path, text, identity)
    try:
        refuse_missing_machines(found, by_name, Permission(allowed), sink)
    except StackFileError as error:
        return "\n".join(f"{item}" for item in error.diagnostics)
    return ""


def test_machines_with_data_may_not_leave_the_file(tmp_path: Any) -> None:
    gone = [Held("machines/web-2/root", "here", has_data=True), Held("machines/web-2/domain", "here")]
    said = refusal(gone, tmp_path)
    assert "stack.yaml:3:1: error: machine 'web-2' would leave the stack, and the data on the boot disk" in said
    assert "pulumi config set --path 'provision:allowDestroy[0]' web-2; or for one run" in said
    assert refusal(gone, tmp_path, "web-2") == ""
    assert refusal(gone, tmp_path, "web-*") == ""
    assert "machine 'web-2'" in refusal(gone, tmp_path, "web")
    assert refusal(gone[1:], tmp_path) == "", "nothing is lost with a machine without data"
    assert refusal([Held("machines/db/root", "here", has_data=True)], tmp_path) == ""
    assert refusal([Held("machines/store/root", "here", has_data=True)], tmp_path) == "", "renamed"
    assert refusal([Held("machines/web/root", "here", has_data=True)], tmp_path) == "", "counted now"


def test_many_are_refused_in_one_message(tmp_path: Any) -> None:
    said = refusal([Held(f"machines/old-{n}/root", "here", has_data=True) for n in range(9)], tmp_path)
    assert said.count("error:") == 1
    assert "'old-4' and 4 more would leave" in said
    assert "--allow-destroy '*'" in said


def test_another_platform_counts_as_destroying_whatever_the_machines_hold(tmp_path: Any) -> None:
    there = [Held("machines/db/server", "there"), Held("machines/web-0/server", "there")]
    said = refusal(there, tmp_path)
    assert "stack.yaml:2:11: error: machines 'db', 'web-0' would go from platform 'there' to 'here'" in said
    assert "'web-0'" not in refusal(there, tmp_path, "web-0")
    assert refusal(there, tmp_path, "db", "web-*") == ""


def test_another_host_counts_where_data_is_lost(tmp_path: Any) -> None:
    data = [Held("machines/db/root", "here", has_data=True, identity="one")]
    assert "machine 'db' would go to another host" in refusal(data, tmp_path, identity="other")
    assert refusal(data, tmp_path, identity="one") == ""
    assert refusal(data, tmp_path, identity="") == ""
    assert refusal(data, tmp_path, "db", identity="other") == ""


def test_a_machine_that_stays_may_not_lose_its_boot_disk(tmp_path: Any) -> None:
    by_name, sink = machines(tmp_path)
    root = Held("machines/db/root", "here", has_data=True)
    renamed = Node(Jar, "machines/db/root", {}, aliases=("machines/store/root",))
    refuse_missing_disks(
        [root, Held("machines/store/root", "here", has_data=True)], by_name, [renamed], Permission(), sink
    )
    with pytest.raises(StackFileError) as found:
        refuse_missing_disks([root], by_name, [], Permission(), sink)
    (item,) = found.value.diagnostics
    assert "stack.yaml:9:12: error: machine 'db' would no longer have the boot disk" in str(item)
    refuse_missing_disks([root], by_name, [], Permission(("db",)), DiagnosticSink())


def test_the_state_says_what_is_held() -> None:
    kind = "provision:index:Stack$provision:index:Machine$provision-here:storage:Volume"
    recorded = {
        f"urn:pulumi:dev::shop::{kind}::machines/db/root": {"__data": {"lost": "removed", "at": "one"}},
        f"urn:pulumi:dev::shop::{kind}::machines/db/disk-a": {"__data": {"lost": "replaced"}},
        f"urn:pulumi:dev::shop::{kind}::site/machines/db/root": {"__data": {"lost": "removed"}},
        "urn:pulumi:dev::shop::provision:index:Stack$provision:index:Machine::machines/db": {},
        "urn:pulumi:dev::shop::provision:index:Stack$provision-here:storage:Pool::pool": {},
    }
    assert list(held(recorded)) == [
        Held("machines/db/root", "here", has_data=True, identity="one"),
        Held("machines/db/disk-a", "here"),
    ]
    assert list(held(recorded, "site/")) == [Held("machines/db/root", "here", has_data=True)]


def test_a_run_is_looked_ahead_at_only_when_there_may_be_data(tmp_path: Any) -> None:
    url = f"file://{tmp_path}"
    file = tmp_path / ".pulumi/stacks/shop/dev.json"
    assert not may_hold_data(url, "shop", "dev")
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"outputs": {}}))
    assert not may_hold_data(url, "shop", "dev")
    file.write_text(json.dumps({"outputs": {"__data": {"lost": "removed"}}}))
    assert may_hold_data(f"{url}?metadata=skip", "shop", "dev")
    file.rename(f"{file}.gz")
    assert may_hold_data(url, "shop", "dev")
    assert may_hold_data("s3://bucket", "shop", "dev")


def test_of_a_programs_own_resource_the_environment_alone_can_allow_it() -> None:
    found = compare(JarInputs, {}, {"glass": "green"})
    with pytest.raises(UserError) as refused:
        refuse_loss(Jar(), "urn:pulumi:dev::p::t::jar", {}, found, Permission(), wanted=True)
    assert refused.value.summary == "this would replace 'jar' and destroy its data (glass changes)"
    assert refused.value.fix == "undo the change, or allow it: PROVISION_ALLOW_DESTROY=jar pulumi up"
