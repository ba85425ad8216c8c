"""How validating and translating a stack grows with its machines, beside merely parsing its YAML.

    python benchmarks/translate.py [--platform NAME] [SIZE ...]

Each size and form runs in a process of its own, so that the peak of its memory is its own. Seconds are those of the CPU
(it is one thread that waits for nothing), so that a busy machine does not count. Targets: from 100 to 10,000 machines
the time grows with an exponent of at most 1.1, and 10,000 machines take less than 10 s and 1 GiB.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = (10, 100, 1_000, 10_000)
FORMS = ("count", "written out")
CAPABILITIES = Path(__file__).parent / "capabilities.json"


def measure(machines: int, form: str, platform: str) -> dict[str, float]:
    """CPU seconds of each step, and the peak memory of this process in MiB."""
    sys.path.insert(0, str(Path(__file__).parent))
    import yaml
    from generate import stack_file

    from provision.diagnostics import DiagnosticSink
    from provision.loader import load
    from provision.spi import Capabilities, registry
    from provision.translate import Scope, address_inputs, allocate, negotiate, translate

    recorded = json.loads(CAPABILITIES.read_text())
    capabilities = Capabilities(platform, recorded["facts"])
    provider = registry.load(platform)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "stack.yaml")
        file.write_text(stack_file(machines, written_out=form == "written out"))
        marks = [time.process_time()]
        loaded = load(file, platform=platform)
        marks.append(time.process_time())
        sink = DiagnosticSink(loaded.source_map)
        decisions = negotiate(loaded.stack, provider, capabilities, sink)
        marks.append(time.process_time())
        scope = Scope("bench", "dev", directory)
        assigned, failures = allocate(address_inputs(loaded.stack, scope), {})
        if failures:
            raise SystemExit(str(failures[0]))
        marks.append(time.process_time())
        made = translate(loaded.stack, provider, capabilities, decisions, assigned, scope, sink)
        marks.append(time.process_time())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        with file.open() as text:
            started = time.process_time()
            yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            parsing = time.process_time() - started
    steps = dict(zip(("validate", "negotiate", "addresses", "translate"), map(_gap, marks, marks[1:]), strict=False))
    return {**steps, "total": marks[-1] - marks[0], "yaml": parsing, "peak_mib": peak, "nodes": len(made.graph.nodes)}


def _gap(before: float, after: float) -> float:
    return after - before


def main() -> int:
    """Print the table; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--platform", default="libvirt")
    parser.add_argument("--one", choices=FORMS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.sizes[0], arguments.one, arguments.platform)))
        return 0
    missed = []
    for form in FORMS:
        print(f"\n{form}:")
        print(f"{'machines':>9} {'validate':>9} {'negotiate':>9} {'addresses':>9} {'translate':>9} {'total':>8}"
              f" {'resources':>9} {'peak MiB':>9} {'x YAML parse':>13}")  # fmt: skip
        totals: dict[int, float] = {}
        for size in arguments.sizes:
            command = [sys.executable, __file__, str(size), "--one", form, "--platform", arguments.platform]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            totals[size] = found["total"]
            steps = " ".join(f"{found[name]:>9.3f}" for name in ("validate", "negotiate", "addresses", "translate"))
            print(f"{size:>9} {steps} {found['total']:>8.3f} {found['nodes']:>9.0f} {found['peak_mib']:>9.0f}"
                  f" {found['total'] / found['yaml']:>13.1f}", flush=True)  # fmt: skip
            if size == 10_000 and (found["total"] > 10 or found["peak_mib"] > 1024):
                missed.append(f"{form}: 10,000 machines took {found['total']:.1f} s and {found['peak_mib']:.0f} MiB")
        if 100 in totals and 10_000 in totals:
            exponent = math.log(totals[10_000] / totals[100], 100)
            print(f"growth from 100 to 10,000: exponent {exponent:.2f} (target <= 1.1)")
            if exponent > 1.1:
                missed.append(f"{form}: exponent {exponent:.2f}")
    for line in missed:
        print(f"MISSED: {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
