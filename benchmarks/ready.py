"""How long it takes until N guests are ready: `provision up` beside a plain libvirt-python script that makes the same.

    python benchmarks/ready.py [N ...]

Everything runs on a private hypervisor of its own, that is started before and stopped after. `provision up` goes first;
what it made is read back from libvirt (pool, volumes with their content, filters, networks, domains) and taken down,
and then made again by the plain script from the very same definitions. Target: at most 1.5 times, for N = 3 and 10.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import libvirt
from provision_libvirt.micro.client import ProbeClient
from provision_libvirt.micro.transport import ChannelTransport

from provision.spi import registry

TARGET = 1.5
READY_SECONDS = 600.0
_BOOT_FLAGS = libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_INACTIVE

STACK = """\
version: 1
platform: libvirt
networks:
  lan: {{cidr: 10.99.0.0/24, cidr6: "fd00:99::/64", internet: routed}}
machines:
  guest:
    image: micro
    count: {count}
    memory: 96MiB
    ready_timeout: 10m
    nics: [{{network: lan}}]
isolation:
  policies:
    echo: {{kind: traffic, from: [machine.guest], to: [machine.guest], allow: [tcp/7, icmp]}}
"""


@dataclass
class Recorded:
    """Everything on a hypervisor, as libvirt describes it."""

    pools: list[str] = field(default_factory=list)
    volumes: list[tuple[str, str, bytes]] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)


def record(connection: Any, before: set[str]) -> Recorded:
    """Read everything back that is not among the filters `before`."""
    found = Recorded()
    for pool in connection.listAllStoragePools():
        found.pools.append(pool.XMLDesc())
        for volume in pool.listAllVolumes():
            found.volumes.append((pool.name(), volume.XMLDesc(), _content(connection, volume)))
    found.filters = [one.XMLDesc() for one in connection.listAllNWFilters() if one.name() not in before]
    found.networks = [one.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE) for one in connection.listAllNetworks()]
    found.domains = [one.XMLDesc(_BOOT_FLAGS) for one in connection.listAllDomains()]
    return found


def _content(connection: Any, volume: Any) -> bytes:
    parts: list[bytes] = []
    stream = connection.newStream()
    volume.download(stream, 0, 0)
    stream.recvAll(lambda _, data, kept: kept.append(data), parts)
    stream.finish()
    return b"".join(parts)


def make(connection: Any, recorded: Recorded) -> list[str]:
    """What a plain script does: define, upload, start, one after the other; gives the UUIDs of the domains."""
    for xml in recorded.pools:
        pool = connection.storagePoolDefineXML(xml)
        pool.build()
        pool.create()
    for name, xml, content in recorded.volumes:
        volume = connection.storagePoolLookupByName(name).createXML(xml)
        stream = connection.newStream()
        volume.upload(stream, 0, len(content))
        rest = memoryview(content)

        def give(_: Any, size: int, kept: list[memoryview]) -> bytes:
            piece, kept[0] = kept[0][:size], kept[0][size:]
            return bytes(piece)

        stream.sendAll(give, [rest])
        stream.finish()
    waiting = list(recorded.filters)
    while waiting:  # a filter must come after those that it refers to
        left = [xml for xml in waiting if not _defined(connection, xml)]
        if len(left) == len(waiting):
            raise SystemExit("the recorded filters refer to something that is not there")
        waiting = left
    for xml in recorded.networks:
        connection.networkDefineXML(xml).create()
    domains = [connection.defineXML(xml) for xml in recorded.domains]
    for domain in domains:
        domain.create()
    return [domain.UUIDString() for domain in domains]


def _defined(connection: Any, xml: str) -> bool:
    try:
        connection.nwfilterDefineXML(xml)
    except libvirt.libvirtError:
        return False
    return True


def wait(connection: Any, uuids: list[str]) -> None:
    """Until every guest says that it has configured itself."""
    end = time.monotonic() + READY_SECONDS
    for uuid in uuids:
        with ProbeClient(ChannelTransport(connection, uuid)) as client:
            client.wait(max(1.0, end - time.monotonic()))


def clear(connection: Any) -> None:
    """Take away what `make` made."""
    for domain in connection.listAllDomains():
        if domain.isActive():
            domain.destroy()
        domain.undefine()
    for network in connection.listAllNetworks():
        network.destroy()
        network.undefine()
    for pool in connection.listAllStoragePools():
        for volume in pool.listAllVolumes():
            volume.delete()
        pool.destroy()
        pool.undefine()
    own = [one for one in connection.listAllNWFilters() if "bench" in one.name()]
    while own:
        left = [one for one in own if not _undefined(one)]
        if len(left) == len(own):
            raise SystemExit("some filters cannot be removed")
        own = left


def _undefined(one: Any) -> bool:
    try:
        one.undefine()
    except libvirt.libvirtError:
        return False
    return True


def compare(count: int, directory: Path, uri: str) -> float:
    """Measure both ways, print them, and give the ratio."""
    project = directory / f"bench{count}"
    project.mkdir()
    (project / "Pulumi.yaml").write_text(f"name: bench{count}\nruntime: provision\n")
    (project / "stack.yaml").write_text(STACK.format(count=count))
    command = [str(Path(sysconfig.get_path("scripts"), "provision"))]
    connection = libvirt.open(uri)
    before = {one.name() for one in connection.listAllNWFilters()}
    started = time.monotonic()
    subprocess.run([*command, "up", str(project), "--yes"], check=True, stdout=subprocess.DEVNULL)
    ours = time.monotonic() - started
    recorded = record(connection, before)
    if len(recorded.domains) != count:
        raise SystemExit(f"{len(recorded.domains)} domains instead of {count}")
    subprocess.run([*command, "down", str(project), "--yes"], check=True, stdout=subprocess.DEVNULL)
    started = time.monotonic()
    wait(connection, make(connection, recorded))
    plain = time.monotonic() - started
    clear(connection)
    connection.close()
    print(f"{count:>3} guests: provision up {ours:6.1f} s, plain script {plain:6.1f} s, ratio {ours / plain:5.2f}"
          f" (target <= {TARGET})", flush=True)  # fmt: skip
    return ours / plain


def main() -> int:
    """Print the table; 1 when the target is missed."""
    counts = [int(word) for word in sys.argv[1:]] or [3, 10]
    provider: Any = registry.load("libvirt")
    provider.prepare(lambda text: print(text, file=sys.stderr))
    with tempfile.TemporaryDirectory(prefix="provision-bench-") as name:
        directory = Path(name)
        (directory / "state").mkdir()
        lab = provider.lab_start(directory / "lab", lambda text: print(text, file=sys.stderr))
        try:
            os.environ.update(lab.environment)
            os.environ["PULUMI_BACKEND_URL"] = f"file://{directory / 'state'}"
            os.environ["PULUMI_CONFIG_PASSPHRASE"] = ""
            os.environ["PULUMI_HOME"] = str(directory / "home")
            subprocess.run([str(Path(sysconfig.get_path("scripts"), "provision")), "setup"], check=True)
            ratios = [compare(count, directory, lab.config["uri"]) for count in counts]
        finally:
            provider.lab_stop(directory / "lab", lambda text: print(text, file=sys.stderr))
    return 0 if all(ratio <= TARGET for ratio in ratios) else 1


if __name__ == "__main__":
    sys.exit(main())
