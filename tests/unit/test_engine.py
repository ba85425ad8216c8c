import hashlib
import http.server
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPMessage
from pathlib import Path

import pytest

from provision.errors import EnvironmentProblem
from provision.host.engine import (
    ENGINE_VERSION,
    MINIMUM_VERSION,
    build,
    download,
    engine_cache,
    engine_environment,
    ensure_engine,
    find,
    find_engine,
    install,
    remembered,
    remembering,
    survey_engines,
)
from provision.host.engine.download import DownloadUnavailable, ReleaseSite, archive_name
from provision.host.engine.install import RECIPES, _Recipe
from provision.host.engine.places import installed_path, pulumi_home
from provision.host.engine.release import parse_version, refusal

SYSTEM_PATH = "/usr/bin:/bin"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment in which there is no engine and no Go, with everything below the test's folder."""
    (tmp_path / "bin").mkdir()
    return {
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PULUMI_HOME": str(tmp_path / "pulumi-home"),
        "PATH": f"{tmp_path / 'bin'}:{SYSTEM_PATH}",
    }


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def pulumi(path: Path, version: str = ENGINE_VERSION) -> Path:
    return script(path, f"echo v{version}")


def makes(version: str = ENGINE_VERSION, name: str = "test") -> _Recipe:
    return _Recipe(name, lambda into, progress, env, lock: pulumi(into / "pulumi", version))


