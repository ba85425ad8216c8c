"""Whose an object is: a mark that the very call writes which makes it, wherever the service has room for one.

Neutron's objects and flavors have it at the end of their description, servers and volumes in their metadata, images in
their properties. Key pairs and server groups have nothing but a name: theirs ends in digits that are derived from the
same.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any, Literal

Place = Literal["description", "metadata", "properties", "name", ""]
"""Where a kind of object has its mark; empty: it has none."""

METADATA_KEY = "provision"
PROPERTY_KEY = "provision_mark"

_URN_BYTES = 16
_NAME_BYTES = 5
_MARK = re.compile(r"provision:(?P<stack>[^:\]]*):(?P<urn>[0-9a-f]{32})(?::(?P<incarnation>[0-9a-f]+))?")
_IN_TEXT = re.compile(r" ?\[" + _MARK.pattern + r"\]$")
_IN_NAME = re.compile(r"-[0-9a-f]{20}$")


@dataclass(frozen=True, slots=True)
class Owner:
    """Who an object belongs to: a resource (`urn`) of a stack (`stack_id`).

    Attributes:
        stack_id: identity of the stack.
        urn: Pulumi's name of the resource.
        incarnation: random hexadecimal digits, for types of which a new object is made before the old one goes.
    """

    stack_id: str
    urn: str
    incarnation: str = ""

    @property
    def mark(self) -> str:
        """The mark, as it stands in metadata."""
        made = f"provision:{self.stack_id}:{_digest(self.urn)}"
        return f"{made}:{self.incarnation}" if self.incarnation else made

    def described(self, text: str) -> str:
        """A description that ends in the mark."""
        return f"{text} [{self.mark}]".strip()

    def named(self, text: str) -> str:
        """A name that ends in the mark."""
        return f"{text}-{_short(self.stack_id)}{_short(self.urn)}"

    def made(self, place: Place, live: Mapping[str, Any]) -> bool:
        """Whether a live object was made for this resource; with an incarnation: for this very one."""
        if place == "name":
            return str(live.get("name", "")).endswith(self.named(""))
        found = _found(place, live)
        if found is None or found["stack"] != self.stack_id or found["urn"] != _digest(self.urn):
            return False
        return not self.incarnation or found["incarnation"] == self.incarnation


def stack_of(place: Place, live: Mapping[str, Any]) -> str:
    """Identity of the stack that made an object; empty when none did, or its name alone has the mark."""
    found = _found(place, live)
    return str(found["stack"]) if found is not None else ""


def made_by(place: Place, live: Mapping[str, Any], stack_id: str) -> bool:
    """Whether the stack made an object."""
    if place == "name":
        return bool(re.search(f"-{_short(stack_id)}[0-9a-f]{{{2 * _NAME_BYTES}}}$", str(live.get("name", ""))))
    return bool(stack_id) and stack_of(place, live) == stack_id


def maker(place: Place, live: Mapping[str, Any]) -> str:
    """Digits of the stack that made an object, the same wherever its mark is; empty when none did."""
    if place == "name":
        found = _IN_NAME.search(str(live.get("name", "")))
        return found[0][1 : 1 + 2 * _NAME_BYTES] if found is not None else ""
    stack = stack_of(place, live)
    return _short(stack) if stack else ""


def incarnation_of(place: Place, live: Mapping[str, Any]) -> str:
    """The random part of an object's mark; empty for none."""
    found = _found(place, live)
    return (found["incarnation"] or "") if found is not None else ""


def plain_text(text: str | None) -> str:
    """A description without the mark."""
    return _IN_TEXT.sub("", text or "")


def plain_name(name: str) -> str:
    """A name without the mark."""
    return _IN_NAME.sub("", name)


def plain_metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Metadata without the mark."""
    return {key: value for key, value in (metadata or {}).items() if key != METADATA_KEY}


def _found(place: Place, live: Mapping[str, Any]) -> re.Match[str] | None:
    if place == "description":
        return _IN_TEXT.search(live.get("description") or "")
    if place == "metadata":
        return _MARK.fullmatch(str((live.get("metadata") or {}).get(METADATA_KEY, "")))
    if place == "properties":
        return _MARK.fullmatch(str(live.get(PROPERTY_KEY) or ""))
    return None


def _digest(urn: str) -> str:
    return blake2s(urn.encode(), digest_size=_URN_BYTES).hexdigest()


def _short(text: str) -> str:
    return blake2s(text.encode(), digest_size=_NAME_BYTES).hexdigest()
