"""Names of native objects: `project-stack-machine[-part]`."""

import re
from dataclasses import dataclass
from hashlib import blake2s

_LONGEST = 230  # of a security group's name 255, less what is added when it is made
_NOT_TAKEN = re.compile(r"[^a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]")
"""What EC2 takes in no name or description of a group or rule."""


def plain(text: str, longest: int = _LONGEST) -> str:
    """A text that EC2 takes as a name or description; when it is longer its beginning and a digest."""
    text = _NOT_TAKEN.sub("-", text)
    if len(text) <= longest:
        return text
    return f"{text[: longest - 9]}-{blake2s(text.encode()).hexdigest()[:8]}"


def slug(text: str, longest: int = 100) -> str:
    """A text as part of a name in Pulumi."""
    made = re.sub(r"[^a-zA-Z0-9.=_*-]+", "-", text)
    if made == text and len(made) <= longest:
        return made
    return f"{made[: longest - 9]}-{blake2s(text.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one stack's native objects."""

    project: str
    stack: str

    def native(self, *parts: str) -> str:
        """An object's name."""
        return plain("-".join((self.project, self.stack, *parts)))
