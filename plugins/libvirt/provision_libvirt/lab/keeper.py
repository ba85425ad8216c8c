"""Ends a lab with the process that it was started for. Run as `python -m provision_libvirt.lab.keeper …`.

A test run that is killed removes nothing. So whoever starts a lab for its own use names itself as the owner: this
process waits for the end of the owner, or of the lab, and removes what the owner left.
"""

import os
import select
import signal
import sys
from pathlib import Path

from provision_libvirt.lab.peer import start_time


def main(directory: str, owner: str, started: str, lab: str) -> None:
    """Wait in the background for the end of one of two processes, and remove the lab of `directory`.

    Args:
        directory: of the lab.
        owner: process id.
        started: when it was started, by which another process with the same id is told apart.
        lab: process id of the lab's first process.
    """
    ours, theirs = _handle(owner, started), _handle(lab)
    if os.fork():
        os._exit(0)
    os.setsid()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a terminal that closes takes the owner along, and that is waited for
    os.chdir("/")
    waiting = select.poll()
    for handle in (ours, theirs):
        if handle is not None:
            waiting.register(handle, select.POLLIN)
    ended = {handle for handle, _ in waiting.poll()} if ours is not None and theirs is not None else {ours}
    if ours in ended:
        from provision_libvirt.lab.lifecycle import stop  # late: while it waits it is to be small

        stop(Path(directory))


def _handle(pid: str, started: str = "") -> int | None:
    """A handle that becomes readable when the process ends; None when it has ended already."""
    try:
        handle = os.pidfd_open(int(pid))
        if started and start_time(int(pid)) != started:
            os.close(handle)
            return None
    except OSError:
        return None
    return handle


if __name__ == "__main__":
    main(*sys.argv[1:])
