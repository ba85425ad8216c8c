"""`provision plugin` without an engine: what is listed, shown, made and checked."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import click
import pytest
from plugins_on_path import GOOD, install

from provision.cli.commands.plugin import making
from provision.cli.commands.plugin.page import Entry, Page, Section, Table, as_markdown, as_text
from provision.cli.main import main
from provision.spi import registry

ROOT = Path(__file__).parents[2]
LONGEST = "abcdefghij-abcdefghij-abcdefghij-abcdefg"

BROKEN = {
    "import": ("import no_such_package\n", "ModuleNotFoundError: No module named 'no_such_package' (/", "reinstall it"),
    "line": ("\n\n1 / 0\n", ".py:3)", "reinstall it"),
    "no-create": (
        GOOD.replace(
            "resource_types: ClassVar = ()", "resource_types: ClassVar = (type('Thing', (ResourceType,), {}),)"
        ),
        "`Thing.create` must be implemented",
        "plugin's author",
    ),
    "exit": ("import sys\nsys.exit('not today')\n", "SystemExit: not today", "reinstall it"),
    "syntax": ("class Plugin(:\n", "SyntaxError", "reinstall it"),
    "no-class": ("Plugin = 3\n", "must name a subclass of provision.spi.Provider", "plugin's author"),
    "other-name": (GOOD.replace('"NAME"', '"another"'), "`name` must be", "plugin's author"),
    "newer": (
        GOOD.replace('version: ClassVar = "1.2.3"', 'version: ClassVar = "1.2.3"\n    api_version: ClassVar = 2'),
        "`api_version` is 2; this release of provision speaks 1",
        "install a release of the plugin that was made for version 1",
    ),
    "unfinished": (
        GOOD.replace("def translate", "def translated"),
        "translate must be implemented",
        "plugin's author",
    ),
    "explosive": (GOOD + "\n    def __init__(self):\n        raise OSError('boom')\n", "OSError: boom", "author"),
}


class Said:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def document(self):
        return json.loads(self.out)


@pytest.fixture
def provision(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    registry.load.cache_clear()

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(ended.value.code, said.out, said.err)

    yield run
    registry.load.cache_clear()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path for further distributions; their modules are forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(folder) in str(sys.modules[name].__file__):
            del sys.modules[name]


# list


def test_plugins_are_listed_with_their_distribution(provision, site):
    install(site, "sky")
    said = provision("plugin", "list")
    assert (said.code, said.err) == (0, "")
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in said.out.splitlines()}
    assert rows["sky"] == "1.2.3 0 resource types provision-sky 4.5.6"
    assert rows["memory"].startswith("0.1.0 5 resource types")
    plugins = {item["name"]: item for item in provision("plugin", "list", "--format", "json").document["plugins"]}
    assert plugins["sky"] == {
        "name": "sky",
        "version": "1.2.3",
        "distribution": "provision-sky 4.5.6",
        "resource_types": 0,
        "functions": 0,
        "problem": None,
        "fix": None,
    }


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_named_and_disturbs_no_other(provision, site, kind):
    code, why, fix = BROKEN[kind]
    install(site, "broken", code)
    install(site, "sky")
    said = provision("plugin", "list")
    assert said.code == 0
    versions = {line.split()[0]: line.split()[1] for line in said.out.splitlines()}
    assert (versions["broken"], versions["sky"]) == ("broken", "1.2.3")
    assert "warning: plugin 'broken'" in said.err
    assert why in said.err
    assert f"  fix: {fix}" in said.err or fix in said.err
    plugins = {item["name"]: item for item in provision("plugin", "list", "--format", "json").document["plugins"]}
    assert why in plugins["broken"]["problem"]
    assert plugins["broken"]["version"] is None
    assert plugins["sky"]["problem"] is None
    shown = provision("plugin", "show", "broken")
    assert (shown.code, shown.out) == (1, "")
    assert why in shown.err
    assert provision("plugin", "show", "sky").code == 0
    assert provision("plugin", "check", "broken").code == 1


def test_two_distributions_with_one_name_concern_that_name_alone(provision, site):
    install(site, "sky", distribution="provision-sky")
    install(site, "sky", distribution="sky-high")
    said = provision("plugin", "list")
    assert said.code == 0
    assert "2 plugins are called 'sky' (provision-sky, sky-high)\n  fix: uninstall all but one of them" in said.err
    assert "memory" in said.out
    assert provision("plugin", "show", "memory").code == 0
    shown = provision("plugin", "show", "sky")
    assert (shown.code, "2 plugins are called 'sky'" in shown.err) == (1, True)


def test_what_a_plugin_prints_does_not_spoil_a_document(provision, site):
    install(site, "sky", "print('hello from the sky')\n" + GOOD)
    said = provision("plugin", "list", "--format", "json")
    assert {item["name"] for item in said.document["plugins"]} >= {"memory", "sky"}
    assert "hello from the sky" in said.err


def test_the_doctor_names_each_plugin_that_cannot_be_set_up_and_looks_at_the_others(provision, site):
    install(site, "Sky_High", distribution="sky-high")
    install(site, "broken", "import no_such_package\n")
    install(site, "ready")
    said = provision("doctor")
    assert said.code == 1
    assert "engine plugins: sky-high calls its provider 'Sky_High'" in said.out
    assert "missing plugin broken: plugin 'broken'" in said.out
    assert "plugin ready: version 1.2.3" in said.out
    assert "engine plugin pulumi-resource-provision-ready" in said.out


def test_a_broken_plugin_does_not_stop_the_setup_of_others(provision, site, monkeypatch, tmp_path):
    install(site, "broken", "import no_such_package\n")
    install(site, "Sky_High", distribution="sky-high")
    install(site, "ready", GOOD + "\n    def prepare(self, progress):\n        progress('preparing')\n")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(
        "provision.host.engine.ensure_engine", lambda progress: SimpleNamespace(version="3.0.0", path="/engine")
    )
    said = provision("setup")
    assert said.code == 0
    assert "ready: prepared" in said.out
    assert "plugin 'broken'" in said.err
    assert "calls its provider 'Sky_High', which is no provider name" in said.err
    shims = {path.name for path in (tmp_path / "home/plugins").iterdir()}
    assert {"resource-provision-ready-v4.5.6", "resource-provision-memory-v0.1.0"} <= shims
    assert not [name for name in shims if "Sky" in name]


LAB = """
    def lab_start(self, directory, progress):
        progress("starting")
        return self.lab_status(directory)

    def lab_stop(self, directory, progress):
        return True

    def lab_status(self, directory):
        return LabInfo(Path("/lab"), {"place": "lab"}, {"PLACE": "lab"}, "a lab")
