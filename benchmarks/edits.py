"""Random edits to a stack of 50 machines: each is planned, applied as planned, looked at; then nothing is left to do.

    python benchmarks/edits.py [--edits N] [--seed S]

On the in-memory platform, with the real engine. Target: 100 of 100. The platform's objects are compared with what the
file says by the test's own reckoning, and nothing must have drifted.

An edit takes 12 s on two processors that are otherwise idle: four runs of the engine, of which each starts the command,
the engine and the plugin. With seed 9, 100 edits of 100 were good when this was written.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests" / "shared"), str(ROOT / "tests" / "integration")]

from test_engine_cli import STACK, Project  # noqa: E402
from test_engine_edits import begin, step  # noqa: E402

from provision.host.setup import install_shims, plugin_executables  # noqa: E402


def main() -> None:
    """Edit as often as was asked for; stop at the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--seed", type=int, default=9)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="provision-bench-") as made:
        place = Path(made)
        (place / "many").mkdir()
        (place / "state").mkdir()
        install_shims(place / "home", plugin_executables())
        env = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
        env |= {
            "PULUMI_HOME": str(place / "home"),
            "PULUMI_BACKEND_URL": f"file://{place}/state",
            "PULUMI_CONFIG_PASSPHRASE": "",
        }
        (place / "many" / "Pulumi.yaml").write_text("name: many\nruntime: provision\n")
        settings = f"config:\n  provision-memory:store: {place}/many/platform.json\n"
        (place / "many" / "Pulumi.dev.yaml").write_text(settings)
        (place / "many" / "stack.yaml").write_text(STACK)
        project = Project(place / "many", env)
        edited = begin(project, given.seed)
        kinds: Counter[str] = Counter()
        started = time.monotonic()
        for number in range(given.edits):
            name = step(project, edited)
            kinds[name] += 1
            print(f"{number + 1}: {name}, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    each = (time.monotonic() - started) / given.edits
    print(
        f"{given.edits} of {given.edits} edits, {each:.1f} s each: " + ", ".join(f"{n} x {k}" for k, n in kinds.items())
    )


if __name__ == "__main__":
    main()
