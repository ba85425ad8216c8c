"""Policies of the APIs, read before anybody asks.

Keystone, Neutron, Nova and Cinder read theirs at the first request and let others be judged by those that have been
read so far: of several first requests at a time all but one are refused (403). A host whose token is refused so is not
known to Placement until it reports its resources again, minutes later.
"""

import importlib

_MODULES = {"neutron": "neutron.policy", "nova": "nova.policy", "cinder": "cinder.policy"}


def read(service):
    """Read those of one API; the others read theirs when they are loaded."""
    if service == "keystone":
        rbac_enforcer = importlib.import_module("keystone.common.rbac_enforcer")
        rbac_enforcer.RBACEnforcer()._enforcer.load_rules()
    elif service in _MODULES:
        importlib.import_module(_MODULES[service]).init()
