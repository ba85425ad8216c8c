"""The probe agent as a static program, compiled once from the C files in `guest/`."""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from provision.errors import EnvironmentProblem
from provision_libvirt.micro.packages import Progress, require_tools

GUEST = Path(__file__).parent / "guest"
_FLAGS = ("-O2", "-static", "-s", "-Wl,--build-id=none")


def agent_binary(cache: Path, *, progress: Progress) -> Path:
    """The compiled agent in `cache`, made when it is not there; safe against several callers at once.

    Raises:
        EnvironmentProblem: there is no compiler, or it fails.
    """
    sources = sorted(GUEST.glob("*.[ch]"))
    key = hashlib.sha256(b"".join(source.read_bytes() for source in sources) + repr(_FLAGS).encode()).hexdigest()[:16]
    binary = cache / f"agent-{key}"
    if binary.exists():
        return binary
    require_tools({"gcc": "gcc libc6-dev"}, "the probe agent")
    progress("compiling the probe agent")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".agent-") as scratch:
        made = Path(scratch) / "agent"
        done = subprocess.run(
            ["gcc", *_FLAGS, "-o", str(made), *(str(source) for source in sources if source.suffix == ".c")],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise EnvironmentProblem(
                f"the probe agent does not compile: {done.stderr[-400:]}",
                "apt-get install --no-install-recommends gcc libc6-dev",
            )
        os.replace(made, binary)
    return binary
