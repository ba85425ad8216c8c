"""The plugin keeps every promise of the interface on a real hypervisor, whatever goes wrong with any call to it."""

import pytest
from provision_libvirt.conformance import LibvirtConformance

pytestmark = pytest.mark.lab


class TestConformance(LibvirtConformance):
    """Each check is a test."""
