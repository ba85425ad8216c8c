"""Two pipelines at once on one stack, many times over, on every kind of backend.

    python benchmarks/contention.py [--tries N] [--wait] [folder] [bucket] [database]

Every try changes the stack and applies it twice at the same time, on the in-memory platform. Target: in every try one
of the two does it, and the other does it after that (with --wait always) or is refused with the reason; the machines
are there once and as the file says, and no lock is left.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests" / "shared"), str(ROOT / "tests" / "integration")]

from contending import contend, settled  # noqa: E402
from state_backends import BACKENDS  # noqa: E402
from test_engine_cli import STACK, Project  # noqa: E402

from provision.host.setup import install_shims, plugin_executables  # noqa: E402


def run(name: str, tries: int, *, wait: bool) -> bool:
    """Try as often on one kind of backend."""
    with tempfile.TemporaryDirectory(prefix="provision-bench-") as made:
        place = Path(made)
        folder = place / "shop"
        folder.mkdir()
        install_shims(place / "home", plugin_executables())
        with BACKENDS[name](place) as backend:
            kept = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "AWS_", "PG"))}
            kept |= {"PULUMI_HOME": str(place / "home"), "PULUMI_BACKEND_URL": backend.url, **backend.env}
            kept["PULUMI_CONFIG_PASSPHRASE"] = ""
            settings = {"config": {"provision-memory:store": f"{folder}/platform.json"}}
            (folder / "Pulumi.yaml").write_text("name: shop\nruntime: provision\n")
            (folder / "Pulumi.dev.yaml").write_text(yaml.safe_dump(settings))
            (folder / "stack.yaml").write_text(STACK)
            project = Project(folder, kept)
            project.fine("up", "--yes")
            went: Counter[str] = Counter()
            started = time.monotonic()
            for number in range(tries):
                try:
                    went[contend(project, 65 + number, *(("--lock-timeout", "300") if wait else ()))] += 1
                except AssertionError as error:
                    went["failed"] += 1
                    print(f"{name}, try {number}: {error}", file=sys.stderr, flush=True)
            settled(project)
    each = (time.monotonic() - started) / tries
    print(f"{name}: {tries} tries, {each:.1f} s each: " + ", ".join(f"{n} {what}" for what, n in sorted(went.items())))
    return not went["failed"] and not (wait and went["one refused"])


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backends", nargs="*", metavar="BACKEND", default=sorted(BACKENDS), help="default: all")
    parser.add_argument("--tries", type=int, default=50)
    parser.add_argument("--wait", action="store_true", help="both wait for each other")
    given = parser.parse_args()
    fine = [run(name, given.tries, wait=given.wait) for name in given.backends]
    sys.exit(not all(fine))


if __name__ == "__main__":
    main()
