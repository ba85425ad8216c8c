"""Ethernet frames, made by hand: announcements in ARP and single packets, with whatever sender they are to claim."""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from provision.packets import PROTOCOL_NUMBERS, Protocol, Service
from provision.spi import FRAME_MARK
from provision.verify.endpoints import Address

_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_SHORTEST = 60  # bytes of a frame without its checksum, IEEE 802.3
_SOURCE_PORT = 40_000
_SYN = 5 << 12 | 2  # data offset of five words, and the flag
_HOPS = 64


@dataclass(frozen=True, slots=True)
class Station:
    """One end of a frame."""

    mac: str
    address: Address


def announcement(sender: Station, to: str, mark: str, frame_mac: str = "") -> bytes:
    """An ARP request by which `sender` announces its own address (RFC 5227), told to the MAC `to` alone.

    `frame_mac` is the source of the frame where that is another than the announced one.
    """
    mac, address = _bytes_of(sender.mac), sender.address.packed
    packet = struct.pack("!HHBBH", 1, _IPV4, 6, 4, 1) + mac + address + b"\0" * 6 + address
    return _frame(frame_mac or sender.mac, to, _ARP, packet + _payload(mark))


def packet(sender: Station, receiver: Station, service: Service, mark: str) -> bytes:
    """The first packet of a service; its source port follows from the mark, so that each has its own."""
    body = _body(sender.address, receiver.address, service, mark)
    number = PROTOCOL_NUMBERS[service.protocol]
    if isinstance(sender.address, IPv4Address):
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, _HOPS, number, 0)
        head += sender.address.packed + receiver.address.packed
        head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
        return _frame(sender.mac, receiver.mac, _IPV4, head + body)
    head = struct.pack("!IHBB", 6 << 28, len(body), number, _HOPS) + sender.address.packed + receiver.address.packed
    return _frame(sender.mac, receiver.mac, _IPV6, head + body)


def _body(source: Address, destination: Address, service: Service, mark: str) -> bytes:
    data, number = _payload(mark), PROTOCOL_NUMBERS[service.protocol]
    port = _SOURCE_PORT + int(mark[:3], 16)
    if service.protocol is Protocol.TCP:
        head = struct.pack("!HHIIHHHH", port, service.first, int(mark, 16), 0, _SYN, 1024, 0, 0)
        at = 16
    elif service.protocol is Protocol.UDP:
        head, at = struct.pack("!HHHH", port, service.first, 8 + len(data), 0), 6
    else:
        head, at = struct.pack("!BBHHH", service.kind or 0, service.code or 0, 0, port, 1), 2
    if service.protocol is Protocol.ICMP:
        above = b""
    elif source.version == 4:
        above = source.packed + destination.packed + struct.pack("!BBH", 0, number, len(head) + len(data))
    else:
        above = source.packed + destination.packed + struct.pack("!II", len(head) + len(data), number)
    return head[:at] + struct.pack("!H", _checksum(above + head + data) or 0xFFFF) + head[at + 2 :] + data


def _frame(source: str, destination: str, kind: int, body: bytes) -> bytes:
    return (_bytes_of(destination) + _bytes_of(source) + struct.pack("!H", kind) + body).ljust(_SHORTEST, b"\0")


def _payload(mark: str) -> bytes:
    return FRAME_MARK + mark.encode() + b"\0"


def _bytes_of(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _checksum(data: bytes) -> int:
    """That of the internet (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
