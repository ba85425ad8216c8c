"""The host's side of the probe protocol (PROTOCOL.md), over any transport."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

_GRACE_SECONDS = 15.0  # how much longer than its own time limit an answer may take: emulated guests are slow under load
_WINDOW = 32


class Transport(Protocol):
    """A byte stream to one agent."""

    def send(self, data: bytes) -> None:
        """Write all of `data`; raises ConnectionError when the other side is gone."""

    def receive(self, seconds: float) -> bytes:
        """What arrived within `seconds`, b"" for nothing; raises ConnectionError when the other side is gone."""

    def close(self) -> None:
        """Let go of the stream; safe to call twice."""


class ProbeFailure(Exception):
    """The agent cannot be reached or did not do what it was asked: nothing is known about the network."""


class UnknownRequest(ProbeFailure):
    """The agent is of an older image and does not know such requests."""


class State(StrEnum):
    """What a probe found."""

    OPEN = "open"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe to run in the guest: `port` is None for icmp; `seconds` is its time limit, 0.01 to 60."""

    protocol: Literal["tcp", "udp", "icmp"]
    address: str
    port: int | None = None
    seconds: float = 2.0

    def words(self) -> str:
        """The request without its id."""
        port = "" if self.protocol == "icmp" else f" {self.port}"
        return f"{self.protocol} {self.address}{port} {self.seconds:g}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a probe; `detail` is milliseconds for a plain result, else a reason such as EHOSTUNREACH."""

    state: State
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the agent says of itself; `ready` once the guest has configured its network."""

    hostname: str
    ready: bool


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface of the guest with its addresses in CIDR notation."""

    name: str
    mac: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reads:
    """How fast a guest could read from a disk: `count` reads in `seconds`, and how long a quick one took."""

    count: int
    seconds: float
    quick_seconds: float


