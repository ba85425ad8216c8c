"""Facts that both sides of a lab share: the outside peer's addresses and how a process is told from a later one."""

from pathlib import Path

# From the ranges that RFC 5737 and RFC 3849 set aside for documentation: they meet no real network.
OUTSIDE = "203.0.113.10"
OUTSIDE6 = "2001:db8:ffff::10"
LAB_SIDE = "203.0.113.1"
LAB_SIDE6 = "2001:db8:ffff::1"


def start_time(pid: int) -> str:
    """When a process began, in clock ticks since boot: with the pid it names one process for good (proc(5)).

    Raises:
        OSError: there is no such process.
    """
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
