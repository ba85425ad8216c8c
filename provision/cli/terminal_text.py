"""Text of guests made fit for a person's terminal: a guest must not move its cursor or write its title."""

import codecs
import re

# Control sequences and strings (ECMA-48), and control characters but tab and newline.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_UNFINISHED = re.compile(r"(?:\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\x9c]*\x1b?|[ -/]*)|\r)\Z")
_LONGEST_SEQUENCE = 4096


class TerminalText:
    """Turns bytes into such text piece by piece; characters and sequences may be cut between two pieces."""

    def __init__(self) -> None:
        """Begin."""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""

    def feed(self, data: bytes, *, last: bool = False) -> str:
        """What may be shown of `data` and of what was held back; `last` holds nothing back."""
        text = self._held + self._decoder.decode(data, last)
        self._held = ""
        unfinished = None if last else _UNFINISHED.search(text)
        if unfinished and len(unfinished[0]) <= _LONGEST_SEQUENCE:
            self._held = unfinished[0]
            text = text[: unfinished.start()]
        return _CONTROL.sub("", text.replace("\r\n", "\n"))


def shown(data: bytes) -> str:
    """All of `data` as such text."""
    return TerminalText().feed(data, last=True)
