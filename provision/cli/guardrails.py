"""Rules of an organisation, as commands that run no engine hold them against a stack file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provision.loader.rule_files import any_rules, rule_files

if TYPE_CHECKING:  # verification is loaded when there are rules
    from provision.loader import Loaded
    from provision.translate import AssignedAddress
    from provision.verify.guardrails import Checked


def kept(
    loaded: "Loaded",
    named: Sequence[Path],
    configured: Sequence[str],
    recorded: "Mapping[str, AssignedAddress] | None" = None,
) -> "Checked | None":
    """What rules have to say of a stack file; None when there are none.

    Args:
        loaded: the stack file.
        named: rules files that the command line names.
        configured: those that `provision:rules` names.
        recorded: addresses that the stack's interfaces have already, if any.

    Raises:
        ProvisionError: the rules cannot be used.
    """
    files = rule_files(loaded.directory, configured, named)
    if not any_rules(files):
        return None
    from provision.verify.guardrails import check_files

    return check_files(loaded, files, recorded or {})
