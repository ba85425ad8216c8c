"""What somebody writes who has libvirt-python and an afternoon: guests from a directory of definitions, and away again.

    python benchmarks/plain.py up DIRECTORY URI
    python benchmarks/plain.py down DIRECTORY URI
    python benchmarks/plain.py down-threads DIRECTORY URI
    python benchmarks/plain.py wait DIRECTORY URI

The yardstick of guests.py, and nothing of the project is imported. `up` makes the pool, its volumes, filters and
networks, then starts every guest in a thread of its own and waits there until the guest's agent says that it is ready.
`down` removes one thing after the other, `down-threads` the guests at the same time. `wait` only waits.

DIRECTORY holds `NUMBER-KIND-NAME.xml` in the order in which things are made: kinds pool, volume, filter, network and
domain. A volume's content is in `NUMBER-volume-NAME.img`, the name of its pool in `NUMBER-volume-NAME.pool`.
"""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import libvirt

READY_SECONDS = 600.0
THREADS = 8
AGENT = "org.provision.probe.0"
_NOTHING_YET = -2


def definitions(directory: Path, kind: str) -> Iterator[Path]:
    """The files of one kind, in their order."""
    return iter(sorted(directory.glob(f"???-{kind}-*.xml")))


def make(connection: Any, directory: Path) -> None:
    """Everything but the guests."""
    for file in definitions(directory, "pool"):
        pool = connection.storagePoolDefineXML(file.read_text())
        pool.build()
        pool.create()
    for file in definitions(directory, "volume"):
        pool = connection.storagePoolLookupByName(file.with_suffix(".pool").read_text())
        volume = pool.createXML(file.read_text())
        content = file.with_suffix(".img").read_bytes()
        stream = connection.newStream()
        volume.upload(stream, 0, len(content))
        sent = 0

        def give(_: Any, size: int, content: bytes) -> bytes:
            nonlocal sent
            sent += size
            return content[sent - size : sent]

        stream.sendAll(give, content)
        stream.finish()
    for file in definitions(directory, "filter"):
        connection.nwfilterDefineXML(file.read_text())
    for file in definitions(directory, "network"):
        connection.networkDefineXML(file.read_text()).create()


def start(uri: str, file: Path) -> None:
    """One guest, until it is ready."""
    connection = libvirt.open(uri)
    domain = connection.defineXML(file.read_text())
    domain.create()
    wait(connection, domain)
    connection.close()


def wait(connection: Any, domain: Any) -> None:
    """Ask the guest's agent whether it is ready until it says so."""
    end = time.monotonic() + READY_SECONDS
    stream = connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
    domain.openChannel(AGENT, stream, libvirt.VIR_DOMAIN_CHANNEL_FORCE)
    heard, asked = b"", 0.0
    while b" ready" not in heard:
        if time.monotonic() > end:
            raise SystemExit(f"{domain.name()} is not ready")
        if time.monotonic() > asked + 1.0 or b" booting" in heard:
            stream.send(b"\n1 ping\n")
            heard, asked = b"", time.monotonic()
        connection.getLibVersion()  # has what arrived taken off the connection
        said = stream.recv(4096)
        if said == _NOTHING_YET:
            time.sleep(0.02)
        else:
            heard += said
    stream.abort()


def remove_guest(domain: Any) -> None:
    """Switch one guest off and forget it."""
    if domain.isActive():
        domain.destroy()
    domain.undefine()


def clear(connection: Any) -> None:
    """Everything but the guests."""
    for network in connection.listAllNetworks():
        network.destroy()
        network.undefine()
    for pool in connection.listAllStoragePools():
        pool.refresh()
        for volume in pool.listAllVolumes():
            volume.delete()
        pool.destroy()
        pool.undefine()


def forget_filters(connection: Any, directory: Path) -> None:
    """The filters that were made here: the others are libvirt's own."""
    for file in reversed(list(definitions(directory, "filter"))):
        text = file.read_text()
        connection.nwfilterLookupByUUIDString(text.partition("<uuid>")[2].partition("</uuid>")[0]).undefine()


def main() -> None:
    """Do what the first argument says."""
    what, directory, uri = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    libvirt.registerErrorHandler(lambda context, error: None, None)
    connection = libvirt.open(uri)
    with ThreadPoolExecutor(THREADS) as threads:
        if what == "up":
            make(connection, directory)
            list(threads.map(lambda file: start(uri, file), definitions(directory, "domain")))
        elif what == "wait":
            for domain in connection.listAllDomains():
                wait(connection, domain)
        else:
            guests = connection.listAllDomains()
            list((threads.map if what == "down-threads" else map)(remove_guest, guests))
            clear(connection)
            forget_filters(connection, directory)
    connection.close()


if __name__ == "__main__":
    main()
