"""Text of any origin in Markdown: nothing of it becomes markup, a link or a mention."""

import re
from collections.abc import Iterator

_MARKUP = re.compile(r"([\\`*_<>\[\]|#~@&!])")


def escaped(text: str) -> str:
    """Text as Markdown shows it, on one line."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Text in a span of code, also within a table."""
    line = " ".join(text.split()).replace("|", "\\|")
    ticks = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def fenced(text: str) -> Iterator[str]:
    """Lines of a block that is shown as it stands."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    yield fence
    yield from text.splitlines()
    yield fence
