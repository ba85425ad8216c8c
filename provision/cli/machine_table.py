"""How the machines of a stack are, for a person and for a program."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from provision.spi import MachineStatus, RunState
from provision.translate.instances import by_number
from provision.verify import DeployedStack

_WIDE = 120
_MEASURE = Console(width=10_000)
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


@dataclass(frozen=True)
class Away:
    """A location at which nothing can be seen, and which machines are there."""

    location: str
    machines: tuple[str, ...]
    reason: str
    fix: str = ""


def rows(
    stack: DeployedStack,
    now: Mapping[str, MachineStatus],
    before: Mapping[str, MachineStatus] | None = None,
    seconds: float = 0.0,
) -> Sequence[Row]:
    """A row for each machine, by name; with an earlier look, `seconds` before, also the use of CPUs."""
    return [
        Row(name, status, status.addresses or _assigned(stack, name), _busy(status, (before or {}).get(name), seconds))
        for name, status in sorted(now.items(), key=lambda item: by_number(item[0]))
    ]


def exit_code(found: Sequence[Row], away: Sequence[Away] = ()) -> int:
    """1 when a machine is gone, or should run and does not, or when nobody knows."""
    if away:
        return 1
    missing = (r for r in found if r.status.state is RunState.GONE or _should_run(r))
    return 1 if next(missing, None) else 0


def table(found: Sequence[Row], width: int, away: Sequence[Away] = ()) -> RenderableType:
    """The table, and a line for each machine that is not as it should be, and for each location that is away.

    One that is too wide for the terminal gets shorter, or a block for each machine: nothing is broken into letters.
    """
    remarks = [_remark(row) for row in found if not row.as_wanted or row.status.why]
    remarks += [_unseen(one) for one in away]
    for made in (_full(found, second=width >= _WIDE), _brief(found)):
        if _MEASURE.measure(made).maximum <= width:
            return Group(made, *remarks)
    return Group(*(line for row in found for line in _block(row)), *remarks)


def _full(found: Sequence[Row], second: bool) -> Table:
    made = _table("machine", "state", "addresses", "up", "cpus", "memory (MiB)")
    for row in found:
        status = row.status
        made.add_row(
            row.name,
            _state(row),
            "\n".join(row.addresses if second else _short(row.addresses)) or "-",
            _ago(status.uptime),
            _use(_cpus(row), status.granted_cpus, status.cpu_cap),
            _use(status.memory_mib, status.granted_memory_mib, status.memory_cap_mib),
        )
    return made


def _brief(found: Sequence[Row]) -> Table:
    """Without the time that it runs, and of CPUs and memory only what is used of what was given."""
    made = _table("machine", "state", "addresses", "cpus", "MiB")
    for row in found:
        status = row.status
        made.add_row(
            row.name,
            _state(row),
            "\n".join(_short(row.addresses)) or "-",
            _part(_cpus(row), status.granted_cpus),
            _part(status.memory_mib, status.granted_memory_mib),
        )
    return made


def _block(row: Row) -> Iterator[Text]:
    status = row.status
    yield Text.assemble((row.name, "bold"), " ", _state(row))
    for address in row.addresses:
        yield Text(f"  {address}", overflow="fold")
    yield Text(f"  cpus {_part(_cpus(row), status.granted_cpus)}")
    yield Text(f"  MiB {_part(status.memory_mib, status.granted_memory_mib)}")


def _table(*titles: str) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in titles:
        made.add_column(title, no_wrap=True)
    return made


def _state(row: Row) -> Text:
    return Text(row.status.state, "red" if _should_run(row) else _COLOURS[row.status.state])


def _cpus(row: Row) -> str | None:
    return None if row.cpus is None else f"{row.cpus:.2f}"


def _part(used: object, granted: int | None) -> str:
    """Such as `0.31/2`."""
    text = "-" if granted is None else str(granted)
    return text if used is None else f"{used}/{text}"


def document(stack: DeployedStack, found: Sequence[Row], away: Sequence[Away] = ()) -> dict[str, Any]:
    """The same for a program."""
    return {
        "project": stack.project,
        "stack": stack.name,
        "platform": stack.platform,
        "exit_code": exit_code(found, away),
        "machines": [_entry(row) for row in found],
        "unreached": [
            {"location": one.location, "machines": list(one.machines), "reason": one.reason, "fix": one.fix}
            for one in away
        ],
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


def _unseen(away: Away) -> Text:
    place = f"location '{away.location}'"
    reason = away.reason if away.reason.startswith(place) else f"{place}: {away.reason}"
    machines = f"; nothing is known of {', '.join(away.machines)}" if away.machines else ""
    return Text(f"{reason}{machines}" + (f"\n  fix: {away.fix}" if away.fix else ""), "red")


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
