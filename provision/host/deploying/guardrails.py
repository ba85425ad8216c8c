"""Rules of an organisation, held against a stack before the engine hears of its first resource."""

from collections.abc import Mapping
from typing import Any

from provision.addressing import AssignedAddress
from provision.diagnostics import Diagnostic, Severity, SourceMap
from provision.host.rules import configured_rules
from provision.host.values import plain
from provision.loader import Loaded
from provision.loader.rule_files import any_rules, rule_files

_PLAN = ":index:AddressPlan"


def assigned_addresses(recorded: Mapping[str, Mapping[str, Any]], prefix: str = "") -> dict[str, AssignedAddress]:
    """The addresses that interfaces have already.

    Args:
        recorded: outputs of resources by URN.
        prefix: what a component puts before every name.
    """
    found: dict[str, AssignedAddress] = {}
    for urn, outputs in recorded.items():
        kinds, _, name = urn.partition("::")[2].partition("::")[2].partition("::")
        if kinds.endswith(_PLAN) and name.startswith(prefix):
            given = plain(outputs.get("assigned"))
            for key, item in given.items() if isinstance(given, Mapping) else ():
                found[key] = AssignedAddress.model_validate(item)
    return found


def keep_rules(
    loaded: Loaded, configured: str | None, recorded: Mapping[str, AssignedAddress]
) -> tuple[tuple[Diagnostic, ...], SourceMap]:
    """What rules have to say of a stack that breaks none that is required, and where that stands.

    Args:
        loaded: the stack.
        configured: the value of `provision:rules`.
        recorded: addresses that interfaces have already.

    Raises:
        PolicyRefused: it breaks one.
        ProvisionError: the rules cannot be used.
    """
    files = rule_files(loaded.directory, configured_rules(configured))
    if not any_rules(files):
        return (), loaded.source_map
    from provision.verify.guardrails import check_files  # verification is not loaded by runs without rules

    checked = check_files(loaded, files, recorded)
    checked.refuse()
    told = [item for item in checked.diagnostics if item.severity is Severity.WARNING]
    if notes := len(checked.diagnostics) - len(told):
        summary = f"in {notes} place{'s' * (notes != 1)} the rules of the organisation name what this stack has not"
        told.append(Diagnostic(Severity.NOTE, summary, "`provision validate` says what"))
    return tuple(told), checked.source_map
