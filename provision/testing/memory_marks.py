"""Whose an object of the in-memory platform is."""

from hashlib import blake2s


def marker(stack_id: str, urn: str) -> str:
    """Of an object: `STACK.URN`, of which one half says whether it is of the same stack."""
    return f"{digest(stack_id)}.{digest(f'{stack_id}|{urn}')}"


def of_stack(mark: str, stack_id: str) -> bool:
    """Whether the object with that marker is of that stack."""
    return mark.split(".")[0] == digest(stack_id)


def digest(text: str) -> str:
    """Twelve hexadecimal digits."""
    return blake2s(text.encode(), digest_size=6).hexdigest()
