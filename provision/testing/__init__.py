"""For authors of provider plugins: an in-memory platform, and a harness that runs resource types as the engine does."""

from provision.testing.harness import CheckRefused, Lifecycle, OperationFailed
from provision.testing.memory import MemoryProvider
from provision.testing.store import Store, StoredObject

__all__ = ["CheckRefused", "Lifecycle", "MemoryProvider", "OperationFailed", "Store", "StoredObject"]
