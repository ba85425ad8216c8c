"""Checks over the whole stack that no single model can make; all of them take time linear in the file, or n log n."""

from provision.loader.checks.addresses import check_addresses
from provision.loader.checks.context import Context
from provision.loader.checks.drift import check_drift
from provision.loader.checks.names import check_names
from provision.loader.checks.outputs import check_expressions
from provision.loader.checks.places import check_places
from provision.loader.checks.policies import check_policies
from provision.loader.checks.user_data import Expand, UserDataFiles

__all__ = [
    "Context",
    "Expand",
    "UserDataFiles",
    "check_addresses",
    "check_drift",
    "check_expressions",
    "check_names",
    "check_places",
    "check_policies",
]
