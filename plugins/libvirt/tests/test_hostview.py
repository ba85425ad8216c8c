"""What is read of a hypervisor's host, and of libvirt's own description of it."""

import subprocess
from xml.etree import ElementTree

import pytest
from provision_libvirt import hostcaps, hostview
from provision_libvirt.hostview import HostView

CELLS = """
<capabilities><host>
  <topology><cells num='2'>
    <cell id='0'><memory unit='KiB'>1048576</memory><pages unit='KiB' size='4'>9</pages>
      <pages unit='KiB' size='2048'>5</pages>
      <cpus num='2'><cpu id='0' core_id='0' siblings='0,2'/><cpu id='2' core_id='0' siblings='0,2'/></cpus>
    </cell>
    <cell id='1'><memory unit='KiB'>2097152</memory><cpus num='1'><cpu id='1'/></cpus></cell>
  </cells></topology>
  <secmodel><model>apparmor</model></secmodel><secmodel><model>dac</model></secmodel>
</host></capabilities>
"""
DOMAIN = """
<domainCapabilities>
  <os supported='yes'><enum name='firmware'><value>efi</value></enum>
    <loader supported='yes'><enum name='secure'><value>yes</value><value>no</value></enum></loader></os>
  <devices><tpm supported='yes'><enum name='backendModel'><value>passthrough</value><value>emulator</value></enum></tpm>
  </devices>
  <features><sev supported='yes'><maxESGuests>0</maxESGuests></sev><sgx supported='yes'/></features>
</domainCapabilities>
"""


class Connection:
    """A hypervisor that answers with these documents."""

    def __init__(self, host=CELLS, domain=DOMAIN):
        self.host, self.domain = host, domain

    def getCapabilities(self):
        return self.host

    def getDomainCapabilities(self, *arguments):
        return self.domain


def test_libvirts_description_of_the_host():
    assert hostcaps.ask(Connection(), "kvm") == {
        "topology": [
            {
                "id": 0,
                "memory_mib": 1024,
                "huge_pages": {"2048": 5},
                "cpus": [{"id": 0, "siblings": "0,2"}, {"id": 2, "siblings": "0,2"}],
            },
            {"id": 1, "memory_mib": 2048, "huge_pages": {}, "cpus": [{"id": 1, "siblings": "1"}]},
        ],
        "security_models": ["apparmor", "dac"],
        "firmware": ["bios", "efi"],
        "secure_boot": True,
        "tpm_backends": ["passthrough", "emulator"],
        "memory_encryption": ["sev"],
    }


@pytest.mark.parametrize(
    ("features", "technologies"),
    [
        ("<sev supported='no'/>", []),
        ("<sev supported='yes'><maxESGuests>15</maxESGuests></sev>", ["sev", "sev-es"]),
        (
            "<sev supported='yes'><maxESGuests>0</maxESGuests></sev><launchSecurity supported='yes'>"
            "<enum name='sectype'><value>sev</value><value>sev-snp</value><value>s390-pv</value></enum>"
            "</launchSecurity>",
            ["sev", "sev-snp"],
        ),
        ("<launchSecurity><enum name='sectype'><value>tdx</value></enum></launchSecurity>", ["tdx"]),
    ],
)
def test_technologies_that_encrypt_memory(features, technologies):
    document = f"<domainCapabilities><features>{features}</features></domainCapabilities>"
    assert hostcaps.ask(Connection(domain=document), "kvm")["memory_encryption"] == technologies


@pytest.mark.parametrize("missing", ["<value>efi</value>", "<value>yes</value>"])
def test_without_firmware_for_it_there_is_no_secure_boot(missing):
    assert hostcaps.ask(Connection(domain=DOMAIN.replace(missing, "")), "qemu")["secure_boot"] is False
    assert hostcaps.topology(ElementTree.fromstring("<capabilities/>")) == []


def host(tmp_path, files):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return HostView(tmp_path)


def test_both_versions_of_control_groups(tmp_path):
    two = host(tmp_path / "2", {"sys/fs/cgroup/cgroup.controllers": "cpuset cpu io\n"})
    one = host(tmp_path / "1", {f"sys/fs/cgroup/{name}/tasks": "" for name in ("cpu,cpuacct", "memory", "systemd")})

    assert hostview.cgroups(two) == (2, ["cpu", "cpuset", "io"])
    assert hostview.cgroups(one) == (1, ["cpu", "cpuacct", "memory"])
    assert hostview.cgroups(HostView(tmp_path / "none")) == (1, [])


