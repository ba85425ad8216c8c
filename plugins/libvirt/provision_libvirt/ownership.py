"""Ownership markers: UUIDs derived from the stack's identity and the URN.

A marker has 16 bytes: five of the stack, five of the URN and six of the incarnation, with version and variant bits of a
version 8 UUID (RFC 9562) set over them. Whether an object is this stack's, or this URN's, is told by its first bytes.
"""

import secrets
from dataclasses import dataclass
from hashlib import blake2s
from uuid import UUID

_STACK_BYTES = 5
_URN_BYTES = 5
_REST_BYTES = 6


@dataclass(frozen=True, slots=True)
class Owner:
    """Who an object belongs to: a resource (`urn`) of a stack (`stack_id`)."""

    stack_id: str
    urn: str

    def uuid(self) -> str:
        """The marker of the one object of this URN, for types that are deleted before they are made again."""
        return str(self._marked(_digest(f"{self.stack_id}|{self.urn}", _REST_BYTES)))

    def incarnation(self) -> tuple[str, str]:
        """A new marker and the hexadecimal name of its incarnation, for types that are made before they are deleted."""
        made = self._marked(secrets.token_bytes(_REST_BYTES))
        return str(made), made.hex[-2 * _REST_BYTES :]

    def owns(self, uuid: str) -> bool:
        """Whether `uuid` marks an object, of whatever incarnation, of this URN in this stack."""
        length = _STACK_BYTES + _URN_BYTES
        return _bytes(uuid)[:length] == self._marked(bytes(_REST_BYTES)).bytes[:length]

    def owns_in_stack(self, uuid: str) -> bool:
        """Whether `uuid` marks any object of this stack."""
        return in_stack(uuid, self.stack_id)

    def _marked(self, rest: bytes) -> UUID:
        whole = bytearray(_digest(self.stack_id, _STACK_BYTES) + _digest(self.urn, _URN_BYTES) + rest)
        whole[6] = whole[6] & 0x0F | 0x80
        whole[8] = whole[8] & 0x3F | 0x80
        return UUID(bytes=bytes(whole))


def in_stack(uuid: str, stack_id: str) -> bool:
    """Whether `uuid` marks an object of the stack `stack_id`."""
    return is_marked(uuid) and _bytes(uuid)[:_STACK_BYTES] == _digest(stack_id, _STACK_BYTES)


def same_stack(uuid: str, other: str) -> bool:
    """Whether both mark objects of one stack."""
    return is_marked(uuid) and is_marked(other) and _bytes(uuid)[:_STACK_BYTES] == _bytes(other)[:_STACK_BYTES]


def same_owner(uuid: str, other: str) -> bool:
    """Whether both mark incarnations of one resource."""
    length = _STACK_BYTES + _URN_BYTES
    return is_marked(uuid) and is_marked(other) and _bytes(uuid)[:length] == _bytes(other)[:length]


def is_marked(uuid: str) -> bool:
    """Whether `uuid` has the form of a marker at all."""
    return UUID(uuid).version == 8


def stack_mark(stack_id: str) -> str:
    """What may be shown of a stack's identity, in metadata that others can read."""
    return _digest(stack_id, _STACK_BYTES).hex()


def _digest(text: str, size: int) -> bytes:
    return blake2s(text.encode()).digest()[:size]


def _bytes(uuid: str) -> bytes:
    return UUID(uuid).bytes
