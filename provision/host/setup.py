"""Put our plugins where the engine finds them without a warning: small shims in the Pulumi home.

The engine looks for plugins on PATH, where each one costs a warning in every run, and then in `plugins/` of
its home, in folders called `KIND-NAME-vVERSION`. A shim there is a few lines of shell that start the Python
environment which ran the set-up. The engine needs no more than the executable (no `PulumiPlugin.yaml`),
passes over a folder beside which lies a `.partial` file, and notes the last use in a `.lastused` file.

Every shim carries a marker line. A file without it is not ours and is never touched.
"""

import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Literal

from provision.errors import EnvironmentProblem, PluginError
from provision.host.standby import VARIABLE

PROVIDER_GROUP = "provision.providers"
"""The entry points of provider plugins; only their names are read here, nothing is imported."""

MARKER = "# shim of the provision command: written, replaced and removed by `provision setup`"

_PYTHON_LINE = "python="
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PEP440 = re.compile(
    r"(?:\d+!)?(?P<release>\d+(?:\.\d+)*)(?:(?P<pre>a|b|rc)(?P<number>\d+))?(?:\.post(?P<post>\d+))?"
    r"(?:\.dev(?P<dev>\d+))?(?:\+.*)?"
)


@dataclass(frozen=True)
class PluginExecutable:
    """A plugin of the engine, as a Python module to be run.

    Attributes:
        kind: what the engine calls it.
        name: its name for the engine, as in `pulumi-KIND-NAME`.
        version: its semantic version.
        module: the module that is run.
        arguments: its first arguments, before those of the engine.
    """

    kind: Literal["language", "resource"]
    name: str
    version: str
    module: str
    arguments: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """The name that the engine asks for."""
        return f"pulumi-{self.kind}-{self.name}"

    @property
    def folder_name(self) -> str:
        """The folder in which the engine looks for it."""
        return f"{self.kind}-{self.name}-v{self.version}"


@dataclass(frozen=True)
class SetupReport:
    """What a set-up did in the Pulumi home; all paths are of shims."""

    home: Path
    installed: tuple[Path, ...] = ()
    unchanged: tuple[Path, ...] = ()
    removed: tuple[Path, ...] = ()
    foreign: tuple[Path, ...] = ()
    """Plugins of our names in other versions, put there by others: left alone; the engine may prefer them."""

    @property
    def changed(self) -> bool:
        """Whether anything had to be done."""
        return bool(self.installed or self.removed)


def plugin_executables(problems: list[PluginError] | None = None) -> tuple[PluginExecutable, ...]:
    """The language host, the component, and every installed provider plugin, found by the names of their entry points.

    Args:
        problems: takes what is wrong with single plugins, which are then left out.

    Raises:
        PluginError: without `problems`: a plugin's name cannot be one, or two distributions use the same.
    """
    own = semantic_version(version("provision"))
    found = [
        PluginExecutable("language", "provision", own, "provision.host.language"),
        PluginExecutable("resource", "provision", own, "provision.host.component"),
    ]
    seen: dict[str, str] = {}
    for point in sorted(entry_points(group=PROVIDER_GROUP), key=lambda point: point.name):
        try:
            _check_name(point, seen)
        except PluginError as problem:
            if problems is None:
                raise
            problems.append(problem)
            continue
        release = semantic_version(point.dist.version if point.dist else version("provision"))
        executable = PluginExecutable(
            "resource", f"provision-{point.name}", release, "provision.host.plugin", (point.name,)
        )
        if executable not in found:
            found.append(executable)
    return tuple(found)


def _check_name(point: EntryPoint, seen: dict[str, str]) -> None:
    owner = point.dist.name if point.dist else "?"
    if not _NAME.fullmatch(point.name):
        raise PluginError(
            f"{owner} calls its provider {point.name!r}, which is no provider name",
            "a name is lower-case letters and digits in words joined by `-`; report it to the author",
        )
    if seen.setdefault(point.name, owner) != owner:
        raise PluginError(
            f"{seen[point.name]} and {owner} both call their provider {point.name!r}", "uninstall one of them"
        )


def install_shims(
    pulumi_home: Path, executables: Iterable[PluginExecutable], python: Path | None = None
) -> SetupReport:
    """Write what is missing or out of date, and remove shims of ours that these replace.

    Safe to run again and beside another run: every shim appears whole, by one rename.

    Args:
        pulumi_home: the Pulumi home, see `provision.host.engine.pulumi_home`.
        executables: what the engine is to find, see `plugin_executables`.
        python: the interpreter that runs them, by default the one that runs this.

    Raises:
        EnvironmentProblem: the home cannot be written, or something foreign has exactly the place of a shim.
    """
    interpreter = Path(os.path.abspath(python or sys.executable))
    wanted = tuple(executables)
    plugins = pulumi_home.absolute() / "plugins"
    try:
        plugins.mkdir(parents=True, exist_ok=True)
        for executable in wanted:
            shim = plugins / executable.folder_name / executable.file_name
            if (os.path.lexists(shim) or os.path.lexists(shim.parent)) and _shim_text(shim) is None:
                raise EnvironmentProblem(
                    f"{shim.parent} is in the way of our plugin and was not made by us",
                    "look at it and move it elsewhere, or set PULUMI_HOME to another folder; then run again",
                )
        installed, unchanged = list[Path](), list[Path]()
        for executable in wanted:
            shim = plugins / executable.folder_name / executable.file_name
            (installed if _write(shim, executable, interpreter) else unchanged).append(shim)
        removed, foreign = _sweep(plugins, wanted, interpreter)
    except OSError as error:
        raise EnvironmentProblem(
            f"the plugins cannot be put into {plugins}: {error.strerror or error}",
            "make this folder writable and see that its disk has room, or set PULUMI_HOME to another folder",
        ) from error
    return SetupReport(plugins.parent, tuple(installed), tuple(unchanged), removed, foreign)


