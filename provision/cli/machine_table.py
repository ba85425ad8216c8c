"""How the machines of a stack are, for a person and for a program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from provision.spi import MachineStatus, RunState
from provision.verify import DeployedStack

_WIDE = 120
_COLOURS = {
    RunState.RUNNING: "green",
    RunState.STOPPED: "dim",
    RunState.PAUSED: "yellow",
    RunState.GONE: "red",
}


@dataclass(frozen=True)
class Row:
    """One machine: `cpus` is how many CPUs it kept busy between two looks, None when that is not known."""

    name: str
    status: MachineStatus
    addresses: tuple[str, ...]
    cpus: float | None

    @property
    def as_wanted(self) -> bool:
        """Whether it is as the last `up` recorded."""
        return self.status.state is self.status.wanted


def rows(
    stack: DeployedStack,
    now: Mapping[str, MachineStatus],
    before: Mapping[str, MachineStatus] | None = None,
    seconds: float = 0.0,
) -> Sequence[Row]:
    """A row for each machine; with an earlier look, `seconds` before, also the use of CPUs."""
    return [
        Row(name, status, status.addresses or _assigned(stack, name), _busy(status, (before or {}).get(name), seconds))
        for name, status in now.items()
    ]


def exit_code(found: Sequence[Row]) -> int:
    """1 when a machine is gone, or should run and does not."""
    missing = (r for r in found if r.status.state is RunState.GONE or _should_run(r))
    return 1 if next(missing, None) else 0


def table(found: Sequence[Row], width: int) -> RenderableType:
    """The table, and a line for each machine that is not as it should be; a narrow one leaves out second addresses."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("machine", "state", "addresses", "up"):
        made.add_column(title, overflow="fold")
    made.add_column("cpus", no_wrap=True)
    made.add_column("memory (MiB)", no_wrap=True)
    for row in found:
        status = row.status
        made.add_row(
            row.name,
            Text(status.state, "red" if _should_run(row) else _COLOURS[status.state]),
            "\n".join(row.addresses if width >= _WIDE else _short(row.addresses)) or "-",
            _ago(status.uptime),
            _use(None if row.cpus is None else f"{row.cpus:.2f}", status.granted_cpus, status.cpu_cap),
            _use(status.memory_mib, status.granted_memory_mib, status.memory_cap_mib),
        )
    return Group(made, *(_remark(row) for row in found if not row.as_wanted or row.status.why))


def document(stack: DeployedStack, found: Sequence[Row]) -> dict[str, Any]:
    """The same for a program."""
    return {
        "project": stack.project,
        "stack": stack.name,
        "platform": stack.platform,
        "exit_code": exit_code(found),
        "machines": [_entry(row) for row in found],
    }


def _entry(row: Row) -> dict[str, Any]:
    status = row.status
    return {
        "name": row.name,
        "state": str(status.state),
        "why": status.why,
        "wanted": str(status.wanted),
        "addresses": list(row.addresses),
        "uptime_seconds": None if status.uptime is None else round(status.uptime, 1),
        "cpu": {
            "used": None if row.cpus is None else round(row.cpus, 3),
            "granted": status.granted_cpus,
            "cap": status.cpu_cap,
        },
        "memory_mib": {
            "used": status.memory_mib,
            "granted": status.granted_memory_mib,
            "cap": status.memory_cap_mib,
        },
    }


def _short(addresses: Sequence[str]) -> Sequence[str]:
    return [address for address in addresses if ":" not in address] or addresses


def _should_run(row: Row) -> bool:
    return row.status.wanted is RunState.RUNNING and not row.as_wanted


def _remark(row: Row) -> Text:
    state, why = row.status.state, f": {row.status.why}" if row.status.why else ""
    if row.as_wanted:
        return Text(f"{row.name} is {state}{why}")
    if state is RunState.GONE:
        return Text(f"{row.name} is gone{why}; `provision refresh`, then `provision up` make it anew", "red")
    text = f"{row.name} is {state} and should be {row.status.wanted}{why}"
    switch = "on" if row.status.wanted is RunState.RUNNING else "off"
    return Text(f"{text}; `provision power {row.name} {switch}`", "red" if _should_run(row) else "yellow")


def _use(used: object, granted: int | None, cap: float | None) -> str:
    """Such as `2, uses 0.31 of 0.5`: the guest has two, it keeps less than one busy, and may keep half a one busy."""
    text = "-" if granted is None else str(granted)
    if used is not None:
        text += f", uses {used}"
    return text if cap is None else f"{text} of {cap:g}" if used is not None else f"{text}, cap {cap:g}"


def _busy(now: MachineStatus, before: MachineStatus | None, seconds: float) -> float | None:
    if before is None or now.cpu_seconds is None or before.cpu_seconds is None or seconds <= 0:
        return None
    used = now.cpu_seconds - before.cpu_seconds
    return None if used < 0 else used / seconds  # less than before: it was started anew


def _assigned(stack: DeployedStack, machine: str) -> tuple[str, ...]:
    given = (assigned for key, assigned in stack.assigned.items() if key.rpartition("/")[0] == machine)
    return tuple(address for item in given for address in (item.ipv4, item.ipv6) if address)


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60}m"
    return f"{minutes}m {int(seconds % 60)}s" if minutes else f"{int(seconds)}s"
