"""Virtual CPUs of a running machine: plugged in, and told to its guest where that can be done."""

import libvirt
import pytest
from provision_libvirt.resources.domain_model import DomainInputs
from provision_libvirt.resources.tuning import change_vcpus

from provision.errors import PlatformError
from provision.spi import Operation

LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
GUEST = libvirt.VIR_DOMAIN_VCPU_GUEST


class Running:
    """A domain that refuses as often as it is told."""

    def __init__(self, **refusals):
        self.refusals, self.calls = refusals, []

    def setVcpusFlags(self, count, flags):
        self.calls.append((count, flags))
        kind = "guest" if flags == GUEST else "live"
        if self.refusals.get(kind, 0):
            self.refusals[kind] -= 1
            raise libvirt.libvirtError("not now")


def changed(domain, has, **wanted):
    notes = []
    operation = Operation(urn="u", session=None, wait=lambda seconds: False, note=notes.append)
    inputs = DomainInputs(stack_id="s", pool="p", name="web", memory_mib=96, vcpus=4, **wanted)
    change_vcpus(operation, domain, {"vcpus": 4, "online_vcpus": has}, inputs)
    return notes


def test_nothing_is_asked_when_they_are_there():
    domain = Running()
    assert changed(domain, None) == changed(domain, 2, online_vcpus=2) == []
    assert domain.calls == []


def test_a_guest_with_an_agent_is_told_as_soon_as_it_sees_them():
    domain = Running(guest=2)
    assert changed(domain, 1, online_vcpus=3, ready="agent") == []
    assert domain.calls == [(3, LIVE), (3, GUEST), (3, GUEST), (3, GUEST)]


def test_who_brings_them_online_is_said_when_nobody_could_be_told(monkeypatch):
    monkeypatch.setattr("provision_libvirt.resources.tuning._TOLD_SECONDS", 0)
    for domain, ready, why in (
        (Running(), "channel", "no agent of the guest is known"),
        (Running(guest=1), "agent", "not now"),
    ):
        (note,) = changed(domain, 1, ready=ready)
        assert note.startswith("the machine 'web' has 4 virtual CPUs now")
        assert note.endswith(why)


def test_more_than_there_may_be_are_asked_back_and_a_guest_that_keeps_them_is_named():
    domain = Running(live=1)
    with pytest.raises(PlatformError, match="has 4 virtual CPUs, not 2, and gives none back: not now") as caught:
        changed(domain, None, online_vcpus=2)
    assert "switch the machine off" in caught.value.fix
    assert changed(domain, None, online_vcpus=2) == []
