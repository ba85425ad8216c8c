"""The plugin author's guide: nothing is left out, the tutorial can be followed, and what the reference says is so."""

import ast
import asyncio
import importlib.util
import io
import re
import sys
import tokenize
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

import provision.errors
import provision.spi
import provision.spi.cloud
import provision.testing
from provision.host.values import plain
from provision.spi import registry
from provision.testing import CheckRefused, Lifecycle, OperationFailed

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TUTORIAL = DOCS / "examples" / "tutorial"
STEPS = sorted(TUTORIAL.glob("step-*"))
GUIDE = (DOCS / "plugin-guide.md").read_text()
LESSONS = (DOCS / "plugin-tutorial.md").read_text()
PLUGIN = ("provider.py", "machine.py", "qemu.py")
BOX = "shelf:Box"


# Nothing is left unmentioned


def mentioned(name: str) -> bool:
    return re.search(rf"`[^`\n]*\b{re.escape(name)}\b[^`\n]*`", GUIDE) is not None


PACKAGES = [provision.spi, provision.spi.cloud, provision.testing]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_name_is_in_the_guide(package):
    assert [name for name in package.__all__ if not mentioned(name)] == []


def protocols() -> list[type]:
    members = [getattr(package, name) for package in PACKAGES[:2] for name in package.__all__]
    return [member for member in members if isinstance(member, type) and getattr(member, "_is_protocol", False)]


@pytest.mark.parametrize("protocol", protocols(), ids=lambda protocol: protocol.__name__)
def test_every_protocol_and_its_methods_are_in_the_guide(protocol: type):
    methods = [name for name in vars(protocol) if not name.startswith("_")]
    assert methods
    assert [name for name in (protocol.__name__, *methods) if f"`{name}`" not in GUIDE] == []


@pytest.mark.parametrize("kind", [provision.spi.Provider, provision.spi.Operation], ids=lambda kind: kind.__name__)
def test_every_member_is_in_the_guide(kind: type):
    members = {name for name in (*vars(kind), *vars(kind).get("__annotations__", {})) if not name.startswith("_")}
    assert [name for name in members if f"`{name}" not in GUIDE] == []


# The tutorial


