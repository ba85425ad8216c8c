"""One spelling for what libvirt, or a person, spells in several ways."""

import contextlib
import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from provision.spi import Normalized, Properties

_MASKS = re.compile(r"mask$")


def canonical(value: Any) -> Any:
    """The same value for every spelling and order of a network's entries that means the same."""
    if isinstance(value, Properties):
        return canonical(dict(value))
    if isinstance(value, Mapping):
        return {name: canonical(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return sorted((canonical(item) for item in value), key=repr)
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return str(ip_address(value))
        return value.lower()
    return value


def canonical_rule(rule: Mapping[str, Any]) -> tuple[object, ...]:
    """The same value for every spelling of the same packet rule that libvirt is known to use."""
    attributes = sorted((name, _attribute(name, value)) for name, value in rule.get("attributes", {}).items())
    said = (rule.get("priority", 500), rule.get("statematch", True), rule.get("protocol", "all"))
    return (rule.get("action"), rule.get("direction"), *said, tuple(attributes))


def canonical_rules(value: Any) -> Any:
    """Rules as they stand in inputs, each in its one spelling."""
    if not isinstance(value, list):
        return value
    return [list(canonical_rule(rule)) if isinstance(rule, Mapping) else rule for rule in value]


def _attribute(name: str, value: str) -> str:
    text = value.strip().lower()
    if _MASKS.search(name) and "." in text:
        return str(sum(bin(int(part)).count("1") for part in text.split(".") if part.isdigit()))
    with contextlib.suppress(ValueError):
        return str(int(text, 0))
    with contextlib.suppress(ValueError):
        return str(ip_address(text))
    return text


ANY_SPELLING = Normalized(canonical, "the order of entries, case and the spelling of addresses do not matter")
SAME_RULES = Normalized(canonical_rules, "the spelling of numbers, masks and addresses does not matter")
