"""The conformance kit on QEMU: `provision plugin check qemu`, and the plugin's own tests."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from provision.errors import PlatformError, RetriableError
from provision.spi import Provider
from provision.testing import ConformanceSuite, Effect, Faults, Platform, Sample, StackSample
from provision_qemu.guests import guest
from provision_qemu.provider import QemuProvider
from provision_qemu.qemu import Qemu

STACK = """\
version: 1
platform: qemu
images:
  small: {sources: {qemu: {kind: file, path: small.img, format: raw}}}
machines:
  web: {image: small, memory: 96MiB, cpus: 2, count: 2}
  db: {image: small, memory: 64MiB, power: stopped, delete_protection: true}
isolation:
  policies:
    closed: {kind: no_internet, machines: [machine.web]}
"""


SILENT = {"isolation.policies.no_internet": "no machine has a network"}
FILES = tempfile.TemporaryDirectory(prefix="guests-")


class Conformance(ConformanceSuite):
    """The suite: a platform, a sample of the resource type, and a stack file."""

    provider: ClassVar[type[Provider[Any, Any]]] = QemuProvider
    samples: ClassVar = (
        Sample(
            "machine:Machine",
            {"name": "web", **guest(Path(FILES.name), "is up"), "ready": "is up"},
            updates=[{"power": "stopped"}],
            replaces=[{"name": "other"}, {"cpus": 2}, {"memoryMib": 64}],
            wrong=[{"cpus": 0}, {"power": "asleep"}],
            not_imported={"ready": "QEMU does not know what its guest is going to print"},
        ),
    )
    stacks: ClassVar = (StackSample("two-machines", STACK, silent=SILENT),)
    gaps: ClassVar[Mapping[str, str]] = {
        "machine:Machine-foreign": "a machine is known by its UUID alone, so nothing can be in its way",
    }
    errors: ClassVar[Mapping[Effect, Callable[[], Exception]]] = {
        Effect.ERROR: lambda: PlatformError("QEMU refuses", "look into its log"),
        Effect.TIMEOUT: lambda: RetriableError("no answer in time"),
        Effect.LOST_BEFORE: lambda: RetriableError("the socket is closed"),
        Effect.LOST_AFTER: lambda: RetriableError("the socket is closed"),
    }

    def platform(self, directory: Path) -> Iterator[Platform]:
        """A directory for machines; its name must be short."""
        with tempfile.TemporaryDirectory(prefix="machines-") as short:
            qemu = Qemu(Path(short), {})
            yield Platform({"directory": short}, lambda: leftovers(Path(short)), handle=qemu)
            for uuid in qemu.uuids():
                qemu.end(uuid, "")

    def transport(self, session: Any, faults: Faults) -> Any:
        """Each method of `Qemu` is one call of the platform."""
        return faults.wrap(session)


def leftovers(directory: Path) -> list[str]:
    """Every QEMU process of a directory, asked of the kernel, and every entry of the directory without one."""
    lines = [_words(process) for process in Path("/proc").glob("[0-9]*/cmdline")]
    found = [words[words.index("-uuid") + 1] for words in lines if f"unix:{directory}/" in " ".join(words)]
    return found + [entry.name for entry in directory.iterdir() if entry.name not in found]


def _words(command_line: Path) -> list[str]:
    try:
        return command_line.read_text().split("\0")
    except OSError:  # it has just ended
        return []