# --- versions ---


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v3.259.0", (3, 259, 0)),
        ("3.260.1-alpha.1+abc", (3, 260, 1)),
        (" v3.9.10\n", (3, 9, 10)),
        ("3.259", None),
        ("", None),
        ("not found", None),
    ],
)
def test_a_version_is_read_or_refused(text: str, version: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == version


def test_versions_are_compared_as_numbers_and_within_one_major_version() -> None:
    assert refusal("v3.1000.0") is None
    assert refusal(f"v{MINIMUM_VERSION}") is None
    assert refusal("v3.99.0") == f"it is version v3.99.0, older than {MINIMUM_VERSION}"
    assert refusal("v4.0.0") == "it is version v4.0.0, but major version 3 is needed"
    assert refusal("hello") == "it reports 'hello', which is no version"


def test_the_pinned_release_is_one_that_is_accepted_and_the_one_that_is_built() -> None:
    assert refusal(ENGINE_VERSION) is None
    module = build._module_file("go.mod")
    for part in ("pkg", "sdk"):
        assert f"require github.com/pulumi/pulumi/{part}/v3 v{ENGINE_VERSION}\n" in module
        assert f"github.com/pulumi/pulumi/{part}/v3 v{ENGINE_VERSION} h1:" in build._module_file("go.sum")


# --- finding ---


def test_an_engine_is_looked_for_on_path_then_in_the_pulumi_home_then_in_the_cache(
    env: dict[str, str], tmp_path: Path
) -> None:
    assert find_engine(env) is None
    places = (
        ("cache", installed_path(env)),
        ("pulumi-home", pulumi_home(env) / "bin" / "pulumi"),
        ("path", tmp_path / "bin" / "pulumi"),
    )
    for source, path in places:
        pulumi(path)
        found = find_engine(env)
        assert found is not None
        assert (found.source, found.path, found.version) == (source, path, ENGINE_VERSION)
        assert found.root == path.parent.parent


def test_candidates_that_do_not_serve_are_passed_over_and_named(env: dict[str, str], tmp_path: Path) -> None:
    bad = {
        "a": script(tmp_path / "a" / "pulumi", "echo oh no >&2; exit 3"),
        "b": pulumi(tmp_path / "b" / "pulumi", "3.100.0"),
        "c": tmp_path / "c" / "pulumi",
        "d": tmp_path / "d" / "pulumi",
    }
    bad["c"].parent.mkdir()
    bad["c"].write_text("no program")
    bad["d"].parent.mkdir()
    bad["d"].write_bytes(b"\x7fELF rubbish")
    bad["d"].chmod(0o755)
    good = pulumi(pulumi_home(env) / "bin" / "pulumi")
    env["PATH"] = ":".join([*(str(path.parent) for path in bad.values()), env["PATH"]])
    survey = survey_engines(env)
    assert survey.engine is not None
    assert survey.engine.path == good
    assert [(finding.path, finding.problem) for finding in survey.findings] == [
        (bad["a"], "`pulumi version` failed with exit code 3: oh no"),
        (bad["b"], f"it is version v3.100.0, older than {MINIMUM_VERSION}"),
        (bad["c"], "it cannot be run: Permission denied"),
        (bad["d"], "it cannot be run: Exec format error"),
    ]


def test_an_engine_that_answered_is_not_asked_again_until_its_file_changes(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    answers = {"3.259.0": None, "3.100.0": "it is too old"}
    version = "3.259.0"

    def probe(path: Path, env: object) -> tuple[str, str | None]:
        asked.append(path)
        return (version, None) if answers[version] is None else ("", answers[version])

    monkeypatch.setattr(remembering, "probe", probe)
    program = tmp_path / "bin" / "pulumi"
    program.write_bytes(b"\x7fELF one")
    for _ in range(2):
        found = find_engine(env, remembered)
        assert found is not None
        assert found.version == "3.259.0"
    assert asked == [program]
    program.write_bytes(b"\x7fELF another")
    version = "3.100.0"
    for _ in range(2):  # what does not serve is asked again each time: it may be mended
        assert find_engine(env, remembered) is None
    assert asked == [program] * 3
    version = "3.259.0"
    pulumi(program)  # a script may start another engine tomorrow
    for _ in range(2):
        assert find_engine(env, remembered) is not None
    assert asked == [program] * 5


def test_an_answer_that_a_newer_provision_does_not_accept_is_asked_for_again(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembering, "probe", lambda path, env: ("3.259.0", None))
    (tmp_path / "bin" / "pulumi").write_bytes(b"\x7fELF")
    assert find_engine(env, remembered) is not None
    monkeypatch.setattr(remembering, "probe", lambda path, env: ("", "it is too old"))
    assert find_engine(env, remembered) is not None
    monkeypatch.setattr(remembering, "refusal", lambda version: "it is too old")
    assert find_engine(env, remembered) is None


def test_an_engine_that_hangs_is_given_up(env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "PROBE_SECONDS", 0.3)
    script(tmp_path / "bin" / "pulumi", "exec sleep 30")
    started = time.monotonic()
    (finding,) = survey_engines(env).findings
    assert time.monotonic() - started < 20
    assert "did not answer" in finding.problem


def test_the_current_folder_never_chooses_the_engine(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulumi(tmp_path / "project" / "pulumi")
    monkeypatch.chdir(tmp_path / "project")
    env["PATH"] = f":.:{SYSTEM_PATH}:"
    assert find_engine(env) is None


def test_one_file_under_several_names_is_tried_once(env: dict[str, str], tmp_path: Path) -> None:
    broken = script(tmp_path / "bin" / "pulumi", "exit 1")
    (tmp_path / "link").symlink_to(broken.parent)
    env["PATH"] = f"{tmp_path / 'link'}:{env['PATH']}"
    assert len(survey_engines(env).findings) == 1


def test_the_version_question_sees_no_credentials(env: dict[str, str], tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    script(tmp_path / "bin" / "pulumi", f"env > {seen}; echo v{ENGINE_VERSION}")
    secrets = {"AWS_SECRET_ACCESS_KEY": "s3cret", "PULUMI_ACCESS_TOKEN": "s3cret", "OS_PASSWORD": "s3cret"}
    assert find_engine(env | secrets) is not None
    assert "s3cret" not in seen.read_text()
    assert f"HOME={env['HOME']}\n" in seen.read_text()


def test_a_relative_cache_folder_is_ignored_as_the_xdg_specification_says() -> None:
    assert engine_cache({"HOME": "/h", "XDG_CACHE_HOME": "x"}) == Path("/h/.cache/provision/engine")
    assert engine_cache({"HOME": "/h", "XDG_CACHE_HOME": "/x"}) == Path("/x/provision/engine")


# --- the environment of engine runs ---


def test_the_engine_asks_nobody_unless_the_user_wants_it_to() -> None:
    base = {"PATH": "/usr/bin:/e", "HOME": "/h", "AWS_PROFILE": "me"}
    made = engine_environment(base, Path("/e/pulumi"))
    assert made["PATH"] == "/e:/usr/bin"
    assert made["PULUMI_HOME"] == "/h/.pulumi"
    assert made["AWS_PROFILE"] == "me"
    for name in ("SKIP_UPDATE_CHECK", "DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "DISABLE_REGISTRY_RESOLVE"):
        assert made[f"PULUMI_{name}"] == "true"
    chosen = engine_environment(base | {"PULUMI_DISABLE_REGISTRY_RESOLVE": "false", "PULUMI_HOME": "/p"})
    assert chosen["PULUMI_DISABLE_REGISTRY_RESOLVE"] == "false"
    assert chosen["PULUMI_HOME"] == "/p"
    assert base == {"PATH": "/usr/bin:/e", "HOME": "/h", "AWS_PROFILE": "me"}


def test_operations_wait_for_a_platform_and_not_for_processors_unless_the_user_wants_fewer() -> None:
    base = {"PATH": "/usr/bin", "HOME": "/h"}
    assert int(engine_environment(base)["PULUMI_PARALLEL"]) >= 16
    chosen = engine_environment(base | {"PULUMI_PARALLEL": "3", "GOGC": "50"})
    assert (chosen["PULUMI_PARALLEL"], chosen["GOGC"]) == ("3", "50")


# --- the official download ---


class Site:
    """A release site on this machine, whose answers the test may spoil."""

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.cut: int | None = None
        self.delay = 0.0
        self.redirect = ""
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests.append(self.path)
                time.sleep(site.delay)
                name = self.path.rpartition("/")[2]
                if site.redirect:
                    self.send_response(302)
                    self.send_header("Location", site.redirect)
                    self.end_headers()
                elif name not in site.files:
                    self.send_error(404)
                else:
                    body = site.files[name]
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body[: site.cut] if name.endswith("gz") else body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/releases"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def publish(self, version: str = ENGINE_VERSION, member: str = "pulumi/pulumi") -> None:
        packed, program = io.BytesIO(), f"#!/bin/sh\necho v{version}\n".encode()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name in (member, "pulumi/pulumi-language-go"):
                info = tarfile.TarInfo(name)
                info.size = len(program)
                archive.addfile(info, io.BytesIO(program))
        self.files[archive_name()] = packed.getvalue()
        self.sums({archive_name(): hashlib.sha256(packed.getvalue()).hexdigest()})

    def sums(self, sums: dict[str, str]) -> None:
        text = "".join(f"{sum_}  {name}\n" for name, sum_ in sums.items())
        self.files[f"pulumi-{ENGINE_VERSION}-checksums.txt"] = text.encode()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.publish()
    yield made
    made.server.shutdown()
    made.server.server_close()


def from_site(*sites: Site | str) -> tuple[_Recipe, ...]:
    urls = [site if isinstance(site, str) else site.url for site in sites]
    chosen = tuple(ReleaseSite(url, url) for url in urls)
    return (
        _Recipe(
            "official download", lambda into, progress, env, lock: download.download_engine(into, progress, chosen)
        ),
    )


def left_in_cache(env: dict[str, str]) -> list[str]:
    return sorted(entry.name for entry in engine_cache(env).iterdir())


def test_the_download_is_installed_once_and_found_again(env: dict[str, str], site: Site) -> None:
    lines: list[str] = []
    engine = ensure_engine(lines.append, env, from_site(site))
    assert (engine.path, engine.version, engine.source) == (installed_path(env), ENGINE_VERSION, "cache")
    assert left_in_cache(env) == [ENGINE_VERSION, "install.lock"]
    assert sorted(path.name for path in installed_path(env).parent.iterdir()) == ["pulumi"]
    asked = len(site.requests)
    assert ensure_engine(lines.append, env, from_site(site)) == engine
    assert len(site.requests) == asked
    assert lines[0] == f"downloading the Pulumi engine {ENGINE_VERSION} from {site.url}/{archive_name()}"
    assert lines[-1].startswith(f"the Pulumi engine {ENGINE_VERSION} is installed (")


def wrong_sum(site: Site) -> None:
    site.sums({archive_name(): "0" * 64})


def not_listed(site: Site) -> None:
    site.sums({"another.tar.gz": "0" * 64})


def broken_off(site: Site) -> None:
    site.cut = 50


def no_archive(site: Site) -> None:
    site.files.pop(archive_name())


def no_engine_inside(site: Site) -> None:
    site.publish(member="pulumi/readme")


def other_release(site: Site) -> None:
    site.publish("3.258.0")


def no_archive_but_text(site: Site) -> None:
    site.files[archive_name()] = b"<html>sign in to the hotel's network</html>"
    site.sums({archive_name(): hashlib.sha256(site.files[archive_name()]).hexdigest()})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (wrong_sum, "does not have the published checksum"),
        (not_listed, "does not list pulumi-v"),
        (broken_off, "broke off"),
        (no_archive, "answered 404"),
        (no_engine_inside, "cannot be unpacked"),
        (no_archive_but_text, "cannot be unpacked"),
        (other_release, "it reports version 3.258.0 instead of"),
    ],
)
def test_a_download_that_is_not_what_was_published_never_counts(
    env: dict[str, str], site: Site, spoil: object, said: str
) -> None:
    assert callable(spoil)
    spoil(site)
    with pytest.raises(EnvironmentProblem, match=re.escape(said)):
        ensure_engine(env=env, recipes=from_site(site))
    assert left_in_cache(env) == ["install.lock"]
    assert find_engine(env) is None


def test_a_second_site_serves_where_the_first_does_not(env: dict[str, str], site: Site) -> None:
    assert ensure_engine(env=env, recipes=from_site("http://127.0.0.1:1", site)).source == "cache"


def test_an_unreachable_site_is_noticed_in_seconds(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.3)
    site.delay = 20.0
    started = time.monotonic()
    with pytest.raises(DownloadUnavailable, match="did not answer within"):
        download.download_engine(tmp_path, lambda line: None, (ReleaseSite(site.url, site.url),))
    assert time.monotonic() - started < 15
    with pytest.raises(DownloadUnavailable, match=r"is not reachable: .*refused"):
        download.download_engine(
            tmp_path, lambda line: None, (ReleaseSite("http://127.0.0.1:1", "http://127.0.0.1:1"),)
        )


def test_a_redirect_never_leaves_https() -> None:
    redirects = download._SafeRedirects()
    request = urllib.request.Request("https://get.pulumi.com/x")
    headers = HTTPMessage()
    with pytest.raises(urllib.error.HTTPError, match="unprotected"):
        redirects.redirect_request(request, io.BytesIO(), 302, "Found", headers, "http://get.pulumi.com/x")
    assert redirects.redirect_request(request, io.BytesIO(), 302, "Found", headers, "https://a.example/x") is not None


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "linux-x64"),
        ("Linux", "aarch64", "linux-arm64"),
        ("Darwin", "arm64", "darwin-arm64"),
        ("Darwin", "x86_64", "darwin-x64"),
    ],
)
def test_archives_are_named_as_pulumi_names_them(system: str, machine: str, name: str) -> None:
    assert archive_name(system, machine) == f"pulumi-v{ENGINE_VERSION}-{name}.tar.gz"


