"""What the flash of a machine's firmware tells of secure boot."""

import struct
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from provision_libvirt.varstore import starts_only_what_is_signed, variables

GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
SIGNERS = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
SWITCH = "f0a30bc7-af08-4556-99c4-001009c93a44"
KEYS = [(GLOBAL, "PK", b"owner"), (SIGNERS, "db", b"signers")]
ON, OFF = ((SWITCH, "SecureBootEnable", bytes([value])) for value in (1, 0))


def flash(*made, state=0x3F):
    """A store of variables, each (vendor, name, value) or with a state of its own."""
    store = b""
    for vendor, name, value, *own in made:
        text = f"{name}\0".encode("utf-16-le")
        head = struct.pack("<HBxI8x16x4xII", 0x55AA, own[0] if own else state, 7, len(text), len(value))
        one = head + uuid.UUID(vendor).bytes_le + text + value
        store += one + b"\xff" * (-len(one) % 4)
    store += b"\xff" * 64
    kind = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792").bytes_le
    header = bytearray(72)
    header[40:44] = b"_FVH"
    struct.pack_into("<H", header, 48, 72)
    return bytes(header) + kind + struct.pack("<IBB6x", 28 + len(store), 0x5A, 0xFE) + store


def test_keys_and_the_switch_make_secure_boot():
    assert starts_only_what_is_signed(flash(*KEYS, ON))
    assert variables(flash(*KEYS))[(GLOBAL, "PK")] == b"owner"


@pytest.mark.parametrize(
    "made",
    [
        (),
        (*KEYS, OFF),
        KEYS,
        (KEYS[0], ON),
        (KEYS[1], ON),
        (*KEYS, (GLOBAL, "SecureBootEnable", b"\1")),  # a guest may make variables of any name, with another vendor
        (*KEYS, (*ON, 0x3C)),  # deleted
        (*KEYS, ON, OFF, (*ON, 0x3E)),  # being replaced, and replaced by now
        ((GLOBAL, "PK", b""), KEYS[1], ON),
    ],
)
def test_less_does_not(made):
    assert not starts_only_what_is_signed(flash(*made))


def test_of_a_variable_that_is_being_replaced_the_old_value_counts_until_the_new_one_is_there():
    assert starts_only_what_is_signed(flash(*KEYS, (*ON, 0x3E), (*OFF, 0x7F)))


@pytest.mark.parametrize("content", [b"", b"\xff" * 4096, flash()[:60], flash().replace(b"_FVH", b"_FVX")])
def test_what_is_no_store_is_refused(content):
    with pytest.raises(ValueError, match=r"firmware volume"):
        variables(content)


@given(st.integers(0, 250), st.binary(min_size=1, max_size=8))
def test_damage_is_no_error_of_ours(at, garbage):
    whole = flash(*KEYS, ON)
    damaged = whole[:at] + garbage + whole[at + len(garbage) :]
    try:
        variables(damaged)
    except ValueError:
        return
