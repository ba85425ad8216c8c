"""Ways to an agent: a unix socket, and a libvirt channel, which works over every kind of connection URI."""

import contextlib
import queue
import select
import socket
import threading
import time
from pathlib import Path
from typing import Any

import libvirt

from provision_libvirt.micro.client import ProbeFailure
from provision_libvirt.micro.image import CHANNEL


class SocketTransport:
    """A stream unix socket, such as the one of the lab's outside peer."""

    def __init__(self, path: Path) -> None:
        """Connect to the socket at `path`; raises ProbeFailure when nobody listens there."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise ProbeFailure(f"no agent at {path}: {error}") from error

    def send(self, data: bytes) -> None:
        """Write all of `data`."""
        self._socket.sendall(data)

    def receive(self, seconds: float) -> bytes:
        """What arrived within `seconds`, b"" for nothing."""
        if not select.select([self._socket], [], [], seconds)[0]:
            return b""
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the agent closed the socket")
        return data

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class ChannelTransport:
    """The virtio-serial channel of a running domain.

    A stream of libvirt gives data without an event loop only to a blocking read, so a thread reads. `connection` may be
    shared with other threads: libvirt takes turns inside.
    """

    def __init__(self, connection: Any, uuid: str, *, channel: str = CHANNEL) -> None:
        """Open the channel of the domain `uuid`, taking it from whoever holds it.

        Raises:
            ProbeFailure: the domain is not there, not running or has no such channel.
        """
        try:
            domain = connection.lookupByUUIDString(uuid)
            self._stream = connection.newStream(0)
            domain.openChannel(channel, self._stream, libvirt.VIR_DOMAIN_CHANNEL_FORCE)
        except libvirt.libvirtError as error:
            raise ProbeFailure(f"the channel {channel} cannot be opened: {error}") from error
        self._arrived: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._closed = False
        self._reader = threading.Thread(target=self._read, name=f"probe-{uuid}", daemon=True)
        self._reader.start()

    def send(self, data: bytes) -> None:
        """Write all of `data`."""
        while data:
            try:
                sent = self._stream.send(data)
            except libvirt.libvirtError as error:
                raise ConnectionError(str(error)) from error
            data = data[max(sent, 0) :]

    def receive(self, seconds: float) -> bytes:
        """What arrived within `seconds`, b"" for nothing."""
        try:
            data = self._arrived.get(timeout=max(seconds, 0.001))
        except queue.Empty:
            return b""
        if data is None:
            self._arrived.put(None)
            raise ConnectionError("the guest or the hypervisor closed the channel")
        return data

    def close(self) -> None:
        """Abort the stream; the reading thread ends with it."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(libvirt.libvirtError):
                self._stream.abort()
            self._reader.join(timeout=5)

    def _read(self) -> None:
        with contextlib.suppress(libvirt.libvirtError):
            while data := self._stream.recv(65536):
                if isinstance(data, int):  # "would block": a stream opened as blocking does not say so
                    time.sleep(0.01)
                else:
                    self._arrived.put(data)
        self._arrived.put(None)
