"""Texts as they can be sent to people."""

LONGEST = 64 * 1024
"""Characters of a message: more does not fit into what gRPC carries beside an answer, and nobody reads it."""


def fit(text: str) -> str:
    """A text that can be sent: without what is no text (names of files may be none), and without its middle if long."""
    text = text.encode(errors="replace").decode()
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST // 2]}\n… {len(text) - LONGEST} characters left out …\n{text[-LONGEST // 2 :]}"


def text_of(error: BaseException) -> str:
    """What a failure says of itself; it may be nothing, also because it fails at that too."""
    try:
        return str(error).strip()
    except Exception:
        return ""
