"""What a stack file says of drift: refused where isolation depends on it, ignored, and taken over into the file."""

from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import TypeAdapter

from provision.cli.changes import Action, Change, Changes
from provision.cli.drifting import Report, adopted, as_data, as_junit, as_sarif, collected, human, is_quiet, markdown
from provision.cli.drifting.adopting import to_adopt
from provision.diagnostics import DiagnosticSink, SourceMap
from provision.errors import PlatformError, StackFileError
from provision.host.events import PropertyChange, ResourceStep
from provision.host.events import translate as events
from provision.loader import load
from provision.loader.editing import Draft
from provision.models import DriftPolicy, DriftRules, MachineDrift, NetworkDrift, Size
from provision.spi import (
    Capabilities,
    Isolates,
    Properties,
    ResourceGraph,
    StackField,
    Stranger,
    registry,
    spell_size,
)
from provision.testing.memory import MemoryProvider
from provision.testing.memory_types import Server, Volume
from provision.translate import Scope, address_inputs, agreements, allocate, place, translate_all
from provision.translate.drift import check_drift, written

FILE = """\
version: 1
platform: memory
drift:
  machines: {power: ignore, memory: adopt, disks: {size: adopt}}
networks:
  front: {cidr: 10.1.0.0/24}
machines:
  web:
    image: micro   # small
    memory: 64MiB  # enough
    count: 2
    nics: [{network: front}]
  db: {image: micro, memory: "128MiB", disks: {data: {size: 1GiB}}}
isolation:
  policies:
    web-open: {kind: traffic, from: [outside], to: [machine.web], allow: [tcp/80]}
"""
SERVER, VOLUME = "provision-memory:compute:Server", "provision-memory:compute:Volume"
TYPES: dict[str, Any] = {SERVER: Server, VOLUME: Volume}


RULES = "drift:\n  machines: {power: ignore, memory: adopt, disks: {size: adopt}}"
DB = '{image: micro, memory: "128MiB", disks: {data: {size: 1GiB}}}'


def project(folder: Path, drift: str = "", text: str = FILE) -> Path:
    (folder / "stack.yaml").write_text(text.replace(RULES, f"drift: {drift}") if drift else text)
    return folder


def graph_of(folder: Path, overlay: str | None = None, drafts: Any = MappingProxyType({})) -> ResourceGraph:
    loaded = load(folder, overlay=overlay, drafts=drafts)
    sink, scope, provider = DiagnosticSink(loaded.source_map), Scope("shop", "dev"), MemoryProvider()
    agreed = agreements([(one, provider, Capabilities("memory", {}, "")) for one in place(loaded.stack, sink)], sink)
    assigned = allocate(address_inputs(loaded.stack, scope, provider), {})[0]
    return translate_all(agreed, assigned, scope, sink).graph


def change(name: str, path: str, value: Any, kind: str = SERVER) -> Change:
    return Change(Action.UPDATE, kind, name, f"urn::{name}", (PropertyChange(path, f"? → {value}", value=value),))


def report(folder: Path, *found: Change, quiet: tuple[ResourceStep, ...] = ()) -> Report:
    changes = Changes(preview=True)
    changes.found, changes.unchanged = list(found), 5
    return collected("shop", "dev", load(folder), changes, None, TYPES, quiet)


def adopt(folder: Path, *found: Change, overlay: str | None = None) -> tuple[Any, str]:
    loaded = load(folder, overlay=overlay)
    draft = Draft(folder, overlay)
    done = adopted(draft, loaded, to_adopt(loaded, found, TYPES), lambda it: graph_of(folder, overlay, it.texts))
    done.draft.save()
    return done, "\n".join(done.sentences())


def refused(folder: Path) -> list[str]:
    with pytest.raises(StackFileError) as failure:
        graph_of(folder)
    return [str(item) for item in failure.value.diagnostics]


# --- what a file may say


@pytest.mark.parametrize(
    ("drift", "field"),
    [
        ("{machines: {nics: ignore}}", "machines.nics"),
        ("{machines: {disks: {encrypted: adopt}}}", "machines.disks.encrypted"),
        ("{networks: {internet: ignore}}", "networks.internet"),
        ("{isolation: ignore}", "isolation"),
        ("{sharing: adopt}", "sharing"),
    ],
)
def test_what_isolation_depends_on_is_never_left_to_others(tmp_path: Path, drift: str, field: str) -> None:
    (said,) = refused(project(tmp_path, drift))
    assert f"'{field}' cannot be" in said
    assert "isolation depends on it, and a policy is never silently weakened" in said
    assert "stack.yaml:3:" in said
    load(project(tmp_path, drift.replace("ignore", "own").replace("adopt", "own")))


