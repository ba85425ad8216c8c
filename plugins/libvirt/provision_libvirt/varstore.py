"""Variables of a machine's UEFI firmware, as they are kept in the file of its flash.

The layout is the UEFI Platform Initialization specification's (volume 3, firmware volume header) and that of EDK II's
`VariableFormat.h` for authenticated variables.
"""

import struct
import uuid
from collections.abc import Iterator

_HEADER_BYTES = 50
_STORE = struct.Struct("<16sIBB6x")
_AUTHENTICATED = bytes.fromhex("782cf3aa7b949a43a1802e144ec37792")
_FORMATTED, _HEALTHY = 0x5A, 0xFE
_VARIABLE = struct.Struct("<HBxI8x16x4xII16s")
_START, _ADDED, _BEING_REPLACED = 0x55AA, 0x3F, 0x3E
# UEFI 2.10, sections 3.3 and 32.6, and EDK II's `AuthenticatedVariableFormat.h`: a name is one only with its vendor.
_OWNER = ("8be4df61-93ca-11d2-aa0d-00e098032b8c", "PK")
_SIGNERS = ("d719b2cb-3d3a-4596-a3bc-dad00e67656f", "db")
_SWITCH = ("f0a30bc7-af08-4556-99c4-001009c93a44", "SecureBootEnable")

Name = tuple[str, str]
"""The vendor's GUID and the name of a variable."""


def variables(flash: bytes) -> dict[Name, bytes]:
    """The variables that count, of what is damaged those before it.

    Raises:
        ValueError: it is no store of such variables.
    """
    if len(flash) < _HEADER_BYTES or flash[40:44] != b"_FVH":
        raise ValueError("no firmware volume")
    (start,) = struct.unpack_from("<H", flash, 48)
    if len(flash) < start + _STORE.size:
        raise ValueError("the firmware volume is cut off")
    kind, size, format, state = _STORE.unpack_from(flash, start)
    if (kind, format, state) != (_AUTHENTICATED, _FORMATTED, _HEALTHY):
        raise ValueError("no store of authenticated variables")
    found = list(_walk(flash[start + _STORE.size : start + size]))
    return {name: value for wanted in (_BEING_REPLACED, _ADDED) for state, name, value in found if state == wanted}


def _walk(store: bytes) -> Iterator[tuple[int, Name, bytes]]:
    at = 0
    while at + _VARIABLE.size <= len(store):
        mark, state, _, name_size, data_size, vendor = _VARIABLE.unpack_from(store, at)
        begin = at + _VARIABLE.size
        end = begin + name_size + data_size
        if mark != _START or end > len(store):
            return
        name = store[begin : begin + name_size].decode("utf-16-le", "replace").rstrip("\0")
        yield state, (str(uuid.UUID(bytes_le=vendor)), name), store[begin + name_size : end]
        at = (end + 3) // 4 * 4


def starts_only_what_is_signed(flash: bytes) -> bool:
    """Whether a key of the platform's owner is enrolled, by which alone the others change, and secure boot is on.

    Raises:
        ValueError: it is no store of such variables.
    """
    found = variables(flash)
    return bool(found.get(_OWNER)) and bool(found.get(_SIGNERS)) and found.get(_SWITCH) == b"\x01"