@pytest.mark.parametrize(
    ("status", "may"),
    [("CapEff:\t000001ffffffffff\n", True), ("CapEff:\t000001fffeffffff\n", False), ("Name: x\n", None)],
)
def test_whether_the_daemon_may_lock_memory(tmp_path, status, may):
    view = host(tmp_path, {"run/virtqemud.pid": "77\n", "proc/77/status": status})

    assert hostview.may_lock_memory(view) is may
    assert hostview.may_lock_memory(HostView(tmp_path / "none")) is None


@pytest.mark.parametrize(
    ("conf", "on"),
    [("", True), ("#seccomp_sandbox = 0\n", True), ("seccomp_sandbox = 1\n", True), ("seccomp_sandbox=0\n", False)],
)
def test_the_system_call_filter_is_as_libvirt_is_told(tmp_path, conf, on):
    assert hostview.seccomp(host(tmp_path, {"etc/libvirt/qemu.conf": conf})) is on
    assert hostview.seccomp(HostView(tmp_path / "none")) is True


def test_emulators_are_found_by_name_while_they_run(tmp_path):
    view = host(tmp_path, {"run/libvirt/qemu/web.pid": "5\n", "proc/5/status": "", "run/libvirt/qemu/db.pid": "6\n"})

    assert view.emulator("web") == tmp_path / "proc/5"
    assert view.emulator("db") is None
    assert view.emulator("none") is None


def test_every_emulator_is_found_whoever_started_it(tmp_path):
    names = {"7": "qemu-system-x86", "8": "qemu-img-helper", "9": "libvirtd", "self": "qemu-system-x86"}
    view = host(tmp_path, {f"proc/{pid}/comm": f"{name}\n" for pid, name in names.items()})

    assert view.emulators() == [7, 8]


@pytest.mark.parametrize(("run", "merges"), [("1\n", True), ("0\n", False), (None, None)])
def test_whether_the_host_merges_pages(tmp_path, run, merges):
    assert host(tmp_path, {} if run is None else {"sys/kernel/mm/ksm/run": run}).merges_pages() is merges


@pytest.mark.parametrize(
    ("udp", "udp6", "offers"),
    [
        ("", "", False),
        ("00000000:007B 00000000:0000", "", True),
        ("0100007F:007B 00000000:0000", "00000000000000000000000001000000:007B 0:0", False),
        ("00000000:0143 00000000:0000", "00000000000000000000000000000000:007B 0:0", True),
    ],
)
def test_a_time_service_is_one_that_others_can_reach(tmp_path, udp, udp6, offers):
    files = {
        "run/libvirtd.pid": "3\n",
        "proc/3/net/udp": f"head\n 1: {udp}\n",
        "proc/3/net/udp6": f"head\n 1: {udp6}\n",
    }

    assert hostview.time_service(host(tmp_path, files)) is offers
    assert hostview.time_service(HostView(tmp_path / "none")) is None


def test_parts_that_the_kernel_lacks_to_limit_cards_are_named(monkeypatch):
    monkeypatch.setattr(hostview.os, "geteuid", lambda: 0)
    monkeypatch.setattr(hostview.shutil, "which", lambda program, path: program)
    said = subprocess.CompletedProcess([], 0, "missing sfq\nmissing police\nmissing sfq\n", "")
    monkeypatch.setattr(hostview.subprocess, "run", lambda *arguments, **more: said)
    assert hostview.shaping_missing() == "sfq, police"

    said.stdout = ""
    assert hostview.shaping_missing() == ""
    said.returncode = 1
    assert hostview.shaping_missing() is None
    monkeypatch.setattr(hostview.shutil, "which", lambda program, path: None)
    assert hostview.shaping_missing() is None


def test_a_file_system_of_huge_pages_is_looked_for(tmp_path):
    assert hostview.huge_pages_mounted(host(tmp_path / "a", {"proc/1/mounts": "x /dev/hugepages hugetlbfs rw\n"}))
    assert hostview.huge_pages_mounted(host(tmp_path / "b", {"proc/1/mounts": "x / ext4 rw\n"})) is False
    assert hostview.huge_pages_mounted(HostView(tmp_path / "none")) is None


def test_of_a_host_elsewhere_nothing_is_seen():
    assert set(hostview.facts("qemu+ssh://root@elsewhere/system").values()) == {None}
