"""Sends and counts many UDP datagrams, from inside a network namespace: `send JSON`, `count JSON` or `talk JSON`.

Alone on purpose: it runs under `nsenter`, with the standard library only. A counter sees what a device is given
after every packet filter (AF_PACKET, outgoing) or brings before any, with the kernel's own time of each packet.
"""

import ctypes
import json
import mmap
import signal
import socket
import struct
import sys
import time

_ATTACH, _FORCE, _TIMESTAMP, _PACKET, _STATISTICS, _OUTGOING = 26, 33, 35, 263, 6, 4
_RECORD = struct.Struct("<dHH")  # when, source port, destination port
_COUNTS = struct.Struct("<Q")


def send(order):
    """Send to every port in turn at a rate, until a signal comes; how many is kept in a file at every moment."""
    with open(order["counts"], "r+b") as file:
        counts = mmap.mmap(file.fileno(), 0)
    targets, first, last = order["targets"], order["first"], order["last"]
    sockets = []
    for family, source in ((socket.AF_INET, order["source"]), (socket.AF_INET6, order.get("source6"))):
        if source is not None:
            for number in range(order["sockets"]):
                one = socket.socket(family, socket.SOCK_DGRAM)
                one.bind((source, order["source_port"] + number))
                one.setblocking(False)
                sockets.append((family, one))
    ways = [
        (position, one, address)
        for position, address in enumerate(targets)
        for family, one in sockets
        if (family == socket.AF_INET6) == (":" in address)
    ]
    sent, ports = [0] * len(targets), last - first + 1
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    begun, due, turn = time.monotonic(), 0, 0
    while not ending:
        due = int((time.monotonic() - begun) * order["rate"])
        if turn >= due:
            time.sleep(0.002)
            continue
        if due - turn > 2000:  # never in bursts that no queue holds
            begun, turn = time.monotonic(), 0
            continue
        position, one, address = ways[turn // ports % len(ways)]
        try:
            one.sendto(b"flood", (address, first + turn % ports))
            sent[position] += 1
            _COUNTS.pack_into(counts, position * 8, sent[position])
        except OSError:
            pass
        turn += 1


class _Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("value", ctypes.c_uint)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("first", ctypes.POINTER(_Instruction))]


def _filtered(one, first, last):
    """Let the kernel keep only UDP to the ports (linux/filter.h): frames of IPv4 without options, and of IPv6."""
    half, byte, same, least, most, jump, give = 0x28, 0x30, 0x15, 0x35, 0x25, 0x05, 0x06
    code = [
        (half, 0, 0, 12),
        (same, 0, 4, 0x0800),
        (byte, 0, 0, 23),
        (same, 0, 9, 17),
        (half, 0, 0, 36),
        (jump, 0, 0, 4),
        (same, 0, 6, 0x86DD),
        (byte, 0, 0, 20),
        (same, 0, 4, 17),
        (half, 0, 0, 56),
        (least, 0, 2, first),
        (most, 1, 0, last),
        (give, 0, 0, 96),
        (give, 0, 0, 0),
    ]
    made = (_Instruction * len(code))(*(_Instruction(*item) for item in code))
    program = _Program(len(code), made)
    one.setsockopt(socket.SOL_SOCKET, _ATTACH, bytes(memoryview(program).cast("B")))
    return made


def count(order):
    """Write a record for each datagram that is given to a device, until a signal comes; then say how many were lost."""
    one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    kept = _filtered(one, order["first"], order["last"])
    one.setsockopt(socket.SOL_SOCKET, _FORCE, 64 << 20)
    one.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
    one.bind((order["device"], 3))
    one.settimeout(0.2)
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    with open(order["records"], "wb", buffering=1 << 12) as out:
        print("ready", flush=True)
        while True:
            try:
                data, control, _, address = one.recvmsg(128, 64)
            except TimeoutError:
                if ending:
                    break
                continue
            if (address[2] == _OUTGOING) is order["outgoing"]:
                seconds, nanos = struct.unpack("qq", control[0][2][:16])
                ports = struct.unpack_from("!HH", data, 54 if data[12] == 0x86 else 34)
                out.write(_RECORD.pack(seconds + nanos / 1e9, *ports))
    del kept
    print(json.dumps({"lost": struct.unpack("II", one.getsockopt(_PACKET, _STATISTICS, 8))[1]}), flush=True)


def talk(order):
    """Hold one TCP connection to an echo, and say for each line that comes whether it came back."""
    end = time.monotonic() + order["patience"]
    while True:
        try:
            one = socket.create_connection((order["address"], order["port"]), timeout=2)
            break
        except OSError as error:
            if time.monotonic() > end:
                print(f"not connected: {error}", flush=True)
                return
            time.sleep(0.2)
    one.settimeout(order["wait"])
    print("connected", flush=True)
    for line in sys.stdin:
        try:
            one.sendall(line.encode())
            got = b""
            while not got.endswith(b"\n"):
                got += one.recv(256) or b"\n"
            print("heard" if got == line.encode() else f"heard {got!r}", flush=True)
        except OSError:
            print("silence", flush=True)


if __name__ == "__main__":
    {"send": send, "count": count, "talk": talk}[sys.argv[1]](json.loads(sys.argv[2]))
