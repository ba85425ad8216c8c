"""For tests: guests that boot in no time."""

import struct
from pathlib import Path

HALT = "f4 eb fd"  # again: hlt; jmp again
POWER_OFF = "66 ba 04 06 66 b8 00 20 66 ef"  # out 0x604, 0x2000


def guest(directory: Path, text: str, then: str = HALT) -> dict[str, str]:
    """Make a kernel that prints `text`, and then halts or powers off; as inputs of a machine."""
    kernel, initrd = directory / "kernel", directory / "initrd"
    kernel.write_bytes(_multiboot(text, then))
    initrd.write_bytes(b"nothing")
    return {"kernel": str(kernel), "initrd": str(initrd)}


def _multiboot(text: str, then: str) -> bytes:
    """A kernel of the Multiboot specification, which QEMU boots as it stands, without Linux."""
    start, flags, magic = 0x100000, 0x10000, 0x1BADB002
    print_it = "ac 84 c0 74 07 66 ba f8 03 ee eb f4"  # next: lodsb; test al,al; jz done; out 0x3f8,al; jmp next; done:
    code = bytes.fromhex(print_it + then + HALT)
    body = start + 32 + 5
    end = body + len(code) + len(text) + 1
    header = struct.pack("<8I", magic, flags, -(magic + flags) & 0xFFFFFFFF, start, start, end, end, start + 32)
    return header + struct.pack("<BI", 0xBE, body + len(code)) + code + text.encode() + b"\0"  # mov esi, text
