"""Expressions on machines: the machine, the NIC and the address exist."""

from collections.abc import Iterable

from provision.diagnostics import Diagnostic, Path, Position, Severity
from provision.loader.checks.context import Context, makes
from provision.loader.expressions import Expression


def check_expressions(context: Context, later: Iterable[tuple[Path, Expression, Position]]) -> None:
    """Report expressions that no machine of the stack can answer."""
    for path, expression, position in later:
        found = _problem(context, expression)
        if found is not None:
            context.sink.add(Diagnostic(Severity.ERROR, *found, path, position))


def _problem(context: Context, expression: Expression) -> tuple[str, str] | None:
    machines = context.stack.machines
    name = str(expression.path[0])
    entry = context.entry_of(name)
    base = entry[0] if entry is not None and name not in machines else name
    if base not in machines:
        if not context.written("machines", base):
            return None
        stem = machines.get(name.rpartition("-")[0])
        if stem is not None and stem.count:
            return f"there is no machine '{name}'", f"there are {makes(name.rpartition('-')[0], stem)}"
        close = context.suggest(name, machines)
        return f"there is no machine '{name}'", close or "declare it under 'machines:'"
    machine = machines[base]
    if not context.known("machines", base, "count") or not context.known("machines", base, "nics"):
        return None
    if machine.count is not None and entry is None:
        rest = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in expression.path[1:])
        return (
            f"'{name}' makes several machines ({makes(name, machine)})" if machine.count else f"'{name}' makes none",
            f"write one of them, such as ${{machine.{name}-0{rest}}}" if machine.count else "raise its 'count'",
        )
    attribute = expression.path[-1]
    if attribute not in ("address", "address6"):
        return None
    chosen = expression.path[2] if expression.path[1] == "nics" else None
    indexes = [chosen] if isinstance(chosen, int) else list(range(len(machine.nics)))
    if not machine.nics or indexes[0] >= len(machine.nics):
        shown = {0: "no NIC", 1: "one NIC, with the index 0"}.get(
            len(machine.nics), f"{len(machine.nics)} NICs, from 0"
        )
        return f"the machine '{name}' has {shown}", "add a NIC, or use another index"
    key = "cidr" if attribute == "address" else "cidr6"
    networks = [context.network_of(base, index) for index in indexes]
    if any(network is None or getattr(network, key) is not None for network in networks):
        return None  # there is such an address, or that cannot be told
    names = " and ".join(f"'{machine.nics[index].network}'" for index in indexes)
    noun = "the network" if len(indexes) == 1 else "none of the networks"
    verb = "has no" if len(indexes) == 1 else "has a"
    other = "address6" if attribute == "address" else "address"
    return f"{noun} {names} {verb} '{key}'", f"add it, or use '{other}'"