def test_a_platform_without_a_download_is_named() -> None:
    with pytest.raises(DownloadUnavailable, match="no download for linux on riscv64"):
        archive_name("Linux", "riscv64")


# --- the build from source ---

BUILD = RECIPES[1:]


@pytest.fixture(autouse=True)
def only_go_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = build._go_candidates
    monkeypatch.setattr(
        build,
        "_go_candidates",
        lambda env: [path for path in candidates(env) if str(path.parent) in env["PATH"].split(":")],
    )


def go(tmp_path: Path, does: str, version: str = "go1.26.8", toolchain: str = "local") -> Path:
    body = (
        f'case "$1" in\nenv) echo {version}; echo {toolchain};;\nbuild)\nout=$(echo "$@" | sed "s/.* -o //; s/ .*//")\n'
    )
    return script(tmp_path / "bin" / "go", f"{body}{does}\n;;\nesac")


def test_the_build_gives_an_engine_and_reports_how_far_it_is(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "REPORT_SECONDS", 0.2)
    seen = tmp_path / "seen"
    go(
        tmp_path,
        f"(env; pwd; ls; echo \"$@\") > {seen}\necho 'go: downloading example.com/a v1.0.0' >&2\nsleep 1.3\n"
        "echo example.com/a/b >&2\necho internal/cpu >&2\nsleep 1.3\n"
        f"printf '#!/bin/sh\\necho v{ENGINE_VERSION}\\n' > $out; chmod 755 $out",
    )
    lines: list[str] = []
    secret = {"AWS_SECRET_ACCESS_KEY": "s3cret", "GOPROXY": "https://proxy.example", "GOOS": "plan9"}
    engine = ensure_engine(lines.append, env | secret, BUILD)
    assert engine.path == installed_path(env)
    assert left_in_cache(env) == [ENGINE_VERSION, "install.lock"]
    assert any("1 modules fetched" in line for line in lines)
    assert any(f"2 of at most {build.PACKAGES_IN_ALL} packages" in line for line in lines)
    told = seen.read_text()
    assert "s3cret" not in told
    assert "GOOS" not in told
    assert "GOPROXY=https://proxy.example\n" in told
    assert "CGO_ENABLED=0\n" in told
    assert "\ngo.mod\ngo.sum\n" in told
    assert f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{ENGINE_VERSION}" in told


