"""Keeping secrets out of texts that people or logs see."""

import base64
import html
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any
from urllib.parse import quote, quote_plus

from provision.host.plugin.shapes import Entries, Items, Record, Shape
from provision.host.values import OutputValue, SecretValue, plain

MASK = "[secret]"
SHORTEST = 3
"""Shorter secrets are not masked: a text without its every `a` would still give the letter away, and be unreadable."""

LINE = 8
"""Shorter lines of a long secret, and shorter parts of its Base64, are not masked by themselves."""

_URL_SAFE = str.maketrans("+/", "-_")


def secrets_in(value: Any, shape: Shape | None = None) -> Iterator[str]:
    """Every secret text in a value: what is wrapped, and what `shape` calls secret."""
    if isinstance(value, SecretValue) or (isinstance(value, OutputValue) and value.secret):
        yield from _texts(plain(value))
    elif isinstance(value, OutputValue):
        yield from secrets_in(value.value, shape)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(shape, Record):
                declared = shape.fields.get(key)
                if declared is not None and declared.secret:
                    yield from _texts(plain(item))
                else:
                    yield from secrets_in(item, declared.shape if declared else None)
            else:
                yield from secrets_in(item, shape.item if isinstance(shape, Entries) else None)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from secrets_in(item, shape.item if isinstance(shape, Items) else None)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int | float):
        yield str(value)
    elif isinstance(value, bytes):
        yield value.decode(errors="replace")
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


class Secrets:
    """The secrets of values, looked for when they are asked for: most calls mask no text."""

    def __init__(self, known: Sequence[str], values: Sequence[tuple[Any, Shape]]) -> None:
        """What is `known`, and what is in the values by their shapes."""
        self._known, self._values = known, values

    def __iter__(self) -> Iterator[str]:
        """Every one."""
        yield from self._known
        for value, shape in self._values:
            yield from secrets_in(value, shape)


class Masker:
    """Replaces known secrets, however they are written, and each line of long ones.

    Known are the spellings of Python, JSON, XML and URLs, hexadecimal digits, and Base64, also where a secret is only
    a part of what was encoded.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Mask `secrets`, which are gone through when the first text is masked."""
        self._secrets = tuple(secrets) if isinstance(secrets, Iterator) else secrets

    @cached_property
    def _forms(self) -> list[str]:
        """Everything to look for, the longest first; made when it is needed, which in most operations is never."""
        forms: set[str] = set()
        for secret in self._secrets:
            for form in (secret, *(line.strip() for line in secret.splitlines() if len(line.strip()) >= LINE)):
                forms |= set(_spellings(form))
        return sorted((form for form in forms if len(form) >= SHORTEST), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        for form in self._forms:
            text = text.replace(form, MASK)
        return text


def _spellings(secret: str) -> Iterator[str]:
    yield from (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    yield from (html.escape(secret), html.escape(secret, quote=False))
    content = secret.encode(errors="replace")
    yield from (quote(content), quote(content, safe=""), quote_plus(content))
    if len(content) >= SHORTEST:
        yield from (content.hex(), content.hex().upper())
    for before in range(3):  # bytes of something else in the same group of three
        rest = -(before + len(content)) % 3
        encoded = base64.b64encode(bytes(before) + content).decode().rstrip("=")
        core = encoded[(0, 2, 3)[before] : len(encoded) - (1 if rest else 0)]
        if len(core) >= LINE:
            yield from (core, core.translate(_URL_SAFE))
        if before == 0 and len(encoded) >= LINE:
            yield from (encoded, encoded.translate(_URL_SAFE))
