"""An image without a builder: the steps of a Containerfile, each run in a Debian root as a builder would run it.

What differs from a builder: there is one file system for each stage instead of layers; the base is the smallest set of
Debian packages, from the mirror of this machine's apt; and how the machine reaches indexes of Python packages (pip's
settings, its certificates) is given to the steps without being written into the root. Mounts are made in a namespace
that ends with the step, so nothing of a killed run stays mounted; its roots are removed by the next run.
"""

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from containerfile import Ignored, Stage, context_files, exec_form, filled, left_out, mounts, pairs, parse
from provision_libvirt.cloud import debian

SECONDS = 900
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_PIP = ("index-url", "extra-index-url", "trusted-host", "cert", "proxy", "retries", "timeout")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_CERTIFICATES = "/run/certificates.crt"
_ENTER = """\
set -e
root=$1 network=$2 files=$3; shift 3
if [ "$network" = alone ]; then ip link set lo up; fi
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
while [ "$1" != -- ]; do
  if [ -d "$2" ]; then mkdir -p "$root$3"; else
    if [ -L "$root$3" ]; then rm "$root$3"; fi  # it would lead out of the root
    mkdir -p "$(dirname "$root$3")"; : >>"$root$3"
  fi
  mount --bind "$2" "$root$3"
  if [ "$1" = ro ]; then mount -o remount,bind,ro "$root$3"; fi
  shift 3
done
shift
if [ "$files" = sealed ]; then mount -o remount,bind,ro "$root"; fi
exec chroot "$root" "$@"
"""


@dataclass(frozen=True)
class Mount:
    """A place of this machine that a command sees at `target`."""

    source: Path
    target: str
    read_only: bool = False

    @property
    def mode(self) -> str:
        return "ro" if self.read_only else "rw"