def test_what_a_policy_or_share_of_some_machine_needs_cannot_be_ignored(tmp_path: Path) -> None:
    text = FILE.replace("power: ignore, memory: adopt", "cpus: ignore, memory: ignore")
    text += "    alone: {kind: dedicated_cpus, machines: [machine.db]}\n"
    text += "sharing: {shares: {most: {machines: [label.tier=none], memory: {maximum: 1GiB}}}}\n"
    with pytest.raises(StackFileError) as failure:
        load(project(tmp_path, text=text))
    said = [str(item) for item in failure.value.diagnostics]
    assert [line for line in said if "cannot be 'ignore'" in line] == [
        f"{tmp_path}/stack.yaml:4:20: error: 'machines.cpus' cannot be 'ignore': the policy 'alone' depends on it, and "
        "a policy is never silently weakened (leave it out, or write 'own': what changed is reported, and put back)"
    ]


def test_a_field_that_the_platform_does_not_show_is_refused_with_those_that_it_does(tmp_path: Path) -> None:
    (said,) = refused(project(tmp_path, "{machines: {autostart: ignore, power: ignore}}"))
    assert "'machines.autostart' cannot be 'ignore': 'memory' does not show changes of it apart from others" in said
    assert said.endswith("machines.cpus, machines.disks.size, machines.memory, machines.power, networks.strangers)")


def test_machines_of_others_are_left_alone_where_the_file_says_so_and_never_adopted(tmp_path: Path) -> None:
    alone = load(project(tmp_path, "{networks: {strangers: ignore}}"))
    graph_of(project(tmp_path, "{networks: {strangers: ignore}}"))
    others = (Stranger("networks/front/network", "the server 'x'"), PlatformError("no answer"))
    told = collected("shop", "dev", alone, Changes(preview=True), None, {}, others=others)
    assert (told.findings, told.exit_code) == ((), 0)
    assert [one.summary for one in told.ignored] == ["the server 'x' is on networks/front, and is none of the stack's"]
    (said,) = refused(project(tmp_path, "{networks: {strangers: adopt}}"))
    assert "'networks.strangers' cannot be 'adopt': the file does not describe machines of others" in said
    sink = DiagnosticSink(SourceMap())
    rules_ = DriftRules(networks=NetworkDrift(strangers=DriftPolicy.IGNORE))
    assert not check_drift(rules_, [Blind()], sink)
    assert "'networks.strangers' cannot be 'ignore': 'memory' does not show" in str(next(iter(sink)))


class Blind(MemoryProvider):
    """A platform that does not show machines of others."""

    strangers = None  # type: ignore[assignment]


class PinnedInputs(Properties):
    cpus: Annotated[int, Isolates(setting=True), StackField(("machines.cpus",))] = 1


class Pinned(Server):
    Inputs: ClassVar[type[Properties]] = PinnedInputs


class Pinning(MemoryProvider):
    resource_types: ClassVar[Any] = (Pinned,)


def test_an_input_that_isolates_is_refused_whatever_the_field_is_called() -> None:
    sink = DiagnosticSink(SourceMap())
    assert not check_drift(DriftRules(machines=MachineDrift(cpus=DriftPolicy.IGNORE)), [Pinning()], sink)
    assert "isolation depends on it on 'memory', and a policy is never silently weakened" in str(next(iter(sink)))


def rules(**machines: Any) -> DriftRules:
    return DriftRules(machines=MachineDrift.model_validate(machines))


def fields_of(model: Any, prefix: str = "") -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        inner = field.annotation
        found |= fields_of(inner, f"{prefix}{name}.") if hasattr(inner, "model_fields") else {f"{prefix}{name}"}
    return found


