"""For Pulumi programs in Python: stack files and models as components, and the native types of every plugin, typed.

All of it is also to be had as `provision.deploy`, `provision.native` and so on; Pulumi's SDK is imported when the first
of them is used.
"""

from provision.host.programs.native import Native, NativeType, invoke, native, provider
from provision.host.programs.stack import StackComponent, deploy
from provision.host.programs.values import later, stack_id

__all__ = ["Native", "NativeType", "StackComponent", "deploy", "invoke", "later", "native", "provider", "stack_id"]
