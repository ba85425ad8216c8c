"""Fixtures of pytest: `from openstack_lab.fixtures import cloud, project`, in a conftest.py."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from openstack_lab.lab import Lab, Project, start, stop, wipe
from openstack_lab.layout import Settings
from openstack_lab.processes import begun

_PLACES = Path(tempfile.gettempdir()) / "provision-openstack"


@pytest.fixture(scope="session")
def cloud() -> Iterator[Lab]:
    """A lab of all tests that one process runs."""
    yield from running(Settings())


@pytest.fixture(scope="module")
def project(cloud: Lab) -> Project:
    """A project of a module's own, without anything in it."""
    return cloud.project()


def running(settings: Settings) -> Iterator[Lab]:
    """A lab with a folder of its own; nothing of it is left."""
    sweep_places()
    place = _PLACES / f"{os.getpid()}-{begun(os.getpid())}-{settings.mode}"
    lab = start(place, settings)
    try:
        yield lab
    finally:
        lab.stop()
        shutil.rmtree(place, ignore_errors=True)


def sweep_places() -> None:
    """Remove what processes left that have ended without doing so themselves."""
    for place in _PLACES.iterdir() if _PLACES.exists() else ():
        pid, _, rest = place.name.partition("-")
        if pid.isdigit() and begun(int(pid)) != rest.partition("-")[0]:
            stop(place)
            wipe(place)
