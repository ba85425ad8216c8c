"""The documentation says what the code does: generated parts are fresh, examples run, nothing is left unmentioned."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest
import yaml

from provision.cli.main import COMMANDS, cli
from provision.diagnostics import DiagnosticSink
from provision.errors import StackFileError
from provision.loader import load, render
from provision.models import Peer, PeerKind, Selector
from provision.packets import Service
from provision.spi import (
    Capabilities,
    Verdict,
    registry,
)
from provision.translate import negotiate

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = made
    spec.loader.exec_module(made)
    return made


generate = module(DOCS / "generate.py")


def label(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(language: str) -> list[tuple[str, str]]:
    """Fenced blocks of all pages with where they stand."""
    return [
        (f"{label(page)}:{page.read_text()[: match.start()].count(chr(10)) + 1}", match[2])
        for page in PAGES
        for match in _FENCE.finditer(page.read_text())
        if match[1] == language
    ]


STACKS = [block for block in blocks("yaml") if block[1].startswith("version: 1")]


# Generated parts


@pytest.mark.parametrize("page", generate.PAGES)
def test_generated_parts_are_up_to_date(page: str):
    assert generate.render(page) == (DOCS / page).read_text(), "run: python docs/generate.py"


def test_every_generated_block_has_a_page():
    marked = {name for page in generate.PAGES for name in re.findall("generated: ([\\w-]+)", (DOCS / page).read_text())}
    assert marked == set(generate.BLOCKS)


def test_a_stale_page_is_found_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "stack-file.md").write_text("by hand\n<!-- generated: stack-file -->\nold\n<!-- end -->\nby hand too\n")
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    monkeypatch.setattr(generate, "PAGES", ("stack-file.md",))
    assert generate.main(["--check"]) == 1
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    text = (tmp_path / "stack-file.md").read_text()
    assert text.startswith("by hand\n<!-- generated: stack-file -->\n\n### ")
    assert text.endswith("<!-- end -->\nby hand too\n")
    assert "old" not in text.splitlines()


# Examples


def test_there_are_examples_to_check():
    assert len(STACKS) >= 5
    assert len(FOR_LIBVIRT) >= 4


@pytest.mark.parametrize(("place", "text"), STACKS, ids=[place for place, _ in STACKS])
def test_every_stack_file_in_the_documentation_loads(place: str, text: str, tmp_path: Path):
    (tmp_path / "stack.yaml").write_text(text)
    assert load(tmp_path).diagnostics == ()


FOR_LIBVIRT = [(place, text) for place, text in STACKS if "platform: libvirt" in text]


@pytest.mark.parametrize(("place", "text"), FOR_LIBVIRT, ids=[place for place, _ in FOR_LIBVIRT])
def test_every_stack_file_for_libvirt_in_the_documentation_is_enforced_there(place: str, text: str, tmp_path: Path):
    (tmp_path / "stack.yaml").write_text(text)
    loaded = load(tmp_path)
    assert loaded.stack.platform == "libvirt"
    sink = DiagnosticSink(loaded.source_map)
    decisions = negotiate(loaded.stack, registry.load("libvirt"), Capabilities("libvirt", {"nwfilter": True}), sink)
    assert {decision.verdict for decision in decisions.values()} <= {Verdict.ENFORCE}
    assert list(sink) == []


def test_the_overlay_example_fits_the_example_before_it(tmp_path: Path):
    page = (DOCS / "stack-file.md").read_text()
    *_, (_, base), (_, overlay) = [m.groups() for m in _FENCE.finditer(page) if m[1] == "yaml"]
    (tmp_path / "stack.yaml").write_text(base)
    (tmp_path / "stack.prod.yaml").write_text(overlay)
    assert load(tmp_path, overlay="prod").stack.machines["web"].count == 5


def test_the_readme_shows_the_first_stack_as_it_is():
    readme = (ROOT / "README.md").read_text()
    assert (ROOT / "stacks/01-hello/stack.yaml").read_text() in readme
    shown = yaml.safe_load(next(text for _, text in blocks("") if text.startswith("name: hello")))
    assert shown.items() <= yaml.safe_load((ROOT / "stacks/01-hello/Pulumi.yaml").read_text()).items()


MISTAKES = """\
version: 1
platform: libvirt

networks:
  front: {cidr: 10.20.1.0/24}
  back: {cidr: 10.20.1.128/25}

machines:
  web:
    image: micro
    memory: 96MB
    nics: [{network: frnt}]

