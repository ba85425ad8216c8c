"""Texts that name machines: outputs and templated user data, filled in once addresses are known."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import SecretStr

from provision.diagnostics import DiagnosticSink, Path
from provision.loader.expressions import Expression, ExpressionError, evaluate
from provision.models import CloudInit, Stack, UserData
from provision.spi import NicAddress
from provision.translate.cloudconfig import NotCombinable, first_boot
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
    stack: Stack,
    machines: Sequence[Instance],
    addresses: Mapping[str, Sequence[NicAddress]],
    sink: DiagnosticSink,
) -> dict[str, str | SecretStr]:
    """The user data of every machine instance that has some: templates filled in, and with what `cloud_init` says."""
    found: dict[str, str | SecretStr] = {}
    broken: set[str] = set()
    resolver = machine_resolver(addresses)
    for instance in machines:
        if instance.entry in broken:  # reported once, not once per instance
            continue
        before = len(sink)
        text = _first_boot(stack, instance, resolver, sink)
        if len(sink) > before:
            broken.add(instance.entry)
        elif text is not None:
            found[instance.name] = text
    return found


def _first_boot(stack: Stack, instance: Instance, resolver: Resolver, sink: DiagnosticSink) -> str | SecretStr | None:
    machine, path = instance.machine, ("machines", instance.entry)
    data = machine.user_data
    text = data.text if isinstance(data, UserData) else data
    if isinstance(data, UserData) and data.template and text is not None:
        text = _as_text(fill(text, resolver, sink, (*path, "user_data", "text")))
    said = machine.cloud_init
    if said is not None and said.template:
        said = _filled(said, resolver, sink, (*path, "cloud_init"))
    domain = stack.networks[machine.nics[0].network].domain if machine.nics else None
    try:
        return first_boot(instance.name, said, machine.ssh_keys, text, domain)
    except NotCombinable as problem:
        sink.error(
            (*path, "user_data"),
            str(problem),
            "begin it with '#!/bin/sh' or '#cloud-config', or another word of cloud-init for what it is",
            key=True,
        )
        return None


def _filled(said: CloudInit, resolver: Resolver, sink: DiagnosticSink, path: Path) -> CloudInit:
    """With every expression in files and commands evaluated."""
    files = [
        file.model_copy(
            update={"content": _as_text(fill(file.content, resolver, sink, (*path, "write_files", index, "content")))}
        )
        for index, file in enumerate(said.write_files)
    ]
    commands = [
        [_as_text(word) for word in command] if isinstance(command, list) else _as_text(command)
        for command in fill(said.runcmd, resolver, sink, (*path, "runcmd"))
    ]
    return said.model_copy(update={"write_files": files, "runcmd": commands})


def _as_text(value: Any) -> str | SecretStr:
    return value if isinstance(value, str | SecretStr) else "" if value is None else str(value)


def _meant(name: str, known: Sequence[str]) -> str:
    counted = [other for other in known if other.rpartition("-")[0] == name]
    if counted:
        return f"it has a count: write {counted[0]}"
    close = get_close_matches(name, known[:20_000], 1)
    return f"did you mean '{close[0]}'?" if close else ""
