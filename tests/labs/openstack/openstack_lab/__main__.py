"""A lab for people: python -m openstack_lab (install | start [full] | stop | wipe | status) [DIRECTORY]."""

import sys
import tempfile
from pathlib import Path

from openstack_lab.database import template
from openstack_lab.installing import place
from openstack_lab.lab import start, stop, wipe
from openstack_lab.layout import Settings, cache
from openstack_lab.processes import pids


def main(arguments: list[str]) -> int:
    """Do one of the above."""
    mode = "full" if "full" in arguments else "aio"
    words = [word for word in arguments if word != "full"]
    action = words[0] if words else ""
    directory = Path(words[1]).resolve() if len(words) > 1 else cache() / "lab"
    if action == "start":
        lab = start(directory, Settings(mode=mode), attached=False, say=lambda text: print(text, flush=True))
        print("\n".join(f"export {name}={value}" for name, value in lab.environment.items()))
    elif action == "install":
        if not ready():
            with tempfile.TemporaryDirectory(prefix="openstack-") as folder:
                start(Path(folder) / "lab", say=lambda text: print(text, flush=True)).stop()
    elif action in ("stop", "wipe"):
        (stop if action == "stop" else wipe)(directory)
    elif action == "status":
        print("\n".join(f"{pid:>8} {name}" for name, pid in pids(directory).items()) or "no lab runs there")
    else:
        print(__doc__)
        return 2
    return 0


def ready() -> bool:
    """Whether everything is there that is made once."""
    return (place() / "ready").exists() and template().exists()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
