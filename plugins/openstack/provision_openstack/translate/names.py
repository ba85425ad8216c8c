"""Names in the cloud: `project-stack-machine[-part]`."""

from dataclasses import dataclass
from hashlib import blake2s

_LIMIT = 200
"""Characters, so that a mark still fits behind; OpenStack takes 255."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one stack's native objects."""

    project: str
    stack: str

    def native(self, *parts: str) -> str:
        """The name of one; of a long one the beginning and a hash."""
        text = "-".join((self.project, self.stack, *parts))
        if len(text) <= _LIMIT:
            return text
        return f"{text[: _LIMIT - 9]}-{blake2s(text.encode()).hexdigest()[:8]}"
