"""One machine by plain `pulumi`, from the first preview to nothing left."""

from ipaddress import ip_address, ip_network

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.engine]


def test_hello_by_plain_pulumi(deploy):
    hello = deploy("hello", stack="01-hello")
    first = hello.fine("pulumi", "preview").text
    assert "machines/hello/domain" in first
    assert "Stash" in first
    assert "[unknown]" in hello.fine("pulumi", "preview", "--diff").text
    assert hello.objects == {}

    hello.fine("pulumi", "up")
    address = ip_address(hello.fine("pulumi", "stack", "output", "address").out.strip())
    assert address in ip_network("10.10.1.0/24")
    assert hello.running.keys() == {"hello-dev-hello"}
    hello.assert_exact()
    assert "PROVISION-GUEST-READY hello" in hello.console("hello")
    before = hello.uuids, hello.running

    again = hello.fine("pulumi", "up").text
    assert "unchanged" in again
    assert not any(word in again for word in ("created", "updated", "replaced", "deleted"))
    assert "Nothing to change" in hello.fine("provision", "up").text
    refreshed = hello.fine("pulumi", "refresh").text
    assert "unchanged" in refreshed
    assert "updated" not in refreshed
    assert (hello.uuids, hello.running) == before

    hello.fine("pulumi", "destroy")
    assert hello.objects == {}
    assert hello.resources() == {}