@dataclass
class Root:
    """A file system with what the instructions so far say about it."""

    path: Path
    environment: dict[str, str] = field(default_factory=lambda: dict(_ENVIRONMENT))
    folder: str = "/"
    user: str = "0:0"
    entrypoint: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)

    def inside(self, path: str) -> Path:
        return self.path / (Path(self.folder) / path).relative_to("/")

    def run(
        self,
        *command: str,
        environment: Mapping[str, str] | None = None,
        places: Sequence[Mount] = (),
        sealed: bool = False,
        alone: bool = False,
        folder: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` as the image's user; a user who is not root has no capability and gets none.

        Args:
            sealed: the root cannot be written, but for `places`.
            alone: there is no network but the loopback device.
        """
        user, _, group = self.user.partition(":")
        drop = ["--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs", "--inh-caps=-all"]
        become = ["setpriv", *drop, "--bounding-set=-all"] if user != "0" else []
        values = [f"{name}={value}" for name, value in (self.environment | dict(environment or {})).items()]
        given = [word for one in places for word in (one.mode, str(one.source), one.target)]
        spaces = ["--mount", "--pid", "--ipc", *(["--net"] if alone else [])]
        return subprocess.run(
            ["unshare", *spaces, "--fork", "--kill-child", "--propagation", "private", "sh", "-c", _ENTER, "sh",
             str(self.path), "alone" if alone else "open", "sealed" if sealed else "open", *given, "--",
             *become, "env", "-i", f"--chdir={folder or self.folder}", *values, *command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip


@dataclass(frozen=True)
class Builder:
    """Runs the steps.

    Attributes:
        context: the folder that COPY copies from.
        scratch: where roots are made, see `own_place`.
        cache: what is kept between builds: the base, and what is mounted as a cache.
        caches: places of this machine that stand for caches of a builder, by their target.
    """

    context: Path
    scratch: Path
    cache: Path
    caches: Mapping[str, Path] = field(default_factory=dict)

    def build(self, file: Path, **arguments: str) -> Root:
        """The image that `file` describes; builds with one cache follow each other."""
        self.cache.mkdir(parents=True, exist_ok=True)
        with (self.cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return self._build(file, arguments)

    def _build(self, file: Path, arguments: Mapping[str, str]) -> Root:
        ignored = left_out(file.with_name(f"{file.name}.dockerignore").read_text())
        made: dict[str, Root] = {}
        for number, stage in enumerate(parse(file.read_text(), arguments)):
            root = made[stage.name or str(number)] = self._stage(stage, made, ignored, arguments)
        for other in made.values():
            if other is not root:
                shutil.rmtree(other.path)
        return root

    def _stage(self, stage: Stage, made: Mapping[str, Root], ignored: Ignored, arguments: Mapping[str, str]) -> Root:
        root = Root(Path(tempfile.mkdtemp(prefix="root-", dir=self.scratch)))
        root.path.chmod(0o755)
        tree = base_tree(self.cache, stage.base)
        _call(["tar", "-C", str(root.path), "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xf", str(tree)])
        given: dict[str, str] = {}
        for step in stage.steps:
            rest = step.rest if step.word in ("RUN", "ENTRYPOINT") else filled(step.rest, given | root.environment)
            match step.word:
                case "ARG":
                    name, _, value = rest.partition("=")
                    given[name] = arguments.get(name, value)
                case "ENV":
                    root.environment |= pairs(rest)
                case "LABEL":
                    root.labels |= pairs(rest)
                case "WORKDIR":
                    root.folder = str(Path(root.folder) / rest)
                    root.inside(".").mkdir(parents=True, exist_ok=True)
                case "USER":
                    root.user = rest
                case "ENTRYPOINT":
                    root.entrypoint = exec_form(rest)
                case "COPY":
                    *sources, target = shlex.split(rest)
                    source = step.flag("from")
                    for one in sources:
                        self._copy(made[source] if source else None, one, root, target, ignored)
                case "RUN":
                    places = [self._cache_of(mount) for mount in mounts(step)] + list(_machine())
                    done = root.run("sh", "-c", rest, environment=given | machine_settings(), places=places)
                    assert done.returncode == 0, (
                        f"line {step.line}: {rest}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
                    )
        return root

    def _copy(self, source: Root | None, path: str, into: Root, target: str, ignored: Ignored) -> None:
        place = into.inside(target)
        if source is not None:  # what another stage made; it all belongs to root then
            place.parent.mkdir(parents=True, exist_ok=True)
            _call(["cp", "-r", "--preserve=mode,links,timestamps", "-T", str(source.inside(path)), str(place)])
            return
        for file, below in context_files(self.context, path, ignored):
            goal = place / below if target.endswith("/") else place
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, goal)

    def _cache_of(self, mount: Mapping[str, str]) -> Mount:
        assert mount["type"] == "cache", mount
        target = mount["target"]
        kept = self.caches.get(target, self.cache / "mounts" / target.strip("/").replace("/", "-"))
        kept.mkdir(parents=True, exist_ok=True)
        if target == "/var/cache/apt":
            (kept / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        return Mount(kept, target)


@contextmanager
def own_place(cache: Path) -> Iterator[Path]:
    """A folder for roots, gone afterwards; what runs left behind that were killed goes first."""
    places = cache / "roots"
    places.mkdir(parents=True, exist_ok=True)
    for left in [path for path in places.iterdir() if path.is_dir()]:
        with suppress(OSError), (left / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released by the end of its owner, however it came
            shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix="own-", dir=places) as name, (Path(name) / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        Path(name).chmod(0o755)
        yield Path(name)


def base_tree(cache: Path, image: str) -> Path:
    """The base image as a tar archive: Debian's smallest set of packages, from the mirror of this machine's apt."""
    assert image.startswith("docker.io/library/debian:bookworm-slim"), f"{image} cannot be made here"
    lines = debian.source_lines()
    # As the image has it, folders of the root are links into /usr; else a package would come that makes them such.
    merged = ("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", "--include=usr-is-merged")
    options = [*merged, *debian._options()]  # of the guest's image, whose recipe that module's text is a part of
    key = hashlib.sha256("\n".join([*lines, *options]).encode()).hexdigest()[:16]
    kept = cache / f"base-{key}.tar"
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix=".base-", dir=cache) as name:
            sources = Path(name) / "sources.list"
            sources.write_text("".join(f"{line}\n" for line in lines))
            tree = Path(name) / "base.tar"
            _call(
                ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar", "--skip=check/qemu", *options,
                 debian.RELEASE, str(tree), str(sources)]
            )  # fmt: skip
            tree.replace(kept)
    return kept


def machine_settings() -> dict[str, str]:
    """How this machine reaches mirrors and indexes, as variables; a builder is given the same as build arguments."""
    said = _pip("config", "list").stdout
    found = {name: os.environ[name] for name in _PROXIES if name in os.environ}
    for line in said.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        if name in _PIP:
            found[f"PIP_{name.upper().replace('-', '_')}"] = value.strip("'\"")
    if _certificates() is not None:
        found |= {name: _CERTIFICATES for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")}
    return found


def pip_cache() -> dict[str, Path]:
    """What `pip` of this machine keeps, as a cache of the builder; nothing where it keeps nothing."""
    found = _pip("cache", "dir")
    return {"/root/.cache/pip": Path(found.stdout.strip())} if found.returncode == 0 else {}


def _pip(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _certificates() -> Path | None:
    named = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    return Path(named) if Path(named).is_file() else None


def _machine() -> list[Mount]:
    places = [Mount(Path(path), path, read_only=True) for path in ("/etc/resolv.conf", "/etc/hosts")]
    certificates = _certificates()
    return [*places, *([Mount(certificates, _CERTIFICATES, read_only=True)] if certificates else [])]


def _call(command: Sequence[str]) -> None:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, env=environment)
    assert done.returncode == 0, f"{command}: {done.stderr[-4000:]}"
