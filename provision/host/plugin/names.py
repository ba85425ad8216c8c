"""Names that are made for what the program gives none: once, and then kept."""

import enum
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any

from provision.host.plugin.checking import Failure
from provision.host.plugin.shapes import Record
from provision.spi.properties import AutoName


class Mode(enum.Enum):
    """How much Pulumi's `pulumi:autonaming` configuration insists on the name that it proposes."""

    PROPOSE = "propose"
    ENFORCE = "enforce"
    DISABLE = "disable"


@dataclass(frozen=True, slots=True)
class Autonaming:
    """What Pulumi's configuration says of a resource's automatic name."""

    mode: Mode
    proposed: str = ""


def named(
    values: Mapping[str, Any],
    old: Mapping[str, Any] | None,
    record: Record,
    *,
    urn: str,
    seed: bytes = b"",
    autonaming: Autonaming | None = None,
) -> tuple[dict[str, Any], list[Failure]]:
    """Inputs with automatic names filled in, and what stands against that.

    Args:
        values: plain wire inputs.
        old: recorded ones, None for a new object; what they say of the name is kept.
        record: shape of the inputs.
        urn: of the resource.
        seed: makes the same names again, as for an update plan; without it they are random.
        autonaming: what Pulumi's configuration says.
    """
    result, failures = dict(values), list[Failure]()
    for wire, field in record.fields.items():
        if field.auto_name is None or result.get(wire) is not None:
            continue
        if old is not None:
            # Also when none is recorded: an object of an older release is not made anew for a name.
            result |= {wire: old[wire]} if old.get(wire) is not None else {}
        elif autonaming is not None and autonaming.mode is Mode.DISABLE:
            failures.append(Failure((wire,), "is required, since `pulumi:autonaming` is disabled"))
        elif autonaming is not None and autonaming.mode is Mode.ENFORCE:
            result[wire] = autonaming.proposed
        elif autonaming is not None and autonaming.proposed:
            result[wire] = fitted(autonaming.proposed, field.auto_name)
        else:
            result[wire] = made(urn, wire, seed, field.auto_name)
    return result, failures


def made(urn: str, wire: str, seed: bytes, rules: AutoName) -> str:
    """The resource's own name, a dash and random digits."""
    digits = blake2s(seed + f"\0{urn}\0{wire}".encode()).hexdigest() if seed else secrets.token_hex(32)
    end = f"-{digits[: rules.random]}" if rules.random else ""
    start = _cleaned(urn.rpartition("::")[2], rules).strip("-")
    return (start[: max(rules.max_length - len(end), 0)].rstrip("-") + end).lstrip("-")


def fitted(proposed: str, rules: AutoName) -> str:
    """A proposed name within the rules; its end, which makes it one of a kind, stays."""
    name = _cleaned(proposed, rules)
    if len(name) <= rules.max_length:
        return name
    end = name[-(rules.random + 1) :]
    return name[: rules.max_length - len(end)] + end


def _cleaned(text: str, rules: AutoName) -> str:
    allowed = re.compile(f"[{rules.allowed}]")

    def one(character: str) -> str:
        if allowed.fullmatch(character):
            return character
        lower = character.lower()
        return lower if len(lower) == 1 and allowed.fullmatch(lower) else "-"

    return "".join(one(character) for character in text)
