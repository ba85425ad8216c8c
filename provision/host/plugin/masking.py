"""Keeping secrets out of texts that people or logs see."""

import html
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from provision.host.plugin.shapes import Entries, Items, Record, Shape
from provision.host.values import OutputValue, SecretValue, plain

MASK = "[secret]"
SHORTEST = 3
"""Shorter secrets are not masked: a text without its every `a` would still give the letter away, and be unreadable."""


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


class Masker:
    """Replaces known secrets, also as they look when quoted for Python, JSON or XML, and each line of long ones."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Mask `secrets`."""
        forms: set[str] = set()
        for secret in secrets:
            for form in (secret, *(line.strip() for line in secret.splitlines() if len(line.strip()) >= 8)):
                forms |= {form, repr(form)[1:-1], json.dumps(form)[1:-1], html.escape(form)}
        self._forms = sorted((form for form in forms if len(form) >= SHORTEST), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        for form in self._forms:
            text = text.replace(form, MASK)
        return text
