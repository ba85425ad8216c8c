"""What a pipeline writes on a forge: one comment, one issue, never a second one; over HTTP, to a forge in memory."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from click.testing import CliRunner

from provision.cli.commands.ci import command
from provision.cli.drifting import Finding, Kind, Report, markdown
from provision.cli.pipelines import shortened
from provision.errors import EnvironmentProblem, PlatformError, UserError

TOKEN = "t0ken-of-the-run"
OWN = 99
PAGE = "<!-- provision preview shop/dev -->\n## What `shop` becomes\n"
DRIFT = markdown(Report("shop", "dev", (Finding(Kind.GONE, "machines/web/server", "it is gone"),), 3))
NO_DRIFT = markdown(Report("shop", "dev", (), 4))


class Forge(BaseHTTPRequestHandler):
    """Lists of things with a body, in pages, as both forges have them."""

    kept: ClassVar[dict[str, list[dict[str, Any]]]]
    calls: ClassVar[list[tuple[str, str]]]
    passing: ClassVar[list[str]]
    refuse = 0

    def answer(self, code: int, found: Any) -> None:
        data = json.dumps(found).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self) -> dict[str, Any]:
        return dict(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def permitted(self) -> bool:
        self.calls.append((self.command, self.path.partition("?")[0]))
        if self.command in self.passing:
            self.passing.remove(self.command)
            self.answer(502, {"message": "for a moment"})
            return False
        if (
            TOKEN
            in (
                self.headers.get("PRIVATE-TOKEN"),
                (self.headers.get("Authorization") or "").removeprefix("Bearer "),
            )
            and not self.refuse
        ):
            return True
        self.answer(self.refuse or 401, {"message": "refused"})
        return False

    def do_GET(self) -> None:
        if not self.permitted():
            return
        path, _, query = self.path.partition("?")
        if path == "/user":
            self.answer(200, {"id": OWN})
            return
        asked = dict(item.split("=") for item in query.split("&"))
        page, size = int(asked["page"]), int(asked["per_page"])
        found = [one for one in self.kept.get(path, []) if one.get("state", "open") == "open"]
        self.answer(200, found[(page - 1) * size : page * size])

    def do_POST(self) -> None:
        if not self.permitted():
            return
        made = self.kept.setdefault(self.path, [])
        number = len(made) + 1
        made.append(self.body() | {"id": number, "number": number, "iid": number} | self.seen(number))
        self.answer(201, made[-1])

    def do_PATCH(self) -> None:
        if not self.permitted():
            return
        number = int(self.path.rpartition("/")[2])
        lists = [made for path, made in self.kept.items() if ("comment" in path or "note" in path) == self.of_comment()]
        found = next(one for made in lists for one in made if one["id"] == number)
        change = self.body()
        if change.get("state_event") == "close":
            change["state"] = "closed"
        found.update(change)
        self.answer(200, found)

    do_PUT = do_PATCH

    def of_comment(self) -> bool:
        return "comment" in self.path or "note" in self.path

    def seen(self, number: int) -> dict[str, Any]:
        links = {"html_url": f"https://forge/{number}", "web_url": f"https://forge/{number}"}
        return links | {"user": {"type": "Bot"}, "author_association": "NONE", "author": {"id": OWN}}

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def forge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Forge]]:
    own = type("Own", (Forge,), {"kept": {}, "calls": [], "passing": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), own)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    (tmp_path / "event.json").write_text(json.dumps({"pull_request": {"number": 7}}))
    for name, value in {
        "GITHUB_API_URL": base,
        "GITHUB_REPOSITORY": "team/shop",
        "GITHUB_TOKEN": TOKEN,
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "CI_API_V4_URL": base,
        "CI_PROJECT_ID": "12",
        "CI_PROJECT_URL": "https://forge/team/shop",
        "CI_MERGE_REQUEST_IID": "7",
        "GITLAB_TOKEN": TOKEN,
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    yield own
    server.shutdown()
    thread.join()
    server.server_close()


COMMENTS = {"github": "/repos/team/shop/issues/7/comments", "gitlab": "/projects/12/merge_requests/7/notes"}
ISSUES = {"github": ("/repos/team/shop/issues", "body"), "gitlab": ("/projects/12/issues", "description")}
KINDS = ("github", "gitlab")


def said(*words: Any) -> str:
    result = CliRunner().invoke(command, list(map(str, words)), catch_exceptions=False)
    assert result.exit_code == 0
    return result.output.strip()


def page(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "page.md"
    file.write_text(text)
    return file


@pytest.mark.parametrize("kind", KINDS)
def test_a_comment_is_written_over_and_never_repeated(forge: type[Forge], tmp_path: Path, kind: str) -> None:
    others = [{"body": f"comment of a person {i}", "id": i + 1} for i in range(150)]
    forge.kept[COMMENTS[kind]] = others
    first = said("comment", kind, page(tmp_path, PAGE))
    second = said("comment", kind, page(tmp_path, PAGE + "more\n"))
    assert first == second
    assert [one["body"] for one in forge.kept[COMMENTS[kind]][150:]] == [PAGE + "more\n"]
    said("comment", kind, page(tmp_path, PAGE.replace("/dev", "/prod")))
    assert len(forge.kept[COMMENTS[kind]]) == 152


@pytest.mark.parametrize("kind", KINDS)
def test_a_comment_of_a_stranger_that_begins_alike_is_left_to_them(
    forge: type[Forge], tmp_path: Path, kind: str
) -> None:
    """Else they could change afterwards what a pipeline said."""
    theirs = {"user": {"type": "User"}, "author_association": "CONTRIBUTOR", "author": {"id": 7}}
    forge.kept[COMMENTS[kind]] = [{"body": PAGE + "nothing changes", "id": 1} | theirs]
    for text in (PAGE + "first\n", PAGE + "second\n"):
        said("comment", kind, page(tmp_path, text))
    assert [one["body"] for one in forge.kept[COMMENTS[kind]]] == [PAGE + "nothing changes", PAGE + "second\n"]


@pytest.mark.parametrize("kind", KINDS)
def test_drift_has_one_issue_that_is_closed_when_it_is_gone(forge: type[Forge], tmp_path: Path, kind: str) -> None:
    path, field = ISSUES[kind]
    assert said("issue", kind, page(tmp_path, NO_DRIFT)) == "no drift, and no issue is open"
    said("issue", kind, page(tmp_path, DRIFT))
    said("issue", kind, page(tmp_path, DRIFT.replace("it is gone", "it is still gone")))
    (one,) = forge.kept[path]
    assert (one["title"], one.get("state")) == ("Drift of shop/dev", None)
    assert "still gone" in one[field]
    assert said("issue", kind, page(tmp_path, NO_DRIFT)) == one["html_url"]
    assert one["state"] == "closed"
    said("issue", kind, page(tmp_path, DRIFT))
    assert len(forge.kept[path]) == 2


def test_what_could_not_be_looked_at_does_not_close_the_issue(forge: type[Forge], tmp_path: Path) -> None:
    blind = markdown(Report("shop", "dev", (Finding(Kind.UNSEEN, "isolation", "no answer"),), 4))
    said("issue", "github", page(tmp_path, blind))
    assert len(forge.kept["/repos/team/shop/issues"]) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_is_told_without_the_token(
    forge: type[Forge], tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge.refuse = 403
    with pytest.raises(PlatformError, match="answered 403 to GET") as refused:
        said("comment", kind, page(tmp_path, PAGE))
    assert "right to write" in refused.value.fix
    assert TOKEN not in str(refused.value)
    monkeypatch.delenv("GITHUB_TOKEN" if kind == "github" else "GITLAB_TOKEN")
    with pytest.raises(EnvironmentProblem, match="TOKEN is not set"):
        said("comment", kind, page(tmp_path, PAGE))


def test_a_run_without_a_pull_request_and_a_page_without_mark_are_refused(forge: type[Forge], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not begin with the mark"):
        said("comment", "github", page(tmp_path, "# hello\n"))
    (tmp_path / "event.json").write_text("{}")
    with pytest.raises(EnvironmentProblem, match="for no pull request"):
        said("comment", "github", page(tmp_path, PAGE))
    assert forge.calls == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_fails_for_a_moment_is_tried_again_and_what_would_be_made_twice_is_not(
    forge: type[Forge], tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.cli.pipelines.forge.PAUSES", (0.0, 0.0))
    monkeypatch.setattr(forge, "passing", ["GET", "GET"])
    said("comment", kind, page(tmp_path, PAGE))
    monkeypatch.setattr(forge, "passing", ["PATCH", "PUT"])
    said("comment", kind, page(tmp_path, PAGE + "more\n"))
    assert [one["body"] for one in forge.kept[COMMENTS[kind]]] == [PAGE + "more\n"]
    monkeypatch.setattr(forge, "passing", ["POST"])
    forge.calls.clear()
    with pytest.raises(PlatformError, match="answered 502 to POST"):
        said("comment", kind, page(tmp_path, PAGE.replace("/dev", "/prod")))
    assert [method for method, _ in forge.calls].count("POST") == 1
    monkeypatch.setattr(forge, "passing", ["GET"] * 3)
    with pytest.raises(PlatformError, match="answered 502 to GET"):
        said("comment", kind, page(tmp_path, PAGE))


def test_a_forge_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch, forge: type[Forge], tmp_path: Path) -> None:
    monkeypatch.setattr("provision.cli.pipelines.forge.PAUSES", (0.0,))
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
    with pytest.raises(PlatformError, match="could not be asked"):
        said("comment", "github", page(tmp_path, PAGE))


def test_long_pages_are_cut_at_a_line_and_stay_whole() -> None:
    text = "<!-- provision preview a/b -->\n<details>\n" + "- a line\n" * 10_000
    cut = shortened(text, 65_536)
    assert 60_000 < len(cut) <= 65_536
    assert cut.count("<details>") == cut.count("</details>") == 1
    assert cut.endswith("the whole text is in the log of the pipeline.\n")
    assert shortened("short", 65_536) == "short"


# ---- pipelines


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "shop" / "stacks" / "web"
    folder.mkdir(parents=True)
    (tmp_path / "shop" / ".git").mkdir()
    (folder / "Pulumi.yaml").write_text("name: web\nruntime: provision\n")
    (folder / "stack.yaml").write_text("version: 1\nplatform: memory\n")
    return tmp_path / "shop"


def steps(text: str) -> Iterator[str]:
    """Every shell line of a workflow of GitHub."""
    for job in yaml.safe_load(text)["jobs"].values():
        yield from (step["run"] for step in job["steps"] if "run" in step)


def test_a_workflow_for_github_goes_through_the_stacks_in_order(repository: Path) -> None:
    assert "written" in said("init", "github", "--stacks", "dev,prod", repository / "stacks" / "web")
    text = (repository / ".github" / "workflows" / "provision.yml").read_text()
    workflow = yaml.safe_load(text)
    assert workflow["env"]["DIRECTORY"] == "stacks/web"
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow[True]["push"] == {"branches": ["main"], "paths": ["stacks/web/**"]}
    apply = workflow["jobs"]["apply"]
    assert apply["strategy"] == {"max-parallel": 1, "fail-fast": True, "matrix": {"stack": ["dev", "prod"]}}
    assert apply["concurrency"]["cancel-in-progress"] is False
    lines = "\n".join(steps(text))
    planned, applied = (re.search(pattern, lines) for pattern in (r"--save-plan (\S+)", r"--yes --plan (\S+) --lock"))
    assert planned is not None
    assert applied is not None
    assert planned[1] == applied[1]
    assert planned.start() < applied.start()
    assert not re.search(r"\$\{\{[^}]*(github\.event|head_ref)", lines)  # nothing of a stranger's reaches a shell
    assert "@" not in lines


def test_a_pipeline_for_gitlab_has_a_job_for_every_stack(repository: Path) -> None:
    said("init", "gitlab", "--stacks", "dev,prod", "--branch", "trunk", repository / "stacks" / "web")
    pipeline = yaml.safe_load((repository / ".gitlab-ci.yml").read_text())
    assert pipeline["stages"] == ["review", "dev", "prod", "drift"]
    assert pipeline["apply-prod"]["resource_group"] == "provision-web-prod"
    script = pipeline["apply-prod"]["script"]
    assert [line.partition(" --save")[0].partition(" --plan")[0] for line in script[1:3]] == [
        'provision preview "$DIRECTORY" --stack "$STACK"', 'provision up "$DIRECTORY" --stack "$STACK" --yes',
    ]  # fmt: skip
    assert '"trunk"' in pipeline["apply-dev"]["rules"][0]["if"]


def test_nothing_is_overwritten_and_nothing_half_written(repository: Path) -> None:
    said("init", "generic", repository / "stacks" / "web")
    script = repository / "ci" / "provision.sh"
    assert script.stat().st_mode & 0o111
    script.write_text("mine")
    with pytest.raises(UserError, match="is there already; nothing was written"):
        said("init", "generic", repository / "stacks" / "web")
    assert script.read_text() == "mine"


@pytest.mark.parametrize("stacks", ["", "dev,dev"])
def test_stacks_that_are_none_or_twice_are_refused(repository: Path, stacks: str) -> None:
    with pytest.raises(UserError, match="names no stack, or one twice"):
        said("init", "github", "--stacks", stacks, repository / "stacks" / "web")


@pytest.mark.parametrize(
    ("words", "said_of"),
    [
        (("--stacks", "dev;id"), "stack 'dev;id'"),
        (("--stacks", "org/dev"), "stack 'org/dev'"),
        (("--branch", 'main"]'), "branch 'main\"]'"),
        (("--branch", "$(id)"), r"branch '$(id)'"),
    ],
)
def test_names_that_a_shell_or_forge_would_take_for_more_are_refused(
    repository: Path, words: tuple[str, str], said_of: str
) -> None:
    for kind in ("generic", "github", "gitlab"):
        with pytest.raises(UserError, match=re.escape(said_of)) as refused:
            said("init", kind, *words, repository / "stacks" / "web")
        assert refused.value.fix.startswith("call it otherwise: ")
    assert not (repository / "ci").exists()


def test_a_folder_and_stacks_of_any_name_stay_what_they_are(repository: Path) -> None:
    folder = repository / "stacks" / "my web, 2"
    (repository / "stacks" / "web").rename(folder)
    for kind in ("generic", "github", "gitlab"):
        said("init", kind, "--stacks", "1.0,no", folder)
    workflow = yaml.safe_load((repository / ".github" / "workflows" / "provision.yml").read_text())
    assert workflow["env"]["DIRECTORY"] == "stacks/my web, 2"
    assert workflow["jobs"]["apply"]["strategy"]["matrix"] == {"stack": ["1.0", "no"]}
    pipeline = yaml.safe_load((repository / ".gitlab-ci.yml").read_text())
    assert pipeline["variables"]["DIRECTORY"] == "stacks/my web, 2"
    assert pipeline["stages"] == ["review", "1.0", "no", "drift"]
    assert pipeline["apply-1.0"]["variables"] == {"STACK": "1.0"}
    called = subprocess.run(
        ["bash", "-c", 'provision() { printf "%s\\n" "$@"; }; export -f provision; bash ci/provision.sh drift no'],
        cwd=repository, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert called.stdout.splitlines()[:4] == ["drift", "stacks/my web, 2", "--stack", "no"], called


# ---- what a pipeline does at night, with a stand-in for the look itself

LOOK = 'provision() { if [ "$1" = drift ]; then cat "$FOUND"; return "$CODE"; fi; "$PROVISION" "$@"; }\n'


def night(kind: str, repository: Path, found: str, code: int) -> int:
    """Run the generated job for drift, after whose look there is `found`; gives how it ends."""
    pipeline = yaml.safe_load(
        next(repository.glob(".gitlab-ci.yml" if kind == "gitlab" else ".github/**/*.yml")).read_text()
    )
    if kind == "gitlab":
        scripts = ["\n".join(pipeline["drift"]["script"])]
    else:
        named = {step.get("name"): step for step in pipeline["jobs"]["drift"]["steps"]}
        assert "!cancelled()" in named["issue"]["if"]  # also after drift, by which the step before it fails
        scripts = [named["drift"]["run"], named["issue"]["run"]]
    (repository / "found.md").write_text(found)
    env = os.environ | {
        "FOUND": "found.md", "CODE": str(code), "STACK": "dev", "DIRECTORY": "stacks/web",
        "PROVISION": str(Path(sys.executable).with_name("provision")),
    }  # fmt: skip
    codes = [
        subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", LOOK + script], cwd=repository, env=env, timeout=300
        ).returncode
        for script in scripts
    ]
    return max(codes)


@pytest.mark.parametrize("kind", KINDS)
def test_the_nightly_job_updates_the_one_issue_and_closes_it(forge: type[Forge], repository: Path, kind: str) -> None:
    path, field = ISSUES[kind]
    said("init", kind, "--stacks", "dev", repository / "stacks" / "web")
    said("issue", kind, page(repository, DRIFT))
    assert night(kind, repository, DRIFT.replace("it is gone", "it is still gone"), 3) == 3
    (one,) = forge.kept[path]
    assert "still gone" in one[field]
    left_alone = (Finding(Kind.CHANGED, "machines/web/server", "it is off"),)
    assert night(kind, repository, markdown(Report("shop", "dev", (), 4, left_alone)), 0) == 0
    assert one["state"] == "closed"
