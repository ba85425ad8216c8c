"""Native calls of libvirt, as whoever watches a run is told of them."""

import libvirt
import pytest
from provision_libvirt.config import LibvirtConfig
from provision_libvirt.session import Session

from provision.spi.calls import watch_calls


def test_what_is_asked_of_the_hypervisor_is_told_and_what_this_process_knows_is_not(monkeypatch):
    monkeypatch.setattr(libvirt, "libvirtmod", libvirt.libvirtmod)  # put back after the test
    told = []
    watch_calls(lambda *call: told.append(call))
    try:
        session = Session(LibvirtConfig(uri="test:///default"))
        connection = session.connection()
        domain = connection.lookupByName("test")
        assert domain.name() == "test"
        assert domain.UUIDString()
        told.clear()
        assert domain.info()[0] == libvirt.VIR_DOMAIN_RUNNING
        with pytest.raises(libvirt.libvirtError):
            connection.lookupByName("nobody")
        session.close()
    finally:
        watch_calls(None)
    assert [(name, failure) for name, _, _, _, failure in told if "Close" not in name] == [
        ("virDomainGetInfo", ""), ("virDomainLookupByName", "libvirtError"),
    ]  # fmt: skip