def shim_text(executable: PluginExecutable, python: Path) -> str:
    """The shim: a POSIX shell script.

    `-P` keeps the current folder, which is the user's project, off Python's module path.
    """
    call = " ".join(shlex.quote(part) for part in (executable.module, *executable.arguments))
    return "\n".join(
        (
            "#!/bin/sh",
            MARKER,
            f"{_PYTHON_LINE}{shlex.quote(str(python))}",
            'if [ ! -x "$python" ]; then',
            '  echo "$python is gone: run \\`provision setup\\` in the environment that replaces it" >&2',
            "  exit 1",
            "fi",
            *_HAND_OVER.format(note=f"${VARIABLE}/{executable.kind}-{executable.name}", variable=VARIABLE).splitlines(),
            f'exec "$python" -P -m {call} "$@"',
            "",
        )
    )


# See `provision.host.standby`. What waits there is taken by whoever makes the file; opening what lies below /proc fails
# at once when the process has ended, and the pipe from it is then at its end: the plugin is started as always.
_HAND_OVER = """\
case "${variable}" in /*)
  note="{note}"
  if [ -f "$note" ] && (set -C; : >"$note.taken") 2>/dev/null; then
    read -r pid asked answer <"$note"
    if [ -p "/proc/$pid/fd/$asked" ] && command exec 3>"/proc/$pid/fd/$asked" 4<"/proc/$pid/fd/$answer"; then
      if (trap "" PIPE; echo "$$ $PPID $*" >&3) 2>/dev/null && read -r port <&4; then
        echo "$port"
        read -r end <&4
        exit 0
      fi
      exec 3>&- 4<&-
    fi
  fi
esac"""


def semantic_version(text: str) -> str:
    """A Python version as the semantic one that the engine wants: `0.2.0.dev3+g12` becomes `0.2.0-dev.3`."""
    match = _PEP440.fullmatch(text)
    if match is None:
        return "0.0.0"
    numbers = [str(int(part)) for part in match["release"].split(".")]
    base = ".".join([*numbers, "0", "0"][:3])
    before = [f"{match['pre']}.{int(match['number'])}"] if match["pre"] else []
    before += [f"dev.{int(match['dev'])}"] if match["dev"] else []
    return base + (f"-{'.'.join(before)}" if before else "")


def _write(shim: Path, executable: PluginExecutable, python: Path) -> bool:
    """Bring one shim up to date; say whether there was anything to do."""
    text = shim_text(executable, python)
    folder = shim.parent
    partial = folder.with_name(f"{folder.name}.partial")
    if partial.is_file() and partial.stat().st_size == 0:
        # Left by an installation of the engine's own that broke off: with it the engine does not see the
        # shim.
        partial.unlink()
    if _shim_text(shim) == text and os.access(shim, os.X_OK):
        return False
    with tempfile.TemporaryDirectory(prefix=".provision-", dir=folder.parent) as temporary:
        fresh = Path(temporary) / folder.name / shim.name
        fresh.parent.mkdir()
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(0o755)
        try:
            # A folder cannot replace one that holds something, but then the shim in it can be replaced.
            fresh.parent.rename(folder)
        except OSError:
            fresh.replace(shim)
    return True


def _sweep(
    plugins: Path, wanted: Sequence[PluginExecutable], python: Path
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Remove shims of ours that are no longer wanted; give them, and the foreign plugins of the same names.

    Of a name that is wanted, every other version goes: the engine would take the newest. Of other names, only
    what this very interpreter ran: the rest may belong to another environment that is still in use.
    """
    keep = {executable.folder_name for executable in wanted}
    names = {f"{executable.kind}-{executable.name}" for executable in wanted}
    removed, foreign = list[Path](), list[Path]()
    for folder in sorted(plugins.glob("*-v*")):
        name = folder.name.rpartition("-v")[0]
        if folder.name in keep or not folder.is_dir() or folder.is_symlink():
            continue
        shim = folder / f"pulumi-{name}"
        text = _shim_text(shim)
        if text is None:
            foreign += [shim] if name in names else []
        elif name in names or f"{_PYTHON_LINE}{shlex.quote(str(python))}" in text.splitlines():
            removed.append(shim)
            _remove(folder, shim)
    return tuple(removed), tuple(foreign)


def _remove(folder: Path, shim: Path) -> None:
    """Take one shim of ours away; whatever else lies in its folder stays, and the folder with it."""
    if [entry.name for entry in folder.iterdir()] == [shim.name]:
        # Moved aside first, so that the engine never sees the folder without its executable.
        aside = Path(tempfile.mkdtemp(prefix=".provision-", dir=folder.parent))
        folder.rename(aside / folder.name)
        shutil.rmtree(aside)
        folder.with_name(f"{folder.name}.lastused").unlink(missing_ok=True)
    else:
        shim.unlink()


def _shim_text(shim: Path) -> str | None:
    """The text of a shim of ours, or None when there is none or the file is foreign."""
    try:
        if shim.is_symlink() or not shim.is_file() or shim.stat().st_size > 1 << 16:
            return None
        text = shim.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
    return text if MARKER in text.splitlines()[:2] else None
