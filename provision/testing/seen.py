"""What the engine gets to see of a plugin: objects, differences, lists, and failures with what they leave behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class CheckRefused(Exception):
    """Inputs that cannot be used: reasons by property path as Pulumi writes it."""

    def __init__(self, failures: Mapping[str, str]) -> None:
        """Carry the reasons."""
        super().__init__("; ".join(f"{path}: {reason}" for path, reason in failures.items()))
        self.failures = dict(failures)


class OperationFailed(Exception):
    """A call that ended with a failure.

    Attributes:
        code: gRPC's name of the code, such as `ALREADY_EXISTS`.
        message: what the person sees.
        kept: the object that was recorded although the call failed.
        reasons: why it is not healthy.
    """

    def __init__(self, code: str, message: str, kept: "Made | None" = None, reasons: Sequence[str] = ()) -> None:
        """Carry what the engine would see."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.kept = kept
        self.reasons = tuple(reasons)


@dataclass(frozen=True)
class Made:
    """An object as the engine would record it, by wire names and with secrets wrapped."""

    id: str
    outputs: dict[str, Any]
    inputs: dict[str, Any]


@dataclass(frozen=True)
class Compared:
    """What a diff says: `detailed` holds the kind (`update`, `add_replace`, …) by property path.

    Attributes:
        detailed: kinds by property path.
        replaces: properties whose change replaces the object.
        delete_before_replace: whether the old object goes before the new one is made.
        changed: whether there is anything to do at all.
    """

    detailed: dict[str, str]
    replaces: tuple[str, ...]
    delete_before_replace: bool
    changed: bool


@dataclass(frozen=True)
class Found:
    """One object that a list gave."""

    id: str
    name: str


@dataclass(frozen=True)
class Page:
    """A part of a list; `more` asks for the next one, and is empty after the last. `computed`: nobody can tell yet."""

    found: tuple[Found, ...]
    more: str
    computed: bool
