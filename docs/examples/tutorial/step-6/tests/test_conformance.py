"""The plugin keeps every promise that the kit knows of."""

from provision_qemu.conformance import Conformance


class TestConformance(Conformance):
    """What pytest collects."""