@pytest.mark.parametrize(("version", "toolchain"), [("go1.19.8", ""), ("go1.24.1", "local"), ("go1.25.10", "local")])
def test_a_go_that_is_too_old_is_named(env: dict[str, str], tmp_path: Path, version: str, toolchain: str) -> None:
    path = go(tmp_path, "exit 1", version, toolchain)
    with pytest.raises(EnvironmentProblem) as caught:
        ensure_engine(env=env, recipes=BUILD)
    assert f"Go {build.needed_go()} or newer is needed to build it, but {path} is Go {version[2:]}" in str(caught.value)


@pytest.mark.parametrize(
    ("version", "toolchain"),
    [("go1.26", "local"), ("go1.25.11", "local"), ("go1.21.0", "auto"), ("go1.23.2", "go1.23.2+auto")],
)
def test_a_go_that_is_new_enough_or_may_fetch_a_newer_one_is_taken(
    env: dict[str, str], tmp_path: Path, version: str, toolchain: str
) -> None:
    path = go(tmp_path, "", version, toolchain)
    assert build.find_go(env).path == path


def test_a_build_that_fails_says_why_without_the_proxys_password(env: dict[str, str], tmp_path: Path) -> None:
    go(tmp_path, "echo 'go: x@v1: Get https://me:s3cret@proxy.example/x: 403 Forbidden' >&2; exit 1")
    with pytest.raises(EnvironmentProblem, match="403 Forbidden") as caught:
        ensure_engine(env=env, recipes=BUILD)
    assert "s3cret" not in str(caught.value)
    assert left_in_cache(env) == ["install.lock"]