@pytest.mark.parametrize("name", ["aws", "libvirt", "memory", "openstack"])
def test_a_plugin_knows_fields_that_a_file_can_name_and_none_that_carries_isolation(name: str) -> None:
    provider = MemoryProvider() if name == "memory" else registry.load(name)
    found = [item for kind in provider.resource_types for item in written(kind.Inputs).values()]
    said = {field.replace(f"machines.size.{name}", "machines.size") for item in found for field in item.fields}
    assert said >= {"machines.power", "machines.disks.size"}
    assert said - fields_of(DriftRules) == set()
    assert [item.fields for item in found if item.isolates] == []
    assert check_drift(rules(power="ignore", disks={"size": "adopt"}), [provider], DiagnosticSink(SourceMap()))


@pytest.mark.parametrize("name", ["aws", "openstack"])
def test_on_a_cloud_the_size_of_a_machine_drifts_as_a_whole(name: str) -> None:
    sink = DiagnosticSink(SourceMap())
    assert check_drift(rules(size="ignore"), [registry.load(name)], sink)
    assert not check_drift(rules(memory="ignore"), [registry.load(name)], sink)
    assert "machines.size" in str(next(iter(sink)))


@pytest.mark.parametrize("name", ["libvirt", "openstack"])
def test_a_boot_disks_size_is_known_whether_it_is_a_resource_or_a_part_of_one(name: str) -> None:
    names = {"libvirt": "machines/web-0/root", "openstack": "machines/web-0/server"}
    found = [
        item.field(names[name]) for kind in registry.load(name).resource_types for item in written(kind.Inputs).values()
    ]
    assert found.count("machines.root.size") == 1


# --- ignored


def test_ignored_fields_are_inputs_that_the_engine_is_told_to_ignore(tmp_path: Path) -> None:
    graph = graph_of(project(tmp_path))
    assert {node.name: node.ignored for node in graph.nodes if node.ignored} == {
        "machines/web-0/server": ("power",),
        "machines/web-1/server": ("power",),
        "machines/db/server": ("power",),
    }
    assert not any(node.ignored for node in graph_of(project(tmp_path, "{}")).nodes)


def test_what_is_ignored_is_told_of_and_counts_for_nothing(tmp_path: Path) -> None:
    folder = project(tmp_path)
    told = report(folder, change("machines/web-0/server", "power", "stopped"))
    assert (told.drifted, told.exit_code, told.unchanged) == (False, 0, 5)
    assert list(human(told)) == [
        f". machines/web-0/server was changed outside, and is left alone ({folder}/stack.yaml:8:3)",
        "    power: ? → stopped",
        "No drift: 5 resources as recorded; 1 left alone.",
    ]
    assert is_quiet(markdown(told))
    assert "<details><summary>1 left alone" in markdown(told)
    assert '<skipped message="machines/web-0/server was changed' in as_junit(told)
    (result,) = as_sarif(told, "1", folder)["runs"][0]["results"]
    assert (result["level"], result["suppressions"][0]["kind"]) == ("note", "inSource")
    data = as_data(told)
    assert (data["findings"], data["ignored"][0]["policy"]) == ([], "ignore")


def test_what_the_engine_passed_over_counts_again_once_the_file_no_longer_ignores_it(tmp_path: Path) -> None:
    urn = f"urn:pulumi:dev::shop::{SERVER}::machines/db/server"
    passed = (PropertyChange("power", "running → stopped", value="stopped"), PropertyChange("__x", "1 → 2"))
    step = ResourceStep("done", "same", urn, ignored=passed)
    left = report(project(tmp_path), quiet=(step,))
    assert (left.exit_code, len(left.ignored), left.unchanged) == (0, 1, 4)
    counted = report(project(tmp_path, "{machines: {power: own}}"), quiet=(step,))
    assert (counted.exit_code, counted.findings[0].details) == (2, ("power: running → stopped",))


def test_a_look_that_changes_nothing_tells_what_was_passed_over() -> None:
    urn = f"urn:pulumi:dev::shop::{SERVER}::machines/db/server"
    old, new = {"inputs": {"power": "running", "cpus": 1}}, {"inputs": {"power": "stopped", "cpus": 1}}
    (step,) = events({"resOutputsEvent": {"metadata": {"op": "same", "urn": urn, "old": old, "new": new}}})
    assert isinstance(step, ResourceStep)
    assert [(one.path, one.values, one.value) for one in step.ignored] == [("power", "running → stopped", "stopped")]


# --- taken over


