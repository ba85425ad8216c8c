"""The SDK of a tiny platform: a cabinet of things in a folder, one file each. It knows nothing of `provision`."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path


class CabinetError(Exception):
    """The cabinet refuses, or does not answer."""


class NoSuchThing(CabinetError):
    """There is nothing of that id."""


class Busy(CabinetError):
    """Asked too often."""


class Unreachable(CabinetError):
    """The connection broke, or no answer came."""


@dataclass(frozen=True)
class Thing:
    """What the cabinet holds."""

    id: str
    kind: str
    name: str
    marker: str
    size: int = 1
    tags: tuple[str, ...] = ()
    password: str = ""
    ready: bool = False


class Cabinet:
    """A client; every method is one call."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not folder.is_dir():
            raise Unreachable(f"there is no cabinet at {folder}")

    def things(self, kind: str) -> list[Thing]:
        """All of a kind, in the order of their ids."""
        found = (self._load(path) for path in sorted(self._folder.glob("*.json")))
        return [thing for thing in found if thing.kind == kind]

    def find(self, kind: str, name: str) -> Thing | None:
        return next((thing for thing in self.things(kind) if thing.name == name), None)

    def get(self, identity: str) -> Thing:
        path = self._folder / f"{identity}.json"
        if not path.exists():
            raise NoSuchThing(f"no thing {identity}")
        return self._load(path)

    def make(self, kind: str, name: str, marker: str, password: str = "") -> Thing:
        made = Thing(f"{kind}-{secrets.token_hex(4)}", kind, name, marker, password=password)
        self._store(made)
        return made

    def resize(self, identity: str, size: int) -> Thing:
        return self._store(replace(self.get(identity), size=size))

    def tag(self, identity: str, tags: list[str]) -> Thing:
        return self._store(replace(self.get(identity), tags=tuple(tags)))

    def lock(self, identity: str, password: str) -> Thing:
        return self._store(replace(self.get(identity), password=password))

    def start(self, identity: str) -> Thing:
        return self._store(replace(self.get(identity), ready=True))

    def remove(self, identity: str) -> None:
        try:
            (self._folder / f"{identity}.json").unlink()
        except FileNotFoundError:
            raise NoSuchThing(f"no thing {identity}") from None

    def _load(self, path: Path) -> Thing:
        held = json.loads(path.read_text())
        return Thing(**{**held, "tags": tuple(held["tags"])})

    def _store(self, thing: Thing) -> Thing:
        scratch = self._folder / f"{thing.id}.{os.getpid()}.new"
        scratch.write_text(json.dumps(asdict(thing)))
        scratch.replace(self._folder / f"{thing.id}.json")
        return thing
