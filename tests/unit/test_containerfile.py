"""The definition of the container image holds what the documentation says of it, without being built."""

import re
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath

import pytest
from containerfile import context_files, exec_form, filled, left_out, mounts, pairs, parse
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "container"
FILE = FOLDER / "Containerfile"
_PIN = re.compile(r"^([\w.-]+)==(\S+)(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
NOT_NEEDED = {"debugpy", "setuptools"}
"""Demanded by dependencies of ours for debuggers of Pulumi programs and for building packages."""


def pins(file: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Each package with its version and the digests of its files."""
    return {
        plain(name): (version, frozenset(re.findall(r"sha256:[0-9a-f]{64}", rest)))
        for name, version, rest in _PIN.findall(file.read_text())
    }


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(*names: str) -> set[str]:
    """All that these distributions need, as their metadata say it."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        for text in distribution(waiting.pop()).requires or []:
            one = Requirement(text)
            if plain(one.name) not in found and (one.marker is None or one.marker.evaluate({"extra": ""})):
                found.add(plain(one.name))
                waiting.append(one.name)
    return found


@pytest.mark.parametrize("name", ["build.lock", "requirements.lock"])
def test_what_the_image_installs_is_what_was_tested(name: str) -> None:
    tested, installed = pins(ROOT / "requirements.lock"), pins(FOLDER / name)
    assert installed
    assert all(digests for _, digests in installed.values())
    assert {one: tested.get(one) for one in installed} == installed, (
        "run the two commands that the Containerfile names where it copies these files"
    )


def test_the_image_installs_what_the_distributions_need_and_nothing_else() -> None:
    own = ("provision", "provision-aws", "provision-libvirt", "provision-openstack")
    assert set(pins(FOLDER / "requirements.lock")) == needed(*own) - NOT_NEEDED - set(own)


def test_every_package_is_installed_by_its_digest_or_from_what_was_built() -> None:
    calls = [
        call.strip()
        for stage in parse(FILE.read_text(), {})
        for step in stage.steps
        if step.word == "RUN"
        for call in step.rest.split("&&")
        if "pip" in call and (" install " in call or " wheel " in call) and "apt-get" not in call
    ]
    assert len(calls) == 4
    for call in calls:
        assert "--require-hashes" in call or "--no-deps" in call, call
        assert "--require-hashes" in call or "--no-index" in call or "--no-build-isolation" in call, call


def test_the_last_stage_runs_as_a_user_and_takes_only_what_was_made() -> None:
    build, last = parse(FILE.read_text(), {"BASE": "example"})
    assert (build.base, last.base, last.name) == ("example", "example", None)
    assert [step.rest for step in last.steps if step.word == "USER"] == ["1000:1000"]
    assert [exec_form(step.rest) for step in last.steps if step.word == "ENTRYPOINT"] == [("provision",)]
    assert [(step.flag("from"), step.rest) for step in last.steps if step.word == "COPY"] == [
        ("build", "/opt/provision /opt/provision")
    ]
    assert [step.rest.partition("=")[2] for step in last.steps if step.word == "ARG"] == [
        distribution("provision").version
    ]


def test_the_builder_is_sent_all_that_is_copied_and_nothing_else() -> None:
    ignored = left_out(FILE.with_name("Containerfile.dockerignore").read_text())
    (build, _) = parse(FILE.read_text(), {})
    copied = [one for step in build.steps if step.word == "COPY" for one in step.rest.split()[:-1]]
    files = {str(path.relative_to(ROOT)) for one in copied for path, _ in context_files(ROOT, one, ignored)}
    assert {"pyproject.toml", "provision/py.typed", "provision/host/engine/module/go.sum"} <= files
    assert not [path for path in files if "__pycache__" in path]
    for path in (".git/HEAD", ".venv/bin/python", "stacks/01-hello/stack.yaml", "provision/__pycache__/x.pyc"):
        assert ignored(PurePosixPath(path)), path


# The reading of the format


def test_steps_are_read_with_their_flags_and_joined_lines() -> None:
    text = """\
# a comment
ARG BASE=one
FROM ${BASE} AS first
RUN --mount=type=cache,target=/a --mount=type=cache,target=/b,sharing=locked \\
    # between lines
    true \\
    && echo "$HOME"

FROM $BASE
COPY --from=first /a b/ /c/
"""
    first, second = parse(text, {"BASE": "two"})
    assert (first.base, first.name, second.base, second.name) == ("two", "first", "two", None)
    (run,) = first.steps
    assert (run.line, run.rest) == (4, 'true && echo "$HOME"')
    assert [mount["target"] for mount in mounts(run)] == ["/a", "/b"]
    (copy,) = second.steps
    assert (copy.flag("from"), copy.rest) == ("first", "/a b/ /c/")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("RUN true\n", "line 1: RUN before the first FROM"),
        ("FROM a\n\nADD x /y\n", "line 3: ADD is not known"),
        ("FROM a\nCOPY --chown=1 x /y\n", "line 2: a flag that is not known"),
        ("FROM a BY b\n", "line 1: FROM a BY b"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(text, {})


def test_variables_are_filled_as_the_format_has_it() -> None:
    assert filled("$A/${B}/$C", {"A": "1", "B": "2"}) == "1/2/"
    assert pairs('A=1 B="two words"') == {"A": "1", "B": "two words"}


@pytest.mark.parametrize("text", ["!provision\n", "*\nprovision/*.py\n"])
def test_ignore_files_of_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"begins with|not known"):
        left_out(text)
