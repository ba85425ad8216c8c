"""The kernel's tables of packet rules, from the text that `iptables-save` and `ebtables-save` print."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_VALUELESS = {"--physdev-is-bridged", "--physdev-is-in", "--physdev-is-out", "--syn"}
_COUNTERS = "["


@dataclass(frozen=True, slots=True)
class Test:
    """One condition of a rule: an option, its values, and whether it must not hold."""

    option: str
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a chain.

    Attributes:
        tests: conditions; all must hold.
        target: where matching packets go, empty for nowhere.
        goto: whether they do not come back to this chain.
        text: as the kernel was seen to have it.
    """

    tests: tuple[Test, ...]
    target: str
    goto: bool
    text: str


@dataclass
class Table:
    """One table: rules by chain, and what becomes of packets at the end of a chain that the kernel enters itself."""

    name: str
    chains: dict[str, list[Rule]] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)


def tables(text: str) -> Mapping[str, Table]:
    """The tables of a dump, by name.

    Raises:
        ValueError: it is no such dump.
    """
    found: dict[str, Table] = {}
    table: Table | None = None
    for line in text.splitlines():
        if not line.strip() or line.startswith("#") or line == "COMMIT":
            continue
        if line.startswith("*"):
            table = found.setdefault(line[1:].strip(), Table(line[1:].strip()))
        elif table is None:
            raise ValueError(f"no dump of packet rules: {line[:60]!r}")
        elif line.startswith(":"):
            name, policy = line[1:].split()[:2]
            table.chains.setdefault(name, [])
            table.policies[name] = policy
        else:
            chain, rule = _rule(line)
            table.chains.setdefault(chain, []).append(rule)
    return found


def _rule(line: str) -> tuple[str, Rule]:
    words = shlex.split(line)
    if words and words[0].startswith(_COUNTERS):
        words = words[1:]
    if len(words) < 2 or words[0] != "-A":
        raise ValueError(f"no rule: {line[:60]!r}")
    tests: list[Test] = []
    target, goto = "", False
    for option, values, negated in _options(words[2:]):
        if option in ("-j", "-g"):
            target, goto = values[0] if values else "", option == "-g"
            break  # what follows belongs to the target
        tests.append(Test(option, values, negated))
    return words[1], Rule(tuple(tests), target, goto, line.strip())


def _options(words: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Options with their values; a `!` stands before the option or before its value."""
    at, negated = 0, False
    while at < len(words):
        if words[at] == "!":
            negated, at = True, at + 1
            continue
        option, values = words[at], list[str]()
        at += 1
        while at < len(words) and option not in _VALUELESS:
            if words[at] == "!" and not values and at + 1 < len(words) and not words[at + 1].startswith("-"):
                negated, at = True, at + 1
            elif words[at].startswith("-") or words[at] == "!":
                break
            else:
                values.append(words[at])
                at += 1
        yield option, tuple(values), negated
        negated = False
