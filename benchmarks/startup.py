"""How long `provision --help` takes, beside what its models cost anyway: `python -c "import pydantic"`.

    python benchmarks/startup.py [ROUNDS]

Target: at most three times. All are run in turns, so that a busy machine slows them alike. Beside them, without a
target: what each process of a run imports. The plugin process of OpenStack has one of its own: at most 1.5 times
`python -c "import openstack"`, which it does not import before it is asked to connect.
"""

import os
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

TARGET, OPENSTACK_TARGET = 3.0, 1.5


def seconds(command: list[str]) -> float:
    """How long a command takes."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


# What the engine starts, until it could answer: the language host twice for an `up`, the second time for a run.
_IMPORTS = {
    "language host, asked about itself": "provision.host.language.server",
    "language host, for a run": "provision.host.language.server, provision.host.language.run",
    "plugin process, without the plugin": "provision.host.plugin.process",
    "plugin process of OpenStack": "provision.host.plugin.process, provision_openstack.provider",
    "import openstack": "openstack",
    "provision up, until the engine starts": "provision.cli.commands.up, provision.cli.run, provision.cli.progress",
    "Pulumi's Automation API": "pulumi.automation",
}


def main() -> int:
    """Print the medians, and the ratio that has a target; 1 when it is missed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what an installer compiles is not to be compiled at each start
    commands = {
        "provision --help": [str(Path(sysconfig.get_path("scripts"), "provision")), "--help"],
        "import pydantic": [sys.executable, "-c", "import pydantic"],
        **{name: [sys.executable, "-c", f"import gc; gc.disable(); import {it}"] for name, it in _IMPORTS.items()},
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            took = seconds(command)
            times[name] += [took] if number else []  # once for the caches
    median = {name: statistics.median(found) for name, found in times.items()}
    for name, found in median.items():
        print(f"{name:<38} {found * 1000:7.0f} ms (median of {rounds})")
    ratio = median["provision --help"] / median["import pydantic"]
    print(f"the first of the second {ratio:21.2f} (target <= {TARGET})")
    cloud = median["plugin process of OpenStack"] / median["import openstack"]
    print(f"OpenStack's of its library {cloud:18.2f} (target <= {OPENSTACK_TARGET})")
    return 0 if ratio <= TARGET and cloud <= OPENSTACK_TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