"""


def test_the_lab_of_a_plugin_is_found_beside_broken_ones_and_told_as_a_document(provision, site, monkeypatch):
    install(site, "broken", "import no_such_package\n")
    install(site, "sky", "from pathlib import Path\n" + GOOD + LAB)
    monkeypatch.setattr(registry, "entry_points", only("broken", "sky"))
    expected = {
        "succeeded": True,
        "platform": "sky",
        "running": True,
        "description": "a lab",
        "directory": "/lab",
        "config": {"provision-sky:place": "lab"},
        "environment": {"PLACE": "lab"},
    }
    for command in ("start", "status", "env"):
        said = provision("lab", command, "--format", "json")
        assert (said.code, said.document) == (0, expected)
    stopped = provision("lab", "stop", "--format", "json")
    assert stopped.document == {"succeeded": True, "platform": "sky", "running": False, "stopped": True}
    assert "export PLACE=lab" in provision("lab", "env").out
    assert "provision-sky:place lab" in provision("lab", "status").out


def test_without_a_lab_a_broken_plugin_is_what_is_said(provision, site, monkeypatch):
    install(site, "broken", "import no_such_package\n")
    monkeypatch.setattr(registry, "entry_points", only("broken"))
    said = provision("lab", "status")
    assert (said.code, "plugin 'broken'" in said.err) == (1, True)
    registry.load.cache_clear()
    monkeypatch.setattr(registry, "entry_points", only("memory"))
    assert "no installed plugin has a lab" in provision("lab", "status").err
    assert "the plugin 'memory' has no lab" in provision("lab", "status", "--platform", "memory").err


def only(*names, real=registry.entry_points):
    """`entry_points` with the plugins of these names alone."""
    return lambda group: [entry for entry in real(group=group) if entry.name in names]


# show


def test_a_plugin_is_shown_on_80_columns(provision):
    said = provision("plugin", "show", "memory")
    assert said.code == 0
    assert max(len(line) for line in said.out.splitlines()) <= 80
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert "traffic enforced enforced no evidence" in lines
    assert "deny refused downgraded the in-memory platform knows no" in lines
    assert "compute:Server" in lines
    assert "provision-memory:region string, default here" in lines
    unknown = provision("plugin", "show", "memroy")
    assert (unknown.code, "did you mean 'memory'?" in unknown.err) == (1, True)


def test_a_plugin_is_shown_as_a_document(provision):
    shown = provision("plugin", "show", "memory", "--format", "json").document
    assert {"provision-memory:store", "provision-memory:token"} <= {item["name"] for item in shown["configuration"]}
    assert {item["name"] for item in shown["configuration"] if item["secret"]} == {"provision-memory:token"}
    assert shown["capabilities"] == {"live": False, "facts": {}}
    policies = {item["kind"]: item for item in shown["policies"]}
    assert len(policies) >= 16
    assert (policies["traffic"]["required"], policies["traffic"]["preferred"]) == ("enforced", "enforced")
    assert (policies["spread"]["required"], policies["spread"]["preferred"]) == ("refused", "downgraded")
    assert policies["spread"]["reason"]
    server = next(item for item in shown["resource_types"] if item["token"] == "provision-memory:compute:Server")
    inputs = {item["name"]: item for item in server["inputs"]}
    assert inputs["image"]["change"] == "destroys data"
    assert inputs["cpus"]["change"] == "restart"
    assert inputs["name"]["change"] == "replace"
    assert inputs["labels"]["change"] == "in place"
    assert inputs["password"]["secret"]
    network = next(item for item in shown["resource_types"] if item["token"] == "provision-memory:network:Network")
    assert {item["change"] for item in network["inputs"]} == {"replace"}, "it has no update"


def test_a_plugin_is_shown_as_markdown(provision):
    said = provision("plugin", "show", "memory", "--format", "markdown").out
    assert said.startswith("# memory 0.1.0\n")
    assert "\n| policy | required | preferred | evidence, or why not |\n|---|---|---|---|\n" in said
    assert "\n| `traffic` | enforced | enforced | no evidence |\n" in said
    assert "\n| &nbsp;&nbsp;`deny` | refused | downgraded | the in-memory" in said
    assert "\n- `compute:Server`: " in said


def test_one_type_is_shown_with_its_fields(provision):
    said = provision("plugin", "show", "memory", "--type", "compute:Server")
    text = " ".join(said.out.split())
    assert "can: create, read (refresh, import), update, delete" in text
    assert "image string, required, destroys data What it boots from." in text
    assert "stackId string, required, in place, given by the framework" in text
    assert "address string, known after create, and after a change of nics" in text
    assert " Nic A network interface. network string, required Name of the network." in text
    full = provision("plugin", "show", "memory", "--type", "provision-memory:compute:Server", "--format", "json")
    assert full.document["token"] == "provision-memory:compute:Server"
    wrong = provision("plugin", "show", "memory", "--type", "compute:Sever")
    assert (wrong.code, "did you mean 'compute:Server'?" in wrong.err) == (1, True)


def test_a_live_platform_is_asked(provision):
    shown = provision("plugin", "show", "memory", "--live", "--config", "region=there", "--format", "json").document
    assert shown["capabilities"] == {"live": True, "facts": {"region": "there"}}
    assert "Policies on the platform that answered" in provision("plugin", "show", "memory", "--live").out
    refused = provision("plugin", "show", "memory", "--live", "--config", "token=wrong")
    assert (refused.code, "the in-memory platform does not answer" in refused.err) == (1, True)
    unknown = provision("plugin", "show", "memory", "--live", "--config", "regoin=there")
    assert (unknown.code, "did you mean 'region'?" in unknown.err) == (1, True)
    assert "add --live" in provision("plugin", "show", "memory", "--config", "region=there").err
    assert "write --config KEY=VALUE" in provision("plugin", "show", "memory", "--live", "--config", "region").err


def test_the_best_that_a_platform_can_do_is_what_is_shown_without_asking_it(provision, site):
    able = "Support(True, evidence=frozenset({Evidence.PROBED, Evidence.TRANSLATED})) if capabilities.facts else"
    code = GOOD.replace('return unsupported("it does', f'return {able} unsupported("it does')
    install(site, "sky", code)
    install(
        site, "wide", code + "\n    def best_capabilities(self):\n        return Capabilities(self.name, {'x': 1})\n"
    )
    poor = provision("plugin", "show", "sky", "--format", "json").document["policies"]
    assert {policy["required"] for policy in poor} == {"refused"}
    rich = provision("plugin", "show", "wide", "--format", "json").document["policies"]
    assert {policy["required"] for policy in rich} == {"enforced"}
    assert rich[0]["evidence"] == ["translated", "probed"]
    assert rich[0]["lacking_evidence"] == ["accepted", "effective"]


def test_a_plugin_that_fails_on_a_question_is_shown_with_the_failure(provision, site):
    install(site, "sky", GOOD.replace("return unsupported", "1 / 0\n        return unsupported"))
    said = provision("plugin", "show", "sky")
    assert said.code == 0
    assert "the plugin fails on it: ZeroDivisionError" in " ".join(said.out.split())


def test_a_page_wraps_at_any_width_and_escapes_in_markdown():
    table = Table(("a", "b"), [("x", "one | two " * 20), ("y" * 40, "long")])
    page = Page("title", ["text " * 40], [Section("part", [table, Entry("term", "beside", ("below " * 30,)), "end"])])
    for width in (44, 80, 110):
        assert max(len(click.unstyle(line)) for line in as_text(page, width)) <= width
    assert "one \\| two" in "\n".join(as_markdown(page))


# new


@pytest.mark.parametrize(
    "name", ["Sky", "sky_high", "1sky", "sky-", "-sky", "sky--high", "s" * 41, "sky.high", "", "å"]
)
def test_a_name_that_no_platform_can_have_is_refused(provision, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    said = provision("plugin", "new", "--", name)
    assert (said.code, said.out) == (1, "")
    assert f"'{name}' cannot be the name of a platform\n  fix: write lower-case letters" in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_is_refused(provision, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "a plugin called 'memory' is installed already (provision)" in provision("plugin", "new", "memory").err
    assert "a platform cannot be called 'any'" in provision("plugin", "new", "any").err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_left_alone(provision, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "provision-sky").mkdir()
    (tmp_path / "provision-sky/mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for words in (["sky"], ["sky", "--directory", "provision-sky/mine/below"]):
        said = provision("plugin", "new", *words)
        assert said.code == 1
        assert "fix: choose another" in said.err
    assert (tmp_path / "provision-sky/mine").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "provision-sky"]


@pytest.mark.parametrize("there", [True, False])
def test_a_distribution_is_made_whole_and_what_to_do_next_is_said(provision, tmp_path, monkeypatch, there):
    monkeypatch.chdir(tmp_path)
    if there:
        (tmp_path / "plug").mkdir()
    said = provision("plugin", "new", "sky-high", "--directory", "plug")
    assert (said.code, said.err) == (0, "")
    assert "cd plug\n" in said.out
    assert "pip install -e .[test]" in said.out
    assert [path.name for path in tmp_path.iterdir()] == ["plug"]
    made = {str(path.relative_to(tmp_path / "plug")) for path in (tmp_path / "plug").rglob("*") if path.is_file()}
    assert made >= {
        ".github/workflows/test.yml",
        ".gitignore",
        "CHANGELOG.md",
        "README.md",
        "example/Pulumi.yaml",
        "example/stack.yaml",
        "provision_sky_high/machine.py",
        "provision_sky_high/provider.py",
        "provision_sky_high/py.typed",
        "pyproject.toml",
        "tests/test_conformance.py",
        "tests/test_translate.py",
    }
    for path in made:
        text = (tmp_path / "plug" / path).read_text()
        assert not re.search("@[a-z]+@", text), path
        assert "TODO" not in text


def test_nothing_half_made_is_left_when_the_disk_is_full(provision, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = []
    real = Path.write_text

    def write_text(path, text, *given, **named):
        written.append(path)
        if len(written) == 5:
            raise OSError(28, "No space left on device")
        return real(path, text, *given, **named)

    monkeypatch.setattr(Path, "write_text", write_text)
    said = provision("plugin", "new", "sky")
    assert said.code == 1
    assert "provision-sky cannot be made: No space left on device" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "sky", LONGEST])
def test_what_is_made_is_formatted_and_clean_whatever_the_name(tmp_path, name):
    making.make(name, tmp_path / "plug")
    for words in (["format", "--check"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--no-cache", tmp_path / "plug"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


def test_a_resource_type_with_its_whole_life_takes_40_lines(tmp_path):
    making.make("sky", tmp_path / "plug")
    code = lines_of_code(tmp_path / "plug/provision_sky/machine.py")
    assert 20 < len(code) <= 40, "\n".join(code)
    text = "\n".join(code)
    assert [name for name in ("create", "read", "update", "delete") if f"def {name}(" not in text] == []


def lines_of_code(path):
    """The lines of a module that hold code: no imports, docstrings, comments or blank lines."""
    import ast

    text = path.read_text()
    tree = ast.parse(text)
    left_out = set()
    for node in ast.walk(tree):
        docstring = (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        )
        if docstring or isinstance(node, ast.Import | ast.ImportFrom):
            left_out |= set(range(node.lineno, node.end_lineno + 1))
    return [
        line
        for number, line in enumerate(text.splitlines(), 1)
        if number not in left_out and line.strip() and not line.strip().startswith("#")
    ]


@pytest.mark.parametrize(
    ("release", "fits"),
    [("0.1.0", ">=0.1.0,<0.2"), ("1.4.2", ">=1.4.2,<2"), ("0.3.0.dev1", ">=0.3.0.dev1,<0.4"), ("2.0", ">=2.0,<3")],
)
def test_dependencies_fit_the_release_that_the_plugin_was_made_with(release, fits):
    assert making.compatible(release) == fits


def test_wheels_hold_the_template(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    template = ROOT / "provision/cli/templates"
    wanted = {str(path.relative_to(ROOT)) for path in template.rglob("*") if path.is_file()}
    assert len(wanted) >= 15
    assert wanted <= set(zipfile.ZipFile(wheel).namelist())


# check

SUITE = """
from provision.testing import ConformanceSuite
from provision_NAME import Plugin

