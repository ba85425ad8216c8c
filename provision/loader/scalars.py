"""Plain YAML scalars by the rules of YAML 1.2's core schema: `no`, `on`, `22:22` and dates are text."""

import re

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,39})\Z")
_OCTAL = re.compile(r"0o[0-7]{1,40}\Z")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,40}\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_WORDS: dict[str, bool | float | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_WORDS |= {sign + word: float("inf") for sign in ("", "+") for word in (".inf", ".Inf", ".INF")}
_WORDS |= {word: float("-inf") for word in ("-.inf", "-.Inf", "-.INF")}
_WORDS |= {word: float("nan") for word in (".nan", ".NaN", ".NAN")}
_NUMBER_STARTS = frozenset("+-.0123456789")


def resolve(text: str) -> bool | int | float | str | None:
    """The value of an unquoted scalar.

    A number with leading zeros (`012`) stays text: YAML 1.1 reads it as octal and 1.2 as decimal, so no reader can
    know what was meant.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if _INTEGER.match(text):
        return int(text)
    if _FLOAT.match(text):
        # more digits than the integer rule takes: no field holds such a number, and reading it takes quadratic time
        return float(text) if len(text) <= 400 else text
    if _OCTAL.match(text):
        return int(text[2:], 8)
    if _HEX.match(text):
        return int(text[2:], 16)
    return text