def test_real_values_are_written_into_the_file_and_nothing_else_of_it_changes(tmp_path: Path) -> None:
    folder = project(tmp_path)
    done, said = adopt(
        folder,
        *(change(f"machines/web-{number}/server", "memoryMib", 96) for number in (0, 1)),
        change("machines/db/server", "memoryMib", 2048),
        change("machines/db/disk-data", "sizeGib", 3, VOLUME),
        change("machines/db/server", "cpus", 4),
    )
    assert said == ""
    assert next(line for line in done.diff() if line.startswith("+ ")) == "+    memory: 96MiB  # enough"
    wanted = FILE.replace("64MiB", "96MiB").replace('"128MiB"', '"2GiB"').replace("1GiB", "3GiB")
    assert (folder / "stack.yaml").read_text() == wanted


def test_a_value_that_one_of_several_machines_has_cannot_be_written(tmp_path: Path) -> None:
    folder = project(tmp_path)
    done, said = adopt(folder, change("machines/web-1/server", "memoryMib", 96))
    assert said == (
        "not adopted: machines.web.memory: the file says it once for web-0, web-1; of these web-0 has not changed"
    )
    assert not done.taken
    assert (folder / "stack.yaml").read_text() == FILE


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("memory: ${param.size}", "the file says ${param.size} there"),
        ("memory: &size 128MiB", "the file says &size 128MiB there, which is used elsewhere too"),
    ],
)
def test_a_value_that_comes_from_elsewhere_is_not_written_over(tmp_path: Path, before: str, why: str) -> None:
    text = FILE.replace(
        '{image: micro, memory: "128MiB", disks: {data: {size: 1GiB}}}', f"\n    image: micro\n    {before}"
    )
    text += "parameters: {size: {default: 128MiB}}\n"
    done, said = adopt(project(tmp_path, text=text), change("machines/db/server", "memoryMib", 256))
    assert said.endswith(why)
    assert not done.taken


def test_a_map_that_is_used_twice_is_not_changed_for_one(tmp_path: Path) -> None:
    text = FILE.replace(DB, "&db {image: micro, memory: 128MiB}\n  other: *db")
    folder = project(tmp_path, text=text)
    _, said = adopt(folder, change("machines/other/server", "memoryMib", 256))
    assert "is used for something else too" in said
    assert (folder / "stack.yaml").read_text() == text


def test_what_the_file_cannot_say_is_refused_in_its_own_words(tmp_path: Path) -> None:
    folder = project(tmp_path, "{machines: {power: adopt}}")
    text = (folder / "stack.yaml").read_text()
    _, said = adopt(folder, change("machines/db/server", "power", "paused"))
    assert said == "not adopted: machines.db.power: the file would not be valid: 'power' cannot be 'paused'"
    assert (folder / "stack.yaml").read_text() == text


def test_a_missing_field_is_added_where_its_neighbours_are(tmp_path: Path) -> None:
    folder = project(tmp_path, "{machines: {power: adopt, cpus: adopt}}")
    adopt(
        folder,
        change("machines/db/server", "power", "stopped"),
        *(change(f"machines/web-{number}/server", "cpus", 2) for number in (0, 1)),
    )
    text = (folder / "stack.yaml").read_text()
    assert "    count: 2\n    cpus: 2\n" in text or "    nics: [{network: front}]\n    cpus: 2\n" in text
    assert "disks: {data: {size: 1GiB}}, power: stopped}" in text


def test_a_stack_with_an_overlay_is_changed_in_its_overlay(tmp_path: Path) -> None:
    folder = project(tmp_path)
    (folder / "stack.dev.yaml").write_text("# dev\nplatform: memory\n")
    adopt(folder, change("machines/db/server", "memoryMib", 256), overlay="dev")
    assert (folder / "stack.yaml").read_text() == FILE
    assert (folder / "stack.dev.yaml").read_text() == (
        "# dev\nplatform: memory\nmachines:\n  db:\n    memory: 256MiB\n"
    )


@pytest.mark.parametrize(
    ("unit", "value", "spelt"),
    [("MiB", 96, "96MiB"), ("MiB", 2048, "2GiB"), ("B", 1 << 30, "1GiB"), ("GiB", 1024, "1TiB"), ("B", 1536, "1.5KiB")],
)
def test_sizes_are_spelt_as_people_write_them(unit: str, value: int, spelt: str) -> None:
    assert spell_size(unit)(value) == spelt
    assert int(TypeAdapter(Size).validate_python(spelt)) == value * {"B": 1, "MiB": 1 << 20, "GiB": 1 << 30}[unit]
