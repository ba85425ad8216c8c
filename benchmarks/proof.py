"""How the proof that native rules say what the file says grows with machines and policies.

    python benchmarks/proof.py [--platform NAME] [--policies N] [SIZE ...]

Each size runs in a process of its own, so that the peak of its memory is its own. Seconds are of the CPU. Targets:
1,000 machines with 200 policies in 2 s, 10,000 in 30 s and 2 GiB, growing with an exponent of at most 1.3.
"""

import argparse
import json
import math
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SIZES = (100, 1_000, 10_000)
GROUPS = 50
CAPABILITIES = Path(__file__).parent / "capabilities.json"


def document(machines: int, policies: int) -> dict[str, Any]:
    """A stack of `GROUPS` groups of machines on four networks; the same numbers give the same stack."""
    chance = random.Random(1)
    tiers = max(1, GROUPS // 5)

    def peer() -> str:
        return chance.choice([f"machine.m{chance.randrange(GROUPS)}", f"label.tier=t{chance.randrange(tiers)}"])

    return {
        "version": 1,
        "networks": {f"n{i}": {"cidr": f"10.{i}.0.0/16", "internet": "routed"} for i in range(4)},
        "machines": {
            f"m{i}": {
                "image": "micro",
                "memory": "96MiB",
                "count": machines // GROUPS,
                "labels": {"tier": f"t{i % tiers}"},
                "nics": [{"network": f"n{i % 4}"}],
            }
            for i in range(GROUPS)
        },
        "isolation": {
            "policies": {
                f"p{i}": {
                    "kind": "traffic",
                    "from": [peer()],
                    "to": [peer()],
                    "allow": [f"tcp/{chance.randrange(65536)}"],
                }
                for i in range(policies)
            }
        },
    }


def measure(machines: int, policies: int, platform: str) -> dict[str, float]:
    """CPU seconds of each step, and the peak memory of this process in MiB."""
    from provision.diagnostics import DiagnosticSink, SourceMap
    from provision.loader.collector import collector_paused
    from provision.models import Stack
    from provision.packets.sets import PacketSpace
    from provision.spi import Capabilities, RulesRequest, registry
    from provision.translate import Scope, address_inputs, allocate, negotiate, translate
    from provision.verify.proof.compare import differences
    from provision.verify.proof.ends import Ends
    from provision.verify.proof.intent import IntentSet

    capabilities = Capabilities(platform, json.loads(CAPABILITIES.read_text())["facts"])
    provider: Any = registry.load(platform)
    stack, sink, scope = (
        Stack.model_validate(document(machines, policies)),
        DiagnosticSink(SourceMap()),
        Scope("b", "d"),
    )
    decisions = negotiate(stack, provider, capabilities, sink)
    assigned, _ = allocate(address_inputs(stack, scope), {})
    made = translate(stack, provider, capabilities, decisions, assigned, scope, sink)
    edited = document(machines, policies)
    last = edited["isolation"]["policies"][f"p{policies - 1}"]
    last["allow"] = ["tcp/1" if last["allow"] == ["tcp/2"] else "tcp/2"]
    other = Stack.model_validate(edited)
    anew = translate(other, provider, capabilities, decisions, assigned, scope, sink)
    space = PacketSpace(machines)

    def proven(stack: Stack, made: Any) -> list[float]:
        marks = [time.process_time()]
        readout = provider.read_rules(RulesRequest(space, made.graph, made.addresses, capabilities))
        marks.append(time.process_time())
        intent = IntentSet(space, Ends(stack, made.addresses, readout.host_addresses))
        expected = (intent.allowed, intent.judged, intent.routed)
        marks.append(time.process_time())
        found = list(differences(intent, readout))
        marks.append(time.process_time())
        if found or readout.unmodelled or not all(expected):
            raise SystemExit(f"not proven: {found[:1]} {readout.unmodelled[:1]}")
        return marks

    with collector_paused():  # as `prove` does
        marks, again = proven(stack, made), proven(other, anew)
    steps = {name: marks[i + 1] - marks[i] for i, name in enumerate(("read", "intent", "compare"))}
    steps["again"] = again[-1] - again[0]
    if "--steps" in sys.argv:
        print([round(again[i + 1] - again[i], 3) for i in range(3)], file=sys.stderr)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**steps, "total": marks[-1] - marks[0], "peak_mib": peak}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--platform", default="libvirt")
    parser.add_argument("--policies", type=int, default=200)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.sizes[0], asked.policies, asked.platform)))
        return 0
    print(f"{'machines':>9} {'read':>8} {'intent':>8} {'compare':>8} {'total':>8} {'again':>8} {'MiB':>7}  exponent")
    before: tuple[int, float] | None = None
    for size in asked.sizes:
        words = [sys.executable, __file__, "--one", "--platform", asked.platform, "--policies", str(asked.policies)]
        done = json.loads(subprocess.run([*words, str(size)], check=True, capture_output=True, text=True).stdout)
        grown = "" if before is None else f"{math.log(done['total'] / before[1]) / math.log(size / before[0]):8.2f}"
        print(
            f"{size:>9} {done['read']:8.2f} {done['intent']:8.2f} {done['compare']:8.2f} {done['total']:8.2f} "
            f"{done['again']:8.2f} {done['peak_mib']:7.0f} {grown}"
        )
        before = (size, done["total"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
