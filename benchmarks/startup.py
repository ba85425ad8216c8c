"""How long `provision --help` takes, beside what its models cost anyway: `python -c "import pydantic"`.

    python benchmarks/startup.py [ROUNDS]

Target: at most three times. The two are run in turns, so that a busy machine slows both alike.
"""

import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

TARGET = 3.0


def seconds(command: list[str]) -> float:
    """How long a command takes."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> int:
    """Print both medians and their ratio; 1 when the target is missed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    provision = Path(sysconfig.get_path("scripts"), "provision")
    ours, bare = [str(provision), "--help"], [sys.executable, "-c", "import pydantic"]
    for command in (ours, bare):
        seconds(command)  # once for the caches
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        times[0].append(seconds(ours))
        times[1].append(seconds(bare))
    median = [statistics.median(found) for found in times]
    ratio = median[0] / median[1]
    print(f"provision --help    {median[0] * 1000:7.0f} ms (median of {rounds})")
    print(f"import pydantic     {median[1] * 1000:7.0f} ms")
    print(f"ratio               {ratio:7.2f} (target <= {TARGET})")
    return 0 if ratio <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
