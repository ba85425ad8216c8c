"""Holding a stack against rules: what is broken, where, and by which packet, before anything is made."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from provision.diagnostics import Diagnostic, Path, Severity, SourceMap
from provision.errors import POLICY_REFUSED, PolicyRefused
from provision.models import DiskEncryptionPolicy, Level, Peer, Posture, Stack, TrafficPolicy
from provision.spi import NicAddress
from provision.verify.guardrails.models import (
    DefaultDenyRule,
    EncryptedDisksRule,
    NoSharedNetworkRule,
    OnlyFromRule,
    PolicyRequiredRule,
    Rule,
    RuleLevel,
    UnreachableRule,
)
from provision.verify.guardrails.read import RuleBook
from provision.verify.guardrails.seen import Passing, StackView


@dataclass(frozen=True, slots=True)
class Finding:
    """One place of a stack file that breaks a rule.

    Attributes:
        summary: what is wrong, in one sentence.
        path: where in the stack file.
        fix: what to do.
        level: what it does to the run.
    """

    summary: str
    path: Path = ()
    fix: str = ""
    level: RuleLevel = RuleLevel.REQUIRED


CodeRule: TypeAlias = Callable[[StackView], Iterable[Finding]]
"""A rule written in Python: looks at a stack and names what breaks it."""


@dataclass(frozen=True)
class Checked:
    """The outcome.

    Attributes:
        diagnostics: what is broken, and which rules speak of nothing in this stack.
        source_map: of the stack file and the rules files together.
        rules: how many rules were looked at.
    """

    diagnostics: tuple[Diagnostic, ...] = ()
    source_map: SourceMap = SourceMap()  # noqa: RUF009 - immutable
    rules: int = 0

    @property
    def broken(self) -> tuple[Diagnostic, ...]:
        """What stops the run."""
        return tuple(item for item in self.diagnostics if item.severity is Severity.ERROR)

    def refuse(self) -> None:
        """Stop the run when a required rule is broken.

        Raises:
            PolicyRefused: one is.
        """
        if self.broken:
            raise refusal(self.diagnostics, self.source_map)


def refusal(found: Sequence[Diagnostic], source_map: SourceMap) -> PolicyRefused:
    """The failure of a run that breaks rules."""
    error = PolicyRefused([item for item in found if item.severity is not Severity.NOTE], source_map)
    count = sum(item.severity is Severity.ERROR for item in found)
    places = "in 1 place" if count == 1 else f"in {count} places"
    error.summary = f"{POLICY_REFUSED}: the stack breaks rules of the organisation {places}; nothing was changed"
    return error


def check(
    stack: Stack,
    source_map: SourceMap,
    addresses: Mapping[str, Sequence[NicAddress]],
    books: Iterable[RuleBook],
    code: Mapping[str, CodeRule] = {},
) -> Checked:
    """Hold a stack against rules.

    Args:
        stack: what the file says.
        source_map: where it says so.
        addresses: per machine instance (`web-0`), its NICs in order.
        books: rules files.
        code: rules in Python, by name.
    """
    books = list(books)
    view = StackView(stack, addresses, [peer for book in books for rule in book.rules.values() for peer in _ends(rule)])
    found: list[Diagnostic] = []
    for book in books:
        for name, rule in book.rules.items():
            found += _of_rule(view, book, name, rule, source_map)
    for name, written in code.items():
        for item in written(view):
            told = replace(item, summary=f"the rule '{name}' is broken: {item.summary}")
            found.append(_diagnostic(told, source_map))
    sources = dict(source_map.sources)
    for book in books:
        sources |= book.source_map.sources
    count = sum(len(book.rules) for book in books) + len(code)
    return Checked(tuple(found), SourceMap(source_map.keys, source_map.values, sources), count)


def _of_rule(view: StackView, book: RuleBook, name: str, rule: Rule, source_map: SourceMap) -> Iterator[Diagnostic]:
    place = book.place(name)
    for item in _broken(view, rule):
        said = f" ({rule.description.rstrip('.')})" if rule.description else ""
        fix = "; ".join(part for part in (item.fix, f"the rule is at {place}{said}") if part)
        told = replace(item, summary=f"the rule '{name}' is broken: {item.summary}", fix=fix)
        yield _diagnostic(told, source_map)
    for field, peers in _selectors(rule).items():
        if not view.is_anybody(peers) and not view.entries(peers):
            summary = f"there is no {', '.join(map(str, peers))} in this stack"
            if isinstance(rule, OnlyFromRule) and field == "from":
                summary += f", so that by the rule '{name}' nobody may"
            else:
                summary = f"the rule '{name}' speaks of nothing here: {summary}"
            fix = "nothing to do, unless something was to be selected"
            yield Diagnostic(Severity.NOTE, summary, fix, (), book.place(name, field))


def _broken(view: StackView, rule: Rule) -> Iterator[Finding]:
    match rule:
        case UnreachableRule():
            yield from _reached(view.passing(rule.sources, rule.destinations, rule.services), rule.level)
        case OnlyFromRule():
            others = view.passing(None, rule.destinations, rule.services, but=rule.sources)
            yield from _reached(others, rule.level)
        case NoSharedNetworkRule():
            yield from _shared(view, rule)
        case EncryptedDisksRule():
            yield from _plain_disks(view, rule)
        case DefaultDenyRule():
            if view.stack.isolation.default is Posture.ALLOW:
                why = "what no policy names is allowed"
                yield Finding(why, ("isolation", "default"), "remove it, and allow what is needed", rule.level)
        case PolicyRequiredRule():
            yield from _uncovered(view, rule)


def _reached(found: Iterable[Passing], level: RuleLevel) -> Iterator[Finding]:
    every = list(found)
    arriving = {item.why for item in every if item.routed}
    for item in every:
        others = item.pairs - 1
        more = f"; so {'does' if others == 1 else 'do'} {others} other pair{'s' * (others != 1)}" if others else ""
        fix = f"narrow {item.by}" if not item.why.startswith(("services.", "default")) else f"remove {item.by}"
        if item.routed:
            yield Finding(f"{item} passes by {item.by}{more}", item.path, fix, level)
        elif item.why not in arriving:  # the networks stop it today; another one added tomorrow would not
            summary = f"{item} is allowed by {item.by}, and only the networks give it no way"
            yield Finding(summary, item.path, fix, RuleLevel.WARN)


def _shared(view: StackView, rule: NoSharedNetworkRule) -> Iterator[Finding]:
    some, others = sorted(view.entries(rule.machines)), view.entries(rule.others)
    machines = view.stack.machines
    on: dict[str, str] = {}
    for name in some:
        if name in others:
            yield Finding(f"'{name}' is of both groups", ("machines", name, "labels"), "make it two", rule.level)
        for nic in machines[name].nics:
            on.setdefault(nic.network, name)
    for name in sorted(others):
        for index, nic in enumerate(machines[name].nics):
            first = on.get(nic.network)
            if first is not None and first != name and name not in some:
                summary = f"'{name}' is on the network '{nic.network}', and so is '{first}'"
                path = ("machines", name, "nics", index)
                yield Finding(summary, path, "give one of them a network of its own", rule.level)


def _plain_disks(view: StackView, rule: EncryptedDisksRule) -> Iterator[Finding]:
    policies = [p for p in view.stack.isolation.policies.values() if isinstance(p, DiskEncryptionPolicy)]
    held = view.entries(peer for policy in policies if policy.level is Level.REQUIRED for peer in policy.machines)
    wished = view.entries(peer for policy in policies for peer in policy.machines) - held
    for name in sorted(view.entries(rule.machines) - held):
        machine = view.stack.machines[name]
        but = "; its policy is only preferred" if name in wished else ""
        if rule.boot and not (machine.root is not None and machine.root.encrypted):
            path: Path = ("machines", name, *(("root",) if machine.root is not None else ()))
            fix = "add 'root: {encrypted: true}', or a required policy of the kind disk_encryption"
            yield Finding(f"the disk that '{name}' boots from is not encrypted{but}", path, fix, rule.level)
        for disk, data in machine.disks.items():
            if not data.encrypted:
                summary = f"the disk '{disk}' of '{name}' is not encrypted{but}"
                fix = "add 'encrypted: true', or a required policy of the kind disk_encryption"
                yield Finding(summary, ("machines", name, "disks", disk), fix, rule.level)


def _uncovered(view: StackView, rule: PolicyRequiredRule) -> Iterator[Finding]:
    covered: dict[str, frozenset[str]] = {}
    for policy in view.stack.isolation.policies.values():
        if not isinstance(policy, TrafficPolicy) and policy.level is Level.REQUIRED:
            covered[policy.kind] = covered.get(policy.kind, frozenset()) | view.entries(policy.machines)
    for name in sorted(view.entries(rule.machines)):
        for kind in rule.policies:
            if name not in covered.get(kind, ()):
                fix = f"add one under 'isolation.policies': {{kind: {kind}, machines: [machine.{name}]}}"
                yield Finding(f"no required policy '{kind}' speaks of '{name}'", ("machines", name), fix, rule.level)


def _ends(rule: Rule) -> Sequence[Peer]:
    return [peer for peers in _selectors(rule).values() for peer in peers]


def _selectors(rule: Rule) -> Mapping[str, Sequence[Peer]]:
    """What a rule names, by the key that names it."""
    match rule:
        case UnreachableRule() | OnlyFromRule():
            return {"from": rule.sources, "to": rule.destinations}
        case NoSharedNetworkRule():
            return {"machines": rule.machines, "others": rule.others}
        case EncryptedDisksRule() | PolicyRequiredRule():
            return {"machines": rule.machines}
        case DefaultDenyRule():
            return {}


def _diagnostic(item: Finding, source_map: SourceMap) -> Diagnostic:
    severity = Severity.ERROR if item.level is RuleLevel.REQUIRED else Severity.WARNING
    return Diagnostic(severity, item.summary, item.fix, item.path, source_map.locate(item.path))