class Suite(ConformanceSuite):
    provider = Plugin
"""


def test_a_plugin_without_a_suite_is_checked_as_far_as_that_goes(provision, site):
    install(site, "sky")
    said = provision("plugin", "check", "sky")
    assert said.code == 0, said.out
    assert "'sky' brings no conformance suite" in said.err
    assert '[project.entry-points."provision.conformance"] sky = "module:Suite"' in said.err
    assert "ok      plugin-interface" in said.out
    assert said.out.splitlines()[-1].startswith("sky: 5 passed, 0 failed in ")


@pytest.mark.parametrize(
    ("code", "check", "seen"),
    [
        (GOOD.replace("'''A platform that does nothing.'''", ""), "plugin-docs", "the provider has no docstring"),
        (GOOD.replace('Field(description="Where.")', "Field()"), "plugin-docs", "nothing is said of config.place"),
        (GOOD.replace("return unsup", "1 / 0\n        return unsup"), "plugin-answers", "ZeroDivisionError"),
        (GOOD.replace('"it does nothing", "remove it"', '""'), "plugin-answers", "without a reason"),
        (
            GOOD.replace("def supports", "asked = 0\n    def supports").replace(
                'return unsupported("it', 'type(self).asked += 1\n        return unsupported(f"{self.asked} it'
            ),
            "plugin-answers",
            "differently when it is asked again",
        ),
        (
            GOOD.replace("'''Nothing much.'''", "model_config = {'extra': 'ignore'}"),
            "plugin-config",
            "takes settings that it does not know",
        ),
        (
            GOOD + "\n    def builtin_images(self):\n        return ('a', 'a')\n",
            "plugin-interface",
            "names an image twice",
        ),
        (
            GOOD.replace("def supports", "def best(self):\n        pass\n\n    def supports").replace(
                "unsupported(", "str("
            ).replace('"remove it"', '"utf-8"').replace('"it does nothing"', 'b"x"'),
            "plugin-answers",
            "does not answer with a `Support`",
        ),
    ],
)  # fmt: skip
def test_what_a_plugin_says_of_itself_must_be_complete(provision, site, code, check, seen):
    install(site, "sky", code)
    said = provision("plugin", "check", "sky", "--format", "json")
    assert said.code == 1
    failed = {item["name"]: item["message"] for item in said.document["checks"] if item["outcome"] == "failed"}
    assert list(failed) == [check]
    assert seen in failed[check]


def test_single_checks_can_be_chosen(provision, site):
    install(site, "sky")
    said = provision("plugin", "check", "sky", "--only", "plugin-d*", "--format", "json")
    assert [item["name"] for item in said.document["checks"]] == ["plugin-docs"]
    wrong = provision("plugin", "check", "sky", "--only", "nothing")
    assert (wrong.code, "no check is called 'nothing'\n  fix: checks: plugin-interface, " in wrong.err) == (1, True)
    assert "--only '*docs*'" in provision("plugin", "check", "sky", "--only", "docs").err
    assert "did you mean 'plugin-docs'?" in provision("plugin", "check", "sky", "--only", "plugin-dosc").err


@pytest.mark.parametrize(
    ("suite", "why"),
    [
        ("import no_such_package\n", "cannot be imported: ModuleNotFoundError"),
        ("Suite = 3\n", "is no ConformanceSuite"),
        (SUITE.replace("provider = Plugin", "pass"), "`provider` must be that plugin"),
        (
            SUITE.replace("from provision_NAME import", "from provision.testing import MemoryProvider as"),
            "`provider` must be that plugin",
        ),
    ],
)
def test_a_suite_that_cannot_be_used_is_explained(provision, site, suite, why):
    install(site, "sky", suite=suite)
    said = provision("plugin", "check", "sky")
    assert said.code == 1
    assert "the conformance suite of 'sky' (provision_sky_suite:Suite)" in said.err
    assert why in said.err


def test_the_results_are_a_junit_document(provision, site):
    install(site, "sky", GOOD.replace('"it does nothing", "remove it"', '""'))
    said = provision("plugin", "check", "sky", "--format", "junit")
    assert said.code == 1
    (suite,) = ElementTree.fromstring(said.out)
    assert suite.attrib["name"] == "provision-sky"
    assert (suite.attrib["tests"], suite.attrib["failures"], suite.attrib["skipped"]) == ("5", "1", "0")
    failures = {case.attrib["name"]: case.find("failure") for case in suite}
    assert [name for name, failure in failures.items() if failure is not None] == ["plugin-answers"]
    assert "without a reason" in failures["plugin-answers"].text
