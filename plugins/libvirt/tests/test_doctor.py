"""What the doctor finds, and how capabilities are told apart by where the hypervisor is."""

import pytest
from provision_libvirt import capabilities, doctor
from provision_libvirt.config import LibvirtConfig
from provision_libvirt.lab.settings import MARKER
from provision_libvirt.place import is_own_host, lab_directory


def test_a_hypervisor_that_is_not_there_is_one_finding_among_the_others(tmp_path):
    found = doctor.diagnose(LibvirtConfig(uri=f"qemu+unix:///system?socket={tmp_path}/none"))
    by_subject = {finding.subject: finding for finding in found}
    assert by_subject["libvirt"].ok is False
    assert "provision lab start" in by_subject["libvirt"].fix
    assert {"qemu-system-x86_64", "dnsmasq", "iptables", "ebtables", "accelerator"} <= set(by_subject)


def test_a_hypervisor_without_filters_is_named(monkeypatch):
    found = {finding.subject: finding for finding in doctor.diagnose(LibvirtConfig(uri="test:///default"))}
    assert found["packet filters"].ok is False
    assert found["libvirt"].ok is True


def test_missing_programs_come_with_the_package_that_brings_them(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda program, path: None)
    found = {finding.subject: finding for finding in doctor.diagnose(LibvirtConfig(uri="test:///default"))}
    assert found["dnsmasq"].ok is False
    assert found["dnsmasq"].fix.startswith("apt-get install --no-install-recommends dnsmasq-base")


def test_policies_that_the_hypervisor_cannot_carry_out_are_warnings_with_the_reason():
    found = {finding.subject: finding for finding in doctor.diagnose(LibvirtConfig(uri="test:///default"))}

    for name in ("CPUs of its own", "secure boot", "encrypted disks"):
        assert (found[name].ok, found[name].detail) == (None, "libvirt's test driver runs no guests")
        assert found[name].fix


@pytest.mark.parametrize(
    ("uri", "own"),
    [
        ("qemu:///system", True),
        ("qemu+unix:///system", True),
        ("qemu+unix:///system?socket=/somewhere/sock", False),
        ("qemu+ssh://root@elsewhere/system", False),
        ("test:///default", False),
    ],
)
def test_only_the_machine_itself_is_looked_at_directly(uri, own):
    assert is_own_host(uri) is own


def test_a_private_hypervisor_is_known_by_its_directory(tmp_path):
    (tmp_path / MARKER).write_text("")
    assert lab_directory(f"qemu+unix:///system?socket={tmp_path}/run/libvirt/libvirt-sock") == tmp_path
    assert lab_directory("qemu+unix:///system?socket=/var/empty/sock") is None
    assert lab_directory("qemu:///system") is None


def test_what_cannot_be_seen_is_not_guessed():
    assert capabilities.bridge_filtering("qemu+ssh://root@elsewhere/system", "iptables") is None


def test_versions_are_written_as_people_write_them():
    assert capabilities.version(9_000_001) == "9.0.1"
