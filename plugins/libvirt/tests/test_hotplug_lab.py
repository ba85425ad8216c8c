"""A running machine gets and loses disks, cards and memory, as its guest sees it: one guest for all of it."""

import time
from types import SimpleNamespace

import libvirt
import pytest
from provision_libvirt import micro
from provision_libvirt.probes import probe_channel
from provision_libvirt.resources import Domain, Filter, Network, Pool, Seed, Volume, hotplug
from provision_libvirt.resources.xml_tools import attribute, from_text
from resource_bench import POOL, network

from provision.errors import PartiallyUpdated
from provision.packets import Protocol
from provision.spi import DeployedMachine, NativeState, Probe, Seen

pytestmark = pytest.mark.lab
_INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
FRONT, BACK = "02:00:00:00:00:0a", "02:00:00:00:00:0b"

SEEN = "for serial in /sys/block/vd*/serial; do cat $serial; echo; done | sort; ls /sys/class/net"
"""What the guest has of disks and cards."""


class Guest:
    """The shell on a machine's console."""

    def __init__(self, domain):
        self._stream = domain.connect().newStream(libvirt.VIR_STREAM_NONBLOCK)
        domain.openConsole(None, self._stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        self._count = 0

    def type(self, line):
        self._stream.send(f"\n{line}\n".encode())

    def run(self, command, seconds=60):
        """What a command prints."""
        self._count += 1
        begin, done = f"BEGIN{self._count}", f"DONE{self._count}"
        self.type(f"echo BE''GIN{self._count}; {command}; echo DO''NE{self._count}")
        seen = self.listen(done, seconds)
        return seen.partition(begin)[2].partition(done)[0].split()

    def listen(self, mark, seconds=60):
        """What is printed until `mark`."""
        seen, end = "", time.monotonic() + seconds
        while mark not in seen:
            assert time.monotonic() < end, f"the guest did not say {mark}: {seen!r}"
            data = self._stream.recv(4096)
            if data == -2:  # nothing yet
                time.sleep(0.05)
            else:
                seen += data.decode(errors="replace").replace("\r", "")
        return seen

    def until(self, command, wanted, seconds=60):
        """Wait until a command prints what is wanted."""
        end = time.monotonic() + seconds
        while (seen := self.run(command)) != wanted:
            assert time.monotonic() < end, f"{command}: {seen} instead of {wanted}"
            time.sleep(0.2)


def places(domain, flags):
    """Letter and address of every disk and card."""
    found = {}
    for device in from_text(domain.XMLDesc(flags)).iterfind("devices/*"):
        key = hotplug.device_key(device)
        if device.tag in ("disk", "interface", "controller") and key is not None:
            address = device.find("address")
            letter = attribute(device, "target", "dev") if device.tag == "disk" else None
            found[key] = (letter, None if address is None else tuple(sorted(address.items())))
    return found


@pytest.fixture
def machine(bench):
    """A machine with a card, a seed and a disk, and what else it may get."""
    bench.make(Pool, "pool", name=POOL)
    digest = micro.build().digest
    kernel, initrd = (
        bench.make(
            Volume, part, pool=POOL, name=f"shop-dev-image-{part}", format="raw", cache=True,
            source={"kind": part, "digest": digest},
        ).outputs
        for part in ("micro-kernel", "micro-initrd")
    )  # fmt: skip
    front = network(bench).outputs
    back = bench.make(
        Network, "back", pool=POOL, name="shop-dev-back", mode="isolated", bridge="pv-back",
        ipv4={"address": "10.78.0.1", "prefix": 24},
    ).outputs  # fmt: skip
    closed = bench.make(
        Filter, "closed", pool=POOL, name="shop-dev-closed",
        rules=[{"action": "drop", "direction": "inout", "priority": 500, "protocol": "mac"}],
    ).outputs  # fmt: skip
    opened = bench.make(Filter, "open", pool=POOL, name="shop-dev-open", rules=[]).outputs
    volumes = {
        name: bench.make(Volume, name, pool=POOL, name=f"shop-dev-web.{name}", capacity_bytes=16 << 20)
        for name in ("one", "two", "three")
    }
    config = (
        f'version: 2\nethernets:\n  nic0:\n    match:\n      macaddress: "{FRONT}"\n'
        '    addresses:\n      - "10.77.0.10/24"\n'
    )
    seed = bench.make(
        Seed, "seed", pool=POOL, name="shop-dev-web", meta_data="instance-id: web\nlocal-hostname: web\n",
        network_config=config,
    ).outputs  # fmt: skip

    def disks(*names):
        return [
            {"path": volumes[n].outputs.path, "serial": n, "generation": volumes[n].outputs.generation} for n in names
        ]

    cards = {
        FRONT: {"network": front.name, "mac": FRONT, "filter": opened.name, "mtu": 1400, "settings": "a"},
        BACK: {"network": back.name, "mac": BACK, "filter": closed.name, "settings": "b"},
    }
    made = bench.make(
        Domain, "web", pool=POOL, name="shop-dev-web", memory_mib=160, balloon_mib=128, balloon=True,
        vcpus=3, online_vcpus=1,
        accelerator="qemu", kernel=kernel.path, initrd=initrd.path, cmdline=micro.CMDLINE, seed=seed.path,
        disks=disks("one"), nics=[cards[FRONT]], generations=[seed.generation], probe_channel=True, ready="channel",
        ready_timeout_s=180, shutdown_timeout_s=120, autostart=True, disk_iops=5000,
    )  # fmt: skip
    return SimpleNamespace(made=made, disks=disks, cards=cards, volumes=volumes, opened=opened.name)


def test_a_running_machine_gets_and_loses_disks_cards_and_memory(bench, machine, monkeypatch):
    made, disks, cards, volumes, opened = (getattr(machine, n) for n in ("made", "disks", "cards", "volumes", "opened"))
    domain = bench.connection.lookupByUUIDString(made.id)
    guest, number = Guest(domain), domain.ID()
    assert made.drift() == set()
    before = places(domain, 0)
    assert [letter for letter, _ in before.values() if letter] == ["vda", "vdb"]

    # Two disks and a card, at once; the card's filter holds from its first packet on.
    made = made.update(disks=disks("one", "two", "three"), nics=[cards[FRONT], cards[BACK]])
    assert made.drift() == set()
    guest.until(SEEN, ["one", "three", "two", "eth0", "eth1", "lo"])
    guest.run("ip link set eth1 up; ip addr add 10.78.0.10/24 dev eth1")
    channel = probe_channel(
        bench.session,
        DeployedMachine("web", (NativeState(Domain.token, "web", made.id, made.outputs.model_dump()),)),
    )
    try:
        ping = [Probe(Protocol.ICMP, "10.77.0.1", timeout=5), Probe(Protocol.ICMP, "10.78.0.1", timeout=2)]
        assert [seen.seen for seen in channel.run(ping)] == [Seen.OPEN, Seen.TIMEOUT]
        made = made.update(nics=[cards[FRONT], {**cards[BACK], "filter": opened}])
        end = time.monotonic() + 60  # the guest may still think that there is nobody
        while [seen.seen for seen in channel.run([Probe(Protocol.ICMP, "10.78.0.1", timeout=2)])] != [Seen.OPEN]:
            assert time.monotonic() < end
    finally:
        channel.close()

    # What was there stands where it stood, and the next start has the same places.
    live = places(domain, 0)
    assert {key: live[key] for key in before} == before
    assert places(domain, _INACTIVE) == live
    assert live["disk", "two"][0] == "vdc"
    assert domain.blockIoTune("vdc", 0)["total_iops_sec"] == 5000

    # A cable is pulled; a disk grows.
    made = made.update(nics=[cards[FRONT], {**cards[BACK], "filter": opened, "connected": False}])
    assert made.drift() == set()
    guest.until("cat /sys/class/net/eth1/carrier", ["0"])
    grown = volumes["three"].update(capacity_bytes=48 << 20)
    assert grown.drift() == set()
    guest.until("cat $(grep -l three /sys/block/vd*/serial | sed s/serial/size/)", ["98304"])

    # Memory within the balloon's bounds.
    made = made.update(balloon_mib=112)
    assert made.drift() == set()
    assert domain.memoryStats()["actual"] == 112 << 10
    made = made.update(balloon_mib=None)
    assert made.drift() == set()

    # Virtual CPUs that there is room for; what somebody plugs in by hand is drift.
    made = made.update(online_vcpus=2)
    assert made.drift() == set()
    guest.until("cat /sys/devices/system/cpu/present", ["0-1"])
    domain.setVcpusFlags(3, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    assert made.drift() == {"online_vcpus"}
    made = made.update(online_vcpus=None)
    assert made.drift() == set()

    # What was in the middle goes; the others do not move, in the running machine and for its next start.
    made = made.update(disks=disks("one", "three"), nics=[{**cards[BACK], "filter": opened}])
    assert made.drift() == set()
    guest.until(SEEN, ["one", "three", "eth1", "lo"])
    left = places(domain, 0)
    assert {key: live[key] for key in left} == left
    assert ("disk", "two") not in left
    assert places(domain, _INACTIVE) == left

    # What somebody takes out by hand, or forgets, is drift and comes back.
    device = hotplug._find(domain, ("disk", "three"))
    domain.detachDeviceFlags(hotplug.to_text(device), libvirt.VIR_DOMAIN_AFFECT_LIVE)
    domain.setAutostart(0)
    end = time.monotonic() + 60
    while made.drift() != {"disks", "autostart"}:
        assert time.monotonic() < end
        time.sleep(0.2)
    made = made.update()
    assert made.drift() == set()
    guest.until(SEEN, ["one", "three", "eth1", "lo"])
    assert domain.ID() == number

    # A guest that does not let go: a clear failure after the deadline, and nothing is lost.
    monkeypatch.setattr(hotplug, "UNPLUG_SECONDS", 3.0)
    guest.type("halt -f")
    guest.listen("System halted")
    with pytest.raises(PartiallyUpdated, match="did not release its disk 'three' within 3 s; it is still") as caught:
        made.update(disks=disks("one"), cpu_quota_us=80_000)
    assert [disk.serial for disk in caught.value.inputs.disks] == ["one", "three"]
    assert caught.value.inputs.cpu_quota_us == 80_000
    assert ("disk", "three") in places(domain, 0)
    assert ("disk", "three") in places(domain, _INACTIVE)

    # Switched off it lets go.
    made = made.update(disks=disks("one"), power="stopped", shutdown_timeout_s=0, balloon_mib=128)
    assert made.drift() == set()
    assert places(domain, _INACTIVE) == {key: place for key, place in left.items() if key != ("disk", "three")}


@pytest.mark.parametrize("board", ["q35", "pc"])
def test_firmware_and_board_are_what_the_emulator_was_told(bench, pool, board):
    made = bench.make(
        Domain, "box", pool=POOL, name="shop-dev-box", memory_mib=128, accelerator="qemu", machine=board,
        firmware="uefi" if board == "q35" else None, console_log=False,
    )  # fmt: skip
    root = from_text(bench.connection.lookupByUUIDString(made.id).XMLDesc())

    assert made.drift() == set()
    assert (attribute(root, "os/type", "machine") or "").startswith({"q35": "pc-q35-", "pc": "pc-i440fx-"}[board])
    assert ("OVMF" in root.findtext("os/loader", "")) is (board == "q35")
    assert root.find("features/smm") is None
