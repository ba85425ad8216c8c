"""The in-memory platform passes the conformance kit; it shows every kind of sample."""

from provision.testing.memory_conformance import MemoryConformance


class TestMemory(MemoryConformance):
    """Few calls of each operation fail here; `provision plugin check memory` tries more of them."""

    calls_tried = 2
