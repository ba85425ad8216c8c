"""Texts that name machines: outputs and templated user data, filled in once addresses are known."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import SecretStr

from provision.diagnostics import DiagnosticSink, Path
from provision.loader.expressions import Expression, ExpressionError, evaluate
from provision.models import Stack, UserData
from provision.spi import NicAddress
from provision.translate.instances import Instance

Resolver = Callable[[Expression], Any]


def machine_resolver(addresses: Mapping[str, Sequence[NicAddress]]) -> Resolver:
    """Answers `${machine.NAME.address}`, `.address6`, `.name` and `.nics[0].address` from the plan of addresses."""

    def resolve(expression: Expression) -> Any:
        where = (expression.offset, expression.length)
        if expression.root != "machine":
            raise ExpressionError(
                f"'{expression}' cannot be used here",
                "only machines can: write it in the stack file's own 'text' to use parameters and references",
                *where,
            )
        name, attribute = str(expression.path[0]), str(expression.path[1])
        if name not in addresses:
            raise ExpressionError(f"there is no machine called '{name}'", _meant(name, list(addresses)), *where)
        nics = addresses[name]
        if attribute == "name":
            return name
        if attribute == "nics":
            index, attribute = int(expression.path[2]), str(expression.path[3])
            if index >= len(nics):
                count = f"{len(nics)} NIC{'' if len(nics) == 1 else 's'}"
                raise ExpressionError(f"machine '{name}' has {count}, and no nics[{index}]", "count from 0", *where)
            nics = nics[index : index + 1]
        found = next((a for nic in nics if (a := nic.ipv4 if attribute == "address" else nic.ipv6)), None)
        if found is None:
            family = "IPv4" if attribute == "address" else "IPv6"
            raise ExpressionError(
                f"machine '{name}' has no {family} address there",
                f"attach it to a network with a '{'cidr' if attribute == 'address' else 'cidr6'}'",
                *where,
            )
        return found

    return resolve


def fill(value: Any, resolver: Resolver, sink: DiagnosticSink, path: Path) -> Any:
    """`value` with every expression inside evaluated; what is wrong is reported at its place and becomes None."""
    if isinstance(value, str | SecretStr):
        secret = isinstance(value, SecretStr)
        try:
            found = evaluate(value.get_secret_value() if isinstance(value, SecretStr) else value, resolver)
        except ExpressionError as error:
            sink.error(path, error.summary, error.fix)
            return None
        return SecretStr(found) if secret and isinstance(found, str) else found
    if isinstance(value, Mapping):
        return {key: fill(item, resolver, sink, (*path, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, resolver, sink, (*path, index)) for index, item in enumerate(value)]
    return value


def outputs(stack: Stack, addresses: Mapping[str, Sequence[NicAddress]], sink: DiagnosticSink) -> dict[str, Any]:
    """The outputs of the stack file; what is derived from a secret is a `SecretStr`."""
    return dict(fill(stack.outputs, machine_resolver(addresses), sink, ("outputs",)))


def user_data(
    machines: Sequence[Instance], addresses: Mapping[str, Sequence[NicAddress]], sink: DiagnosticSink
) -> dict[str, str | SecretStr]:
    """The user data of every machine instance that has some, templates filled in."""
    found: dict[str, str | SecretStr] = {}
    broken: set[str] = set()
    resolver = machine_resolver(addresses)
    for instance in machines:
        data = instance.machine.user_data
        text = data.text if isinstance(data, UserData) else data
        if text is None or instance.entry in broken:
            continue
        filled = text
        if isinstance(data, UserData) and data.template:
            filled = fill(text, resolver, sink, ("machines", instance.entry, "user_data", "text"))
        if filled is None:
            broken.add(instance.entry)  # reported once, not once per instance
        else:
            found[instance.name] = filled if isinstance(filled, str | SecretStr) else str(filled)
    return found


def _meant(name: str, known: Sequence[str]) -> str:
    counted = [other for other in known if other.rpartition("-")[0] == name]
    if counted:
        return f"it has a count: write {counted[0]}"
    close = get_close_matches(name, known[:20_000], 1)
    return f"did you mean '{close[0]}'?" if close else ""