class ProbeClient:
    """Talks to one agent over `transport`, up to `window` requests in flight. Not for several threads at once."""

    def __init__(self, transport: Transport, *, window: int = _WINDOW, grace_seconds: float = _GRACE_SECONDS) -> None:
        """Begin a conversation: whatever an earlier one left in the stream is cut off and ignored."""
        self._transport = transport
        self._window = window
        self._grace = grace_seconds
        self._session = secrets.token_hex(4)
        self._count = 0
        self._buffer = b""
        transport.send(b"\n")

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()

    def __enter__(self) -> "ProbeClient":
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def wait(self, seconds: float) -> Greeting:
        """Ask until the guest says that it is ready.

        Raises:
            ProbeFailure: it did not within `seconds`.
        """
        end = time.monotonic() + seconds
        last = "the agent does not answer"
        while (left := end - time.monotonic()) > 0:
            reply = self._exchange(["ping"], [min(1.0, left)])[0]
            if reply is not None:
                greeting = _greeting(reply)
                if greeting.ready:
                    return greeting
                last = "the guest is still configuring itself"
                time.sleep(min(0.1, left))
        raise ProbeFailure(f"not ready within {seconds:.0f} s: {last}")

    def ping(self) -> Greeting:
        """Ask who is there.

        Raises:
            ProbeFailure: nobody answers.
        """
        return _greeting(self._one("ping"))

    def run(self, probes: Sequence[Probe]) -> list[Answer]:
        """Run all `probes`, as many at once as the window allows; answers in the same order.

        Raises:
            ProbeFailure: the agent went silent.
        """
        limits = [probe.seconds + self._grace for probe in probes]
        replies = self._exchange([probe.words() for probe in probes], limits)
        silent = sum(reply is None for reply in replies)
        if silent:
            raise ProbeFailure(f"the agent left {silent} of {len(probes)} probes unanswered")
        return [_answer(reply) for reply in replies if reply is not None]

    def listen(self, protocol: Literal["tcp", "udp"], ports: Sequence[int]) -> dict[int, str]:
        """Open listeners; gives the ports that could not be opened with the reason ("in-use": a service has it).

        Raises:
            ProbeFailure: the agent went silent.
        """
        ports = list(dict.fromkeys(ports))
        replies = self._exchange([f"listen {protocol} {port}" for port in ports], [self._grace] * len(ports))
        if None in replies:
            raise ProbeFailure("the agent did not answer a request to listen")
        return {
            port: reply.partition(" ")[2]
            for port, reply in zip(ports, replies, strict=True)
            if reply is not None and not reply.startswith("ok")
        }

    def unlisten_all(self) -> None:
        """Close all listeners.

        Raises:
            ProbeFailure: the agent went silent.
        """
        self._one("unlisten all")

    def flood(self, address: str, ports: tuple[int, int], *, rate: int, seconds: float) -> int:
        """Send UDP datagrams to all of `ports` (first and last) in turn, `rate` a second; gives how many were sent.

        Raises:
            ProbeFailure: the agent went silent, or cannot.
        """
        words = f"flood {address} {ports[0]} {ports[1]} {rate} {seconds:g}"
        reply = self._exchange([words], [seconds + self._grace])[0]
        if reply is None or not reply.startswith("ok sent "):
            raise ProbeFailure(f"the agent answered a request to flood with {reply or 'nothing'!r}")
        return int(reply.split()[2])

    def hold(self, probe: Probe) -> Answer:
        """Open a TCP connection that stays, in place of one that is held already.

        Raises:
            ProbeFailure: the agent went silent, or is too old.
        """
        words = f"hold {probe.address} {probe.port} {probe.seconds:g}"
        return _answer(self._said(words, probe.seconds))

    def beat(self, seconds: float) -> Answer:
        """Send something through the connection that is held; open when it came back in time.

        Raises:
            ProbeFailure: the agent went silent.
        """
        return _answer(self._said(f"beat {seconds:g}", seconds))

    def release(self) -> None:
        """Close the connection that is held.

        Raises:
            ProbeFailure: the agent went silent, or is too old.
        """
        self._one("release")

    def watch(self) -> None:
        """Listen to all frames that arrive from now on.

        Raises:
            ProbeFailure: the agent went silent, or cannot, or is too old.
        """
        self._one("watch")

    def heard(self) -> frozenset[str]:
        """The marks of all frames that arrived since it listens.

        Raises:
            ProbeFailure: the agent went silent, or does not listen.
        """
        _, _, marks = self._one("heard").partition(" ")
        return frozenset(filter(None, marks.strip().split(",")))

    def transmit(self, frames: Sequence[tuple[str, bytes]]) -> list[str]:
        """Send frames as they are, each by the card that has a MAC; gives what went wrong with each, mostly nothing.

        Raises:
            ProbeFailure: the agent went silent, or is too old.
        """
        requests = [f"frame {mac.replace(':', '').lower()} {frame.hex()}" for mac, frame in frames]
        replies = self._exchange(requests, [self._grace] * len(requests))
        if None in replies:
            raise ProbeFailure("the agent did not answer a request to send a frame")
        return ["" if _known(reply or "").startswith("ok") else reply or "" for reply in replies]

    def burn(self, seconds: float) -> None:
        """Keep all processors of the guest busy for so long.

        Raises:
            ProbeFailure: the agent went silent, or cannot, or is too old.
        """
        self._one(f"burn {seconds:g}", seconds + self._grace)

    def read(self, disk: str, size: int, seconds: float) -> Reads:
        """Read from a disk such as `vda` for so long, `size` bytes at a time, past the guest's cache.

        Raises:
            ProbeFailure: the agent went silent, or cannot, or is too old.
        """
        words = self._one(f"read {disk} {size} {seconds:g}", seconds + self._grace).split()
        return Reads(int(words[2]), int(words[3]) / 1e6, int(words[4]) / 1e6)

    def addresses(self) -> list[Nic]:
        """The interfaces of the guest, loopback left out.

        Raises:
            ProbeFailure: the agent went silent.
        """
        nics = []
        for word in self._one("addresses").split()[1:]:
            name, mac, listed = word.split("|")
            nics.append(Nic(name, mac, tuple(filter(None, listed.split(",")))))
        return nics

    def _one(self, words: str, seconds: float | None = None) -> str:
        reply = self._exchange([words], [self._grace if seconds is None else seconds])[0]
        if reply is None or not _known(reply).startswith("ok"):
            raise ProbeFailure(f"the agent answered {words!r} with {reply or 'nothing'!r}")
        return reply

    def _said(self, words: str, seconds: float) -> str:
        reply = self._exchange([words], [seconds + self._grace])[0]
        if reply is None:
            raise ProbeFailure(f"the agent left {words!r} unanswered")
        return _known(reply)

    def _exchange(self, requests: Sequence[str], limits: Sequence[float]) -> list[str | None]:
        """Send all requests within the window; None where no answer came within the request's limit (seconds)."""
        replies: list[str | None] = [None] * len(requests)
        flying: dict[str, tuple[int, float]] = {}
        following = 0
        try:
            while flying or following < len(requests):
                batch = b""
                while following < len(requests) and len(flying) < self._window:
                    self._count += 1
                    name = f"{self._session}.{self._count}"
                    batch += f"{name} {requests[following]}\n".encode()
                    flying[name] = (following, time.monotonic() + limits[following])
                    following += 1
                if batch:
                    self._transport.send(batch)
                nearest = min(end for _, end in flying.values())
                for name, reply in self._receive(max(0.0, nearest - time.monotonic())):
                    if name in flying:
                        replies[flying.pop(name)[0]] = reply
                moment = time.monotonic()
                flying = {name: (index, end) for name, (index, end) in flying.items() if end > moment}
        except ConnectionError as error:
            raise ProbeFailure(f"the connection to the agent broke: {error}") from error
        return replies

    def _receive(self, seconds: float) -> list[tuple[str, str]]:
        self._buffer += self._transport.receive(seconds)
        *lines, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) > 65536:
            self._buffer = b""
        pairs = (line.decode("ascii", errors="replace").strip().partition(" ") for line in lines)
        return [(name, reply) for name, _, reply in pairs]


def _greeting(reply: str) -> Greeting:
    words = reply.split()
    if words[:3] != ["ok", "provision-probe", "1"] or len(words) != 5:
        raise ProbeFailure(f"this is no probe agent of version 1: {reply[:80]!r}")
    return Greeting(words[3], words[4] == "ready")


def _known(reply: str) -> str:
    if reply == "error bad-request":
        raise UnknownRequest("the agent is older than this program: start the machine anew after `provision up`")
    return reply


def _answer(reply: str) -> Answer:
    state, _, detail = reply.partition(" ")
    try:
        return Answer(State(state), detail)
    except ValueError:
        return Answer(State.ERROR, f"not understood: {reply[:80]}")
