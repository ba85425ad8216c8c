"""For authors of provider plugins: an in-memory platform, and a harness that runs resource types as the engine does."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provision.testing.harness import CheckRefused, Compared, Lifecycle, Made, OperationFailed
    from provision.testing.memory import MemoryProvider
    from provision.testing.store import Call, Fault, Store, StoredObject

__all__ = [
    "Call",
    "CheckRefused",
    "Compared",
    "Fault",
    "Lifecycle",
    "Made",
    "MemoryProvider",
    "OperationFailed",
    "Store",
    "StoredObject",
]

_MODULES = {
    "Call": "store",
    "CheckRefused": "harness",
    "Compared": "harness",
    "Fault": "store",
    "Lifecycle": "harness",
    "Made": "harness",
    "MemoryProvider": "memory",
    "OperationFailed": "harness",
    "Store": "store",
    "StoredObject": "store",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: whoever uses the in-memory platform must not pay for the plugin host."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"provision.testing.{_MODULES[name]}"), name)
