"""From a stack to native resources of OpenStack: pure, and in time proportional to the stack."""

from provision_openstack.translate.objections import objections
from provision_openstack.translate.stack import translate

__all__ = ["objections", "translate"]