isolation:
  policies:
    world-to-web:
      kind: traffic
      from: [outside]
      to: [machine.web]
      alow: [tcp/80]
"""


def test_the_messages_in_the_readme_are_those_that_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "stack.yaml").write_text(MISTAKES)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StackFileError) as caught:
        load(Path("stack.yaml"))
    shown = next(text for _, text in blocks("console") if text.startswith("$ provision validate\n"))
    assert shown.removeprefix("$ provision validate\n") == render(caught.value)


def table_words(heading: str) -> list[str]:
    """What stands in code marks in the first column of the table under a heading."""
    section = (DOCS / "stack-file.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [
        word for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for word in re.findall("`([^`]+)`", row)
    ]


def test_every_peer_of_the_reference_is_accepted_and_every_kind_is_there():
    written = [word.replace("NAME", "web").replace("KEY=VALUE", "a=b") for word in table_words("Peers and selectors")]
    assert {Peer.parse(word).kind for word in written} == set(PeerKind)


def test_selectors_are_accepted():
    for text in ("machine.web", "machine.*", "label.tier=db"):
        assert str(Selector.parse(text)) == text
    with pytest.raises(ValueError, match="does not select machines"):
        Selector.parse("network.front")


def test_every_service_of_the_reference_is_accepted():
    words = table_words("Services")
    assert len(words) >= 12
    for word in words:
        assert str(Service.parse(word)) == word


# Nothing is left unmentioned


def test_every_package_is_in_the_architecture():
    page = (DOCS / "architecture.md").read_text()
    packages = {p.parent for p in (ROOT / "provision").rglob("__init__.py")} - {ROOT / "provision"}
    modules = {p.with_suffix("") for p in (ROOT / "provision").glob("*.py") if p.stem != "__init__"}
    names = {".".join(path.relative_to(ROOT).parts) for path in packages | modules}
    assert len(names) > 10
    assert {name for name in names if f"`{name}`" not in page} == set()


def each_command(command: click.Command, context: click.Context) -> list[tuple[str, click.Command]]:
    found = [(context.command_path, command)]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            found += each_command(inner, click.Context(inner, info_name=name, parent=context))
    return found


def test_every_command_and_option_is_in_the_reference():
    page = (DOCS / "commands.md").read_text()
    for path, command in each_command(cli, click.Context(cli, info_name="provision"))[1:]:
        section = re.split(r"^#+ ", page.split(f" `{path}`\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
        options = [name for item in command.params if isinstance(item, click.Option) for name in item.opts]
        assert [name for name in options if f"`{name}`" not in section] == []


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_commands_that_pages_speak_of_exist(page: Path):
    code = "\n".join(re.findall(r"`[^`\n]+`|^```sh\n.*?^```$", page.read_text(), re.DOTALL | re.MULTILINE))
    used = re.findall(r"(?:^|[`(|])provision ([a-z]+)", code, re.MULTILINE)
    assert set(used) <= set(COMMANDS)


def test_messages_that_troubleshooting_quotes_are_given_somewhere():
    sources = [*(ROOT / "provision").rglob("*.py"), *(ROOT / "plugins").glob("*/provision_*/**/*.py")]
    code = re.sub(r"\{[^{}]*\}", "…", "\n".join(path.read_text() for path in sources))
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    quotes = re.findall("^> (.+)$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(quotes) >= 4
    for quote in quotes:
        for part in quote.split("…"):
            assert part.strip(" '") in code, quote


# Links


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", page.read_text())):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def anchors(page: Path) -> set[str]:
    """The anchors that a page has: those written out, and those of its headings."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", text), re.MULTILINE)
    made = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


# Records and fragments


def test_design_records_are_numbered_indexed_and_complete():
    records = sorted((DOCS / "design").glob("[0-9]*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    index = (DOCS / "design" / "README.md").read_text()
    for record in records:
        text = record.read_text()
        assert text.startswith(f"# {record.name[:4]}: ")
        assert [h for h in ("Context", "Decision", "Options that lost") if f"\n## {h}\n" not in text] == []
        assert f"]({record.name})" in index


def test_changelog_fragments_have_names_and_types_that_towncrier_knows():
    fragments = [path for path in (ROOT / "changelog.d").iterdir() if not path.name.startswith(".")]
    assert fragments
    for path in fragments:
        assert re.fullmatch(r"(\+[\w-]+|\d+)\.(feature|bugfix|doc|removal|misc)(\.\d+)?\.md", path.name), path.name
        assert path.read_text().strip(), path.name
