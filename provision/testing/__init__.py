"""For plugin authors: the conformance kit, an in-memory platform, and a harness that acts as the engine does."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provision.testing.conformance.report import Outcome, Report, Result
    from provision.testing.conformance.samples import REMOVED, Foreign, FunctionSample, Platform, Sample, StackSample
    from provision.testing.conformance.suite import ConformanceSuite, run_conformance
    from provision.testing.faults import Effect, Faults
    from provision.testing.harness import Lifecycle
    from provision.testing.memory import MemoryProvider
    from provision.testing.recorder import Recorder, Said
    from provision.testing.seen import CheckRefused, Compared, Found, Made, OperationFailed, Page
    from provision.testing.store import Call, Fault, Store, StoredObject

__all__ = [
    "REMOVED",
    "Call",
    "CheckRefused",
    "Compared",
    "ConformanceSuite",
    "Effect",
    "Fault",
    "Faults",
    "Foreign",
    "Found",
    "FunctionSample",
    "Lifecycle",
    "Made",
    "MemoryProvider",
    "OperationFailed",
    "Outcome",
    "Page",
    "Platform",
    "Recorder",
    "Report",
    "Result",
    "Said",
    "Sample",
    "StackSample",
    "Store",
    "StoredObject",
    "run_conformance",
]

_MODULES = {
    "REMOVED": "conformance.samples",
    "Call": "store",
    "CheckRefused": "seen",
    "Compared": "seen",
    "ConformanceSuite": "conformance.suite",
    "Effect": "faults",
    "Fault": "store",
    "Faults": "faults",
    "Foreign": "conformance.samples",
    "Found": "seen",
    "FunctionSample": "conformance.samples",
    "Lifecycle": "harness",
    "Made": "seen",
    "MemoryProvider": "memory",
    "OperationFailed": "seen",
    "Outcome": "conformance.report",
    "Page": "seen",
    "Platform": "conformance.samples",
    "Recorder": "recorder",
    "Report": "conformance.report",
    "Result": "conformance.report",
    "Said": "recorder",
    "Sample": "conformance.samples",
    "StackSample": "conformance.samples",
    "Store": "store",
    "StoredObject": "store",
    "run_conformance": "conformance.suite",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: whoever uses the in-memory platform must not pay for the plugin host."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"provision.testing.{_MODULES[name]}"), name)
