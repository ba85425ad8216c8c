"""Ways to an agent: a unix socket, and a libvirt channel, which works over every kind of connection URI."""

import contextlib
import select
import socket
import time
from pathlib import Path
from typing import Any

import libvirt

from provision_libvirt.micro.client import ProbeFailure
from provision_libvirt.micro.image import CHANNEL

_WOULD_BLOCK = -2  # what a stream that does not block answers when there is nothing, virStreamRecv
_SEND_SECONDS = 20.0
_SHORTEST_NAP = 0.001
_LONGEST_NAP = 0.05


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

    The stream never blocks: a blocking read has no time limit, and libvirt was seen to lock up for good with one thread
    in a blocking read and another one sending. Without an event loop what arrives is taken off the connection
    by any other call on it, so that waiting here is asking a trifle now and then. `connection` may be shared.
    """

    def __init__(self, connection: Any, uuid: str, *, channel: str = CHANNEL) -> None:
        """Open the channel of the domain `uuid`, taking it from whoever holds it.

        Raises:
            ProbeFailure: the domain is not there, not running or has no such channel.
        """
        try:
            domain = connection.lookupByUUIDString(uuid)
            self._stream = connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
            domain.openChannel(channel, self._stream, libvirt.VIR_DOMAIN_CHANNEL_FORCE)
        except libvirt.libvirtError as error:
            raise ProbeFailure(f"the channel {channel} cannot be opened: {error}") from error
        self._connection = connection
        self._closed = False

    def send(self, data: bytes) -> None:
        """Write all of `data`."""
        end = time.monotonic() + _SEND_SECONDS
        while data:
            try:
                sent = self._stream.send(data)
                if sent == _WOULD_BLOCK:
                    self._connection.getLibVersion()
            except libvirt.libvirtError as error:
                raise ConnectionError(str(error)) from error
            if sent > 0:
                data = data[sent:]
            elif time.monotonic() > end:
                raise ConnectionError(f"the channel takes nothing for {_SEND_SECONDS:.0f} s")
            else:
                time.sleep(_LONGEST_NAP)

    def receive(self, seconds: float) -> bytes:
        """What arrived within `seconds`, b"" for nothing."""
        end = time.monotonic() + seconds
        nap = _SHORTEST_NAP
        while True:
            try:
                data = self._stream.recv(65536)
                if data == _WOULD_BLOCK:
                    self._connection.getLibVersion()
                    data = self._stream.recv(65536)
            except libvirt.libvirtError as error:
                raise ConnectionError(str(error)) from error
            if isinstance(data, bytes):
                if not data:
                    raise ConnectionError("the guest or the hypervisor closed the channel")
                return data
            left = end - time.monotonic()
            if left <= 0:
                return b""
            time.sleep(min(nap, left))
            nap = min(nap * 2, _LONGEST_NAP)

    def close(self) -> None:
        """Abort the stream."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(libvirt.libvirtError):
                self._stream.abort()