def code_lines(text: str) -> int:
    """How many lines of code there are: no blank ones, no comments, no docstrings; imports count."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            docstrings |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.string.strip() and token.type is not tokenize.COMMENT:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def test_lines_are_counted_without_blanks_comments_and_docstrings():
    function = 'def f(\n    a,\n):\n    """Doc\n\n    more."""\n    # comment\n    return """x\n\ny"""\n'
    text = f'"""Doc."""\n\nimport os  # why\n\n\n{function}'
    assert code_lines(text) == 1 + 3 + 3


def test_a_resource_type_with_a_full_life_has_at_most_forty_lines():
    text = (STEPS[2] / "provision_qemu" / "machine.py").read_text()
    names = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
    assert names >= {"create", "read", "update", "delete"}
    assert code_lines(text) <= 40
    assert f"a full life {code_lines(text)}" in re.sub(r"\s+", " ", LESSONS)


def test_the_plugin_has_at_most_two_hundred_lines():
    folder = STEPS[-1] / "provision_qemu"
    of_tests = {"guests.py", "conformance.py"}
    assert {path.name for path in folder.glob("*.py")} == {"__init__.py", *PLUGIN, *of_tests}
    assert sum(code_lines((folder / name).read_text()) for name in PLUGIN) <= 200


def units(text: str) -> list[str]:
    """The pieces of a module that a reader types: statements, and of classes their heads and members."""
    lines, found = text.splitlines(), []

    def piece(node: ast.stmt) -> str:
        start = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))])
        return "\n".join(lines[start - 1 : node.end_lineno])

    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            found.append(lines[node.lineno - 1])
            found += [piece(item) for item in node.body]
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            found.append(piece(node))
    return found


def dedented(text: str) -> str:
    """Without indentation: a member of a class is shown inside of it, or alone."""
    return re.sub("^ +", "", text, flags=re.MULTILINE)


def sections() -> list[str]:
    return re.split(r"^## Step \d", LESSONS, flags=re.MULTILINE)[1:]


def test_there_is_a_section_for_each_step():
    assert len(sections()) == len(STEPS) == 6


@pytest.mark.parametrize("step", range(6), ids=lambda step: f"step-{step + 1}")
def test_the_tutorial_shows_everything_that_a_step_adds_or_changes(step: int):
    before = STEPS[step - 1] if step else None
    for path in sorted(STEPS[step].rglob("*.py")):
        name = path.relative_to(STEPS[step])
        known = units((before / name).read_text()) if before and (before / name).exists() else []
        section = dedented(sections()[step])
        missing = [unit for unit in units(path.read_text()) if unit not in known and dedented(unit) not in section]
        assert missing == [], name


def test_no_module_is_lost_between_steps():
    for before, after in pairwise(STEPS):
        modules = {path.name for path in (before / "provision_qemu").glob("*.py")}
        assert modules <= {path.name for path in (after / "provision_qemu").glob("*.py")}


def test_all_python_in_the_guide_is_code_that_runs():
    for page in (GUIDE, LESSONS):
        by_hand = re.sub(r"<!-- code: .*?<!-- end -->", "", page, flags=re.DOTALL)
        assert "```python" not in by_hand


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_the_entry_points_of_each_step_name_what_is_there(step: Path):
    project = tomllib.loads((step / "pyproject.toml").read_text())["project"]
    for group in project["entry-points"].values():
        module, _, name = group["qemu"].partition(":")
        tree = ast.parse((step / (module.replace(".", "/") + ".py")).read_text())
        assert name in [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        assert f'version: ClassVar[str] = "{project["version"]}"' in (step / "provision_qemu/provider.py").read_text()


# The reference: the plugin with one of everything


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch):
    spec = importlib.util.spec_from_file_location("provision_shelf", DOCS / "examples/shelf/provision_shelf.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "provision_shelf", made)
    for name in ("BOX_OWNER", "USER", "SHELF_KEY"):
        monkeypatch.delenv(name, raising=False)
    spec.loader.exec_module(made)
    registry.check("shelf", made.ShelfProvider)
    return made


WANTED = {"stackId": "0123", "place": "attic"}


def on(shelf, talk) -> None:
    """Run `talk` with a served plugin."""

    async def run() -> None:
        async with Lifecycle(shelf.ShelfProvider) as platform:
            await talk(platform)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("field", "old", "new", "kind"),
    [
        ("weight", 1, 2, "update"),
        ("place", "attic", "cellar", "update_replace"),
        ("lid", "flat", "round", "update"),
        ("floor", "wood", "steel", "update_replace"),
        ("handle", "none", "brass", "update_replace"),
        ("label", "Books", "BOOKS", None),
        ("tags", ["a", "b"], ["b", "a"], None),
        ("tags", ["a", "b"], ["b", "c"], "update"),
        ("contents", '{"a": 1, "b": 2}', '{"b":2,"a":1}', None),
        ("network", "fd00::/64", "FD00:0::/64", None),
        ("phone", "12 34", "1234", None),
        ("phone", "12 34", "1235", "update"),
        ("code", "1", "2", "update"),
        ("seal", "wax", "wax", None),
        ("seal", "wax", "lead", "update"),
        ("corners", {"left": {"padding": 1}}, {"left": {"padding": 2}}, "update"),
    ],
)
def test_what_a_change_of_each_annotated_input_does(shelf, field, old, new, kind):
    async def talk(platform: Lifecycle) -> None:
        inputs = await platform.check(BOX, {**WANTED, field: old})
        made = await platform.create(BOX, inputs)
        changed = await platform.check(BOX, {**WANTED, field: new}, old=inputs)
        detailed = (await platform.diff(BOX, made, changed)).detailed
        assert set(detailed.values()) == (set() if kind is None else {kind})
        assert all(path.startswith(field) for path in detailed)

    on(shelf, talk)


def test_inputs_that_are_not_given_are_named_chosen_and_looked_up_once(shelf, monkeypatch: pytest.MonkeyPatch):
    async def talk(platform: Lifecycle) -> None:
        monkeypatch.setenv("BOX_OWNER", "ada")
        inputs = await platform.check(BOX, {**WANTED, "weight": 20})
        assert (inputs["owner"], inputs["model"]) == ("ada", "large")
        assert re.fullmatch("it-[0-9a-f]{7}", inputs["name"])
        shelf.MODELS["middle"] = 50
        shelf.MODELS = dict(sorted(shelf.MODELS.items(), key=lambda item: item[1]))
        again = await platform.check(BOX, {**WANTED, "weight": 20, "lid": "round"}, old=inputs)
        assert (again["name"], again["model"]) == (inputs["name"], "large")
        anew = await platform.check(BOX, {**WANTED, "weight": 20, "refresh": True}, old=inputs)
        assert anew["model"] == "middle"
        other = await platform.check(BOX, {**WANTED, "weight": 2}, old=inputs)
        assert other["model"] == "small"
        with pytest.raises((OperationFailed, CheckRefused), match="no box carries that much"):
            await platform.check(BOX, {**WANTED, "weight": 1000})

    on(shelf, talk)


def test_a_deprecated_input_is_told_of_and_a_rule_over_two_inputs_is_held(shelf):
    async def talk(platform: Lifecycle) -> None:
        await platform.check(BOX, {**WANTED, "colour": "red"})
        assert platform.log.texts("warning") == ["colour is deprecated: use `label`"]
        with pytest.raises(CheckRefused) as refused:
            await platform.check(BOX, {**WANTED, "floor": "paper", "weight": 6})
        assert refused.value.failures == {"floor": "paper carries no more than 5"}
        with pytest.raises(CheckRefused) as refused:
            await platform.check(BOX, {**WANTED, "filling": {"kind": "foam", "density": 0}})
        assert list(refused.value.failures) == ["filling.density"]

    on(shelf, talk)


def test_previews_know_what_the_annotations_of_outputs_say(shelf):
    async def talk(platform: Lifecycle) -> None:
        inputs = await platform.check(BOX, {**WANTED, "label": "books"})
        planned = await platform.create(BOX, inputs, preview=True)
        assert planned.outputs["label"] == "books"
        assert repr(planned.outputs["serial"]) == "<unknown>"
        made = await platform.create(BOX, inputs)
        lid = await platform.update(BOX, made, inputs | {"lid": "round"}, preview=True)
        assert (lid.outputs["serial"], lid.outputs["price"]) == (made.outputs["serial"], made.outputs["price"])
        heavier = await platform.update(BOX, made, inputs | {"weight": 3}, preview=True)
        assert heavier.outputs["serial"] == made.outputs["serial"]
        assert repr(heavier.outputs["price"]) == "<unknown>"

    on(shelf, talk)


def test_secrets_are_kept_as_their_annotations_say(shelf):
    async def talk(platform: Lifecycle) -> None:
        given = {**WANTED, "code": "code-4711", "hint": "hint-4711", "seal": "seal-4711"}
        made = await platform.create(BOX, await platform.check(BOX, given))
        (live,) = shelf.ShelfProvider.shelf.boxes.values()
        assert live["seal"] == "seal-4711"
        assert "4711" not in repr(made)  # all are wrapped
        recorded = plain(made.inputs)
        assert (recorded["code"], recorded["hint"]) == ("code-4711", "hint-4711")
        assert "4711" not in str(plain((await platform.read(BOX, made)).outputs))

    on(shelf, talk)


def test_drift_is_shown_or_ignored_and_what_cannot_be_read_stays(shelf):
    async def talk(platform: Lifecycle) -> None:
        made = await platform.create(BOX, await platform.check(BOX, {**WANTED, "code": "4711"}))
        live = shelf.ShelfProvider.shelf.boxes[made.id]
        live |= {"dust": 5, "label": "scribbled on"}
        found = await platform.read(BOX, made)
        assert found is not None
        assert (found.inputs["dust"], found.inputs["label"]) == (0, "scribbled on")
        assert plain(found.inputs["code"]) == "4711"

    on(shelf, talk)


def test_a_busy_platform_is_asked_again_and_notes_stay(shelf):
    async def talk(platform: Lifecycle) -> None:
        shelf.ShelfProvider.shelf.busy = 2
        made = await platform.create(BOX, await platform.check(BOX, WANTED))
        assert platform.log.texts("note") == [f"the box has the number {made.outputs['serial']}"]
        assert len(platform.log.texts("status")) >= 2

    on(shelf, talk)


def test_what_was_made_is_kept_and_waited_for_again(shelf):
    async def talk(platform: Lifecycle) -> None:
        box = shelf.ShelfProvider.shelf
        box.stuck = True
        inputs = await platform.check(BOX, WANTED)
        with pytest.raises(OperationFailed) as failed:
            await platform.create(BOX, inputs, timeout=0.5)
        kept = failed.value.kept
        assert kept is not None
        with pytest.raises(OperationFailed) as again:
            await platform.update(BOX, kept, inputs)
        assert again.value.reasons == ("still stuck",)
        box.stuck = False
        await platform.update(BOX, kept, inputs)
        assert list(box.boxes) == [kept.id]

    on(shelf, talk)


def test_half_an_update_is_recorded_and_the_rest_is_left_to_do(shelf):
    async def talk(platform: Lifecycle) -> None:
        inputs = await platform.check(BOX, WANTED)
        made = await platform.create(BOX, inputs)
        shelf.ShelfProvider.shelf.stuck = True
        wanted = await platform.check(BOX, {**WANTED, "weight": 3, "lid": "round"}, old=inputs)
        with pytest.raises(OperationFailed, match="the lid is stuck") as failed:
            await platform.update(BOX, made, wanted)
        kept = failed.value.kept
        assert kept is not None
        assert (await platform.diff(BOX, kept, wanted)).detailed == {"lid": "update"}

    on(shelf, talk)


def test_delete_of_what_is_gone_succeeds_and_foreign_objects_stay(shelf):
    async def talk(platform: Lifecycle) -> None:
        made = await platform.create(BOX, await platform.check(BOX, WANTED))
        theirs = type(made)(made.id, made.outputs, made.inputs | {"stackId": "4567"})
        with pytest.raises(OperationFailed) as failed:
            await platform.delete(BOX, theirs)
        assert failed.value.code == "ALREADY_EXISTS"
        await platform.delete(BOX, made)
        await platform.delete(BOX, made)
        assert await platform.read(BOX, made) is None
        with pytest.raises(OperationFailed) as failed:
            await platform.update(BOX, made, made.inputs | {"weight": 2})
        assert failed.value.code == "NOT_FOUND"

    on(shelf, talk)


@pytest.mark.parametrize(
    ("raised", "code"), re.findall(r"^\| `(\w+)`(?:, `\w+`)? \|.*\| `([A-Z_]+)`", GUIDE, re.MULTILINE)
)
def test_errors_have_the_codes_that_the_guide_says(shelf, monkeypatch: pytest.MonkeyPatch, raised: str, code: str):
    kind = getattr(provision.errors, raised, None) or getattr(provision.spi, raised)

    def update(self, request):
        raise kind("no", "do it otherwise") if issubclass(kind, provision.errors.ProvisionError) else kind("no")

    async def talk(platform: Lifecycle) -> None:
        inputs = await platform.check(BOX, WANTED)
        made = await platform.create(BOX, inputs)
        monkeypatch.setattr(shelf.Box, "update", update)
        monkeypatch.setattr(shelf.Box, "retries", provision.spi.Retries(0.01, 0.01, 0.05))
        monkeypatch.setattr(shelf.Box, "timeouts", provision.spi.Timeouts())
        if raised == "Cancelled":
            await platform.cancel()
        with pytest.raises(OperationFailed) as failed:
            await platform.update(BOX, made, inputs | {"weight": 2})
        assert failed.value.code == code

    on(shelf, talk)


def test_the_table_of_errors_is_read_whole():
    assert len(re.findall(r"^\| `(\w+)`(?:, `\w+`)? \|.*\| `([A-Z_]+)`", GUIDE, re.MULTILINE)) == 7


def test_state_of_an_older_version_is_brought_up(shelf):
    async def talk(platform: Lifecycle) -> None:
        inputs = await platform.check(BOX, WANTED)
        made = await platform.create(BOX, inputs)

        def older(values):
            renamed = {("spot" if key == "place" else key): value for key, value in values.items()}
            return {key: value for key, value in renamed.items() if key != "__schemaVersion"}

        old = type(made)(made.id, older(made.outputs), older(made.inputs))
        assert (await platform.diff(BOX, old, inputs)).replaces == ()
        found = await platform.read(BOX, old)
        assert found is not None
        assert found.inputs["place"] == "attic"

    on(shelf, talk)


def test_objects_are_listed_imported_and_asked_about(shelf):
    async def talk(platform: Lifecycle) -> None:
        inputs = await platform.check(BOX, {**WANTED, "weight": 7})
        made = await platform.create(BOX, inputs)
        assert [found.id for found in await platform.list(BOX, {"place": "attic"})] == [made.id]
        assert await platform.list(BOX, {"place": "cellar"}) == []
        imported = await platform.read(BOX, made.id)
        assert imported is not None
        again = await platform.check(BOX, inputs, old=imported.inputs)
        assert (await platform.diff(BOX, imported, again)).detailed == {}
        assert await platform.invoke("shelf:heaviest", {"place": "attic"}) == {"weight": 7}

    on(shelf, talk)
