"""What all tests of the plugin need: a place for machines."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from provision_qemu.qemu import Qemu


@pytest.fixture
def machines() -> Iterator[Path]:
    """A directory for machines; those that a test leaves are ended."""
    with tempfile.TemporaryDirectory(prefix="machines-") as directory:  # pytest's own has too long a name
        yield Path(directory)
        qemu = Qemu(Path(directory), {})
        for uuid in qemu.uuids():
            qemu.end(uuid, "")
