"""All rules that hold for a loaded stack file, in one call."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from provision.loader import Loaded
from provision.translate import AssignedAddress
from provision.verify.foreseen import foreseen
from provision.verify.guardrails.check import Checked, check
from provision.verify.guardrails.installed import installed_rules
from provision.verify.guardrails.read import read_rules


def check_files(loaded: Loaded, files: Sequence[Path], recorded: Mapping[str, AssignedAddress] = {}) -> Checked:
    """Hold a stack file against the rules of some files, and against those that are installed.

    Args:
        loaded: the stack file.
        files: rules files.
        recorded: addresses that the stack's interfaces have already.

    Raises:
        StackFileError: a rules file has mistakes.
        UserError: one cannot be read.
        PluginError: an installed rule cannot be used.
    """
    books, code = [read_rules(path) for path in files], installed_rules()
    if not books and not code:
        return Checked(source_map=loaded.source_map)
    # What has no address reaches nobody.
    addresses = foreseen(loaded.stack, loaded.source_map, recorded)
    return check(loaded.stack, loaded.source_map, addresses, books, code)
