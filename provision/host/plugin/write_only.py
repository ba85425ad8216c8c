"""Values that state never holds: a digest stands for each, and memory keeps the value while it is needed.

A check and what follows it run in one process. The check puts a salted digest in the place of the value and remembers
which value it stands for; creating and updating put the value back. A digest that was recorded for the same value is
kept, so that nothing differs.
"""

import hashlib
import hmac
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from provision.errors import UserError
from provision.host.plugin.diffing import format_wire_path
from provision.host.plugin.shapes import Field, Record
from provision.host.plugin.walking import ABSENT, Path, at, transformed
from provision.host.values import SecretValue, plain
from provision.spi.properties import UNKNOWN

PREFIX = "digest:"
SCHEME = "scrypt14"
"""scrypt with N = 2**14, r = 8, p = 1."""

_DIGEST = re.compile(PREFIX + "[a-z0-9]+:[0-9a-f]{32}:[0-9a-f]{64}")

MOST_VALUES = 65_536
"""How many values are remembered; of the oldest, no operation can be under way."""

_few_at_a_time = threading.BoundedSemaphore(4)
"""Each derivation takes 16 MiB, and about 50 ms of a processor."""


def digest(text: str, salt: str) -> str:
    """What stands for `text` in state; `salt` is hexadecimal."""
    with _few_at_a_time:
        key = hashlib.scrypt(text.encode("utf-8", "surrogatepass"), salt=salt.encode(), n=1 << 14, r=8, p=1, dklen=32)
    return f"{PREFIX}{SCHEME}:{salt}:{key.hex()}"


def is_digest(value: Any) -> bool:
    """Whether it is what stands for a value in state."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


class Vault:
    """What this process knows of the values behind digests."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def stands_for(self, recorded: Any, text: str) -> bool:
        """Whether `recorded` is the digest of `text`."""
        if not is_digest(recorded) or recorded.split(":")[1] != SCHEME:
            return False
        known = self._get(recorded)
        if known is not None:
            return hmac.compare_digest(known.encode("utf-8", "surrogatepass"), text.encode("utf-8", "surrogatepass"))
        return hmac.compare_digest(digest(text, recorded.split(":")[2]), recorded)

    def seal(
        self,
        values: Mapping[str, Any],
        record: Record,
        *recorded: Mapping[str, Any] | None,
        salt: Callable[[Path], str],
    ) -> dict[str, Any]:
        """Wire values with digests in the place of write-only values, which are remembered.

        Args:
            values: with values or digests.
            record: their shape.
            recorded: values whose digests are kept where they stand for the same.
            salt: for what has no such digest, by path.
        """

        def change(path: Path, field: Field, value: Any) -> Any:
            text = plain(value) if field.write_only else None
            if not isinstance(text, str) or value is ABSENT:
                return value
            candidates = [plain(at(values, path)) for values in recorded if values is not None]
            if is_digest(text) and (text in candidates or self.knows(text)):
                return SecretValue(text)
            kept = next((item for item in candidates if self.stands_for(item, text)), None)
            sealed = kept or digest(text, salt(path))
            with self._lock:
                self._known[sealed] = text
                self._known.move_to_end(sealed)
                while len(self._known) > MOST_VALUES:
                    self._known.popitem(last=False)
            return SecretValue(sealed)

        found: dict[str, Any] = transformed(values, record, change)
        return found

    def open(
        self, values: Mapping[str, Any], record: Record, *, strict: bool = True, like: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Wire values with the values themselves in the place of their digests.

        Args:
            values: with digests.
            record: their shape.
            strict: whether a digest of which the value is not known is an error; else it stays.
            like: only digests that stand at the same place here are replaced.

        Raises:
            UserError: a value is not known in this process.
        """

        def change(path: Path, field: Field, value: Any) -> Any:
            text = plain(value) if field.write_only else None
            if not isinstance(text, str) or value is ABSENT:
                return value
            if like is not None and plain(at(like, path)) != text:
                return value
            known = self._get(text)
            if known is None and strict:
                raise UserError(
                    f"the value of '{format_wire_path(path)}' is not known in this run: state holds only its digest",
                    "give it in the program, and do not name it in ignoreChanges, then run again",
                )
            return value if known is None else SecretValue(known)

        found: dict[str, Any] = transformed(values, record, change)
        return found

    def knows(self, sealed: str) -> bool:
        """Whether the value behind the digest is known."""
        return self._get(sealed) is not None

    def forget(self, values: Mapping[str, Any], record: Record) -> None:
        """Nothing will ask for the values behind these digests any more."""
        with self._lock:
            for text in write_only_texts(values, record):
                self._known.pop(text, None)

    def _get(self, sealed: str) -> str | None:
        with self._lock:
            return self._known.get(sealed)


def write_only_texts(values: Mapping[str, Any], record: Record) -> Iterator[str]:
    """The texts of write-only properties, as they stand there."""
    found: list[str] = []

    def visit(path: Path, field: Field, value: Any) -> Any:
        if field.write_only and value is not ABSENT and isinstance(plain(value), str):
            found.append(plain(value))
        return value

    transformed(values, record, visit)
    yield from found


def without_digests(values: Mapping[str, Any], record: Record) -> tuple[dict[str, Any], dict[Path, str]]:
    """New values with the unknown in the place of digests, and these.

    The engine puts recorded inputs into new ones, as `ignoreChanges` and imports ask for it.
    """
    digests: dict[Path, str] = {}

    def change(path: Path, field: Field, value: Any) -> Any:
        if field.write_only and is_digest(value):
            digests[path] = value
            return UNKNOWN
        return value

    return transformed(values, record, change), digests


def with_kept(values: Mapping[str, Any], kept: Mapping[Path, str], record: Record) -> dict[str, Any]:
    """The recorded digests put back."""

    def change(path: Path, field: Field, value: Any) -> Any:
        return SecretValue(kept[path]) if path in kept else value

    found: dict[str, Any] = transformed(values, record, change) if kept else dict(values)
    return found


def salts(seed: bytes, urn: str) -> Callable[[Path], str]:
    """Salts by path: the same again with the same seed, random without one."""

    def salt(path: Path) -> str:
        if not seed:
            return os.urandom(16).hex()
        return hashlib.blake2s(seed + f"\0{urn}\0{format_wire_path(path)}".encode(), digest_size=16).hexdigest()

    return salt
