"""The commands that the README names, word by word."""

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.engine]

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".provision"


def test_the_demo_ends_well_and_leaves_nothing():
    """All set-up is done by the time that tests run, so this is the demo run again."""
    assert _environment_is_up_to_date(), "run the tests by scripts/test: the demo would make anew what they run in"
    dropped = ("PULUMI_", "LIBVIRT_", "PROVISION_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    done = subprocess.run(
        [ROOT / "scripts/demo"], cwd="/", env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Traceback" not in said
    assert "demo complete" in done.stdout.splitlines()[-1]
    assert "no domains, no networks, no pools, no filters of ours" in said
    assert "no processes, no namespaces, no files" in said
    assert not (STATE / "demo-lab").exists()
    assert not (STATE / "demo").exists()
    assert not [entry for entry in Path("/proc").glob("[0-9]*/cmdline") if str(STATE / "demo-lab") in _text(entry)]


def _environment_is_up_to_date():
    """Whether the set-up would leave the virtual environment, in which this very test runs, as it is."""
    wanted = "cat requirements.lock pyproject.toml plugins/*/pyproject.toml | sha256sum; ${PYTHON:-python3} -V"
    path = os.pathsep.join([str(ROOT / ".venv/bin"), os.environ["PATH"]])
    stamp = subprocess.run(
        ["bash", "-c", wanted], cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
    ).stdout
    file = STATE / "venv.stamp"
    return file.exists() and file.read_text().strip() == stamp.strip()


def _text(file):
    try:
        return file.read_bytes().decode(errors="replace")
    except OSError:
        return ""