def test_a_full_disk_is_said_plainly_and_leaves_nothing(env: dict[str, str], tmp_path: Path) -> None:
    go(tmp_path, "echo half > $out; echo 'link: write: no space left on device' >&2; exit 1")
    with pytest.raises(EnvironmentProblem) as caught:
        ensure_engine(env=env, recipes=BUILD)
    assert (
        caught.value.summary == f"the disk is full: the Pulumi engine could not be installed into {engine_cache(env)}"
    )
    assert left_in_cache(env) == ["install.lock"]


def test_ctrl_c_ends_the_build_and_leaves_nothing(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "REPORT_SECONDS", 0.1)
    pid = tmp_path / "pid"
    go(tmp_path, f"echo $$ > {pid}; echo x/y >&2; sleep 60 & wait")

    def interrupt(line: str) -> None:
        if "packages" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_engine(interrupt, env, BUILD)
    assert left_in_cache(env) == ["install.lock"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


# --- installing ---


def test_neither_download_nor_build_lists_the_ways_out(env: dict[str, str]) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        ensure_engine(env=env, recipes=(*from_site("http://127.0.0.1:1"), *BUILD))
    problem = caught.value
    assert "official download: http://127.0.0.1:1" in problem.summary
    assert f"build from Go modules: there is no Go to build it with ({build.needed_go()} or newer" in problem.summary
    for way in ("https://www.pulumi.com/docs/install/", "on PATH", str(installed_path(env)), "https://go.dev/dl/"):
        assert way in problem.fix


def test_what_a_killed_run_left_is_removed_and_never_an_engine(env: dict[str, str]) -> None:
    pulumi(engine_cache(env) / "staging-dead" / "pulumi")
    assert find_engine(env) is None
    ensure_engine(env=env, recipes=(makes(),))
    assert left_in_cache(env) == [ENGINE_VERSION, "install.lock"]


def test_a_broken_engine_in_the_cache_is_replaced(env: dict[str, str]) -> None:
    script(installed_path(env), "exit 139")
    assert ensure_engine(env=env, recipes=(makes(),)).version == ENGINE_VERSION
    assert left_in_cache(env) == [ENGINE_VERSION, "install.lock"]


def test_a_second_run_waits_says_so_and_uses_what_the_first_installed(env: dict[str, str]) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(into: Path, progress: object, env: object, lock: int) -> Path:
        entered.set()
        assert go_on.wait(20)
        return pulumi(into / "pulumi")

    def never(into: Path, progress: object, env: object, lock: int) -> Path:
        raise AssertionError("both runs installed")

    first = threading.Thread(target=ensure_engine, kwargs={"env": env, "recipes": (_Recipe("slow", slow),)})
    first.start()
    assert entered.wait(20)
    lines: list[str] = []

    def said(line: str) -> None:
        lines.append(line)
        go_on.set()

    engine = ensure_engine(said, env, (_Recipe("never", never),))
    first.join(20)
    assert engine.source == "cache"
    assert lines == ["another run is installing the Pulumi engine: waiting (0 s)"]


def test_a_run_that_is_killed_leaves_the_cache_usable(env: dict[str, str], tmp_path: Path) -> None:
    go(tmp_path, "echo x/y >&2; echo half > $out; exec sleep 3")
    code = "from provision.host.engine.install import *; ensure_engine(recipes=RECIPES[1:])"
    killed = subprocess.Popen([sys.executable, "-c", code], env=env | {"PYTHONPATH": os.pathsep.join(sys.path)})
    limit = time.monotonic() + 30
    while not list(engine_cache(env).glob("staging-*/pulumi")):
        assert time.monotonic() < limit
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert find_engine(env) is None
    lines: list[str] = []
    # The orphaned build still holds the lock: the new run does not work beside it.
    ensure_engine(lines.append, env, (makes(),))
    assert lines[0].startswith("another run is installing")
    assert left_in_cache(env) == [ENGINE_VERSION, "install.lock"]


def test_a_cache_that_cannot_be_written_is_said_plainly(env: dict[str, str], tmp_path: Path) -> None:
    Path(env["XDG_CACHE_HOME"]).write_text("a file where a folder should be")
    with pytest.raises(EnvironmentProblem, match="could not be installed into"):
        ensure_engine(env=env, recipes=(makes(),))


def test_a_full_disk_during_the_download_is_said_plainly(
    env: dict[str, str], site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(EnvironmentProblem, match="the disk is full"):
        ensure_engine(env=env, recipes=from_site(site))
    assert left_in_cache(env) == ["install.lock"]


def test_progress_names_durations_as_a_person_would() -> None:
    assert [build.elapsed(seconds) for seconds in (0.4, 59, 65, 600)] == ["0 s", "59 s", "1 min 05 s", "10 min 00 s"]
    assert install.WAIT_REPORT_SECONDS >= 5
