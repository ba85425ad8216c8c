"""Forbidden datagrams that get through while policies are edited: sent at native speed, counted behind every filter.

    python benchmarks/flood.py [--edits 50] [--rate 8000] [--without hold|order|both]
    python benchmarks/flood.py --starts 20 [--without way]

Two machines on a private hypervisor of its own; one sender beyond the networks, one on the machine's bridge, both
through IPv4 and IPv6. The edits go in a circle: an allow is widened and narrowed, widened while a deny is added,
another policy denies, their order changes, the default is switched and switched back, a machine joins a group and
leaves it. A datagram is forbidden when neither the file before an edit nor the one after it allows it, and between
edits when the file of then does not. Target: none of 1,000,000 across 50 edits passes. `--without` shows what happens
when the old rules are not held while libvirt changes them, or when shared filters are always changed in place.

With `--starts` nothing is edited, and the other machine is stopped and started instead; without the second way into
libvirt's rules some hundred datagrams pass in each start.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from provision_libvirt import lab
from provision_libvirt.config import LibvirtConfig
from provision_libvirt.daytwo import power
from provision_libvirt.provider import LibvirtProvider
from provision_libvirt.resources import filter as filters
from provision_libvirt.translate.filters import Filters

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "plugins/libvirt/tests"))
from flood_bench import Edited, Flood, flooded, switched
from flood_states import STATES


def main() -> int:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=50)
    parser.add_argument("--rate", type=int, default=8000, help="datagrams a second")
    parser.add_argument("--settle", type=float, default=2.0, help="seconds between edits")
    parser.add_argument("--starts", type=int, help="stop and start the other machine so often, and edit nothing")
    parser.add_argument("--without", choices=["hold", "order", "both", "way"])
    chosen = parser.parse_args()
    if chosen.without in ("hold", "both"):
        filters.old_rules_held = lambda uri: nullcontext(False)  # type: ignore[assignment]
    if chosen.without in ("order", "both"):
        whole = Filters._inputs
        Filters._inputs = lambda *given: {k: v for k, v in whole(*given).items() if k != "content"}  # type: ignore[method-assign]
    if chosen.without == "way":
        power.rules_kept = lambda uri: nullcontext(False)  # type: ignore[assignment]
    edits = [STATES[(number + 1) % len(STATES)] for number in range(chosen.edits)]
    with tempfile.TemporaryDirectory(prefix="pvf") as scratch:
        place = Path(scratch)
        running = lab.start(place / "lab")
        provider = LibvirtProvider()
        session = provider.connect(LibvirtConfig(uri=running.uri, outside_socket=str(running.outside_socket)))
        edited = Edited(provider, session)
        try:
            edited.start(STATES[0].document)
            if chosen.starts:
                found = switched(
                    edited, running, chosen.starts, place, rate=chosen.rate, settle=chosen.settle, told=_told
                )
            else:
                found = flooded(edited, running, edits, place, rate=chosen.rate, settle=chosen.settle, told=_told)
        finally:
            provider.disconnect(session)
            lab.stop(running.directory)
    return _report(found)


def _told(name: str, seconds: float, done: Sequence[str] = ()) -> None:
    print(f"{seconds:6.1f} s  {name}: {len(done)} filters", flush=True)


def _report(found: Flood) -> int:
    mean = sum(found.seconds) / len(found.seconds)
    print(f"{found.edits} edits, stops or starts, {mean:.1f} s each")
    print(f"{found.forbidden} forbidden datagrams sent, {found.allowed} allowed ones seen")
    print(f"frames that were not counted: {found.uncounted}; allowed ports that were silent: {len(found.silent)}")
    by_edit: Counter[str] = Counter()
    for (name, _), number in found.leaks.items():
        by_edit[name] += number
    for name, number in by_edit.items():
        print(f"  {number:7} passed: {name}")
    print(f"forbidden datagrams that passed: {sum(by_edit.values())}")
    return 1 if by_edit or found.uncounted or found.silent else 0


if __name__ == "__main__":
    sys.exit(main())
