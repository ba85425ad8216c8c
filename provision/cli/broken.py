"""What a self-test on live machines is breaking just now, kept so that whoever comes next can mend it."""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provision.errors import EnvironmentProblem
from provision.host.engine import user_state


@dataclass(frozen=True)
class BrokenNote:
    """A small file of names of native resources; what they are to be, the stack's state knows.

    Attributes:
        path: of the file; there is one only while something is broken.
    """

    path: Path

    @classmethod
    def of(cls, directory: Path, stack: str, env: Mapping[str, str] = os.environ) -> "BrokenNote":
        """That of a stack: its folder and its Pulumi stack tell it from others of this account."""
        key = hashlib.sha256(f"{directory.resolve()}\0{stack}".encode()).hexdigest()[:32]
        return cls(user_state(env) / "broken" / f"{key}.json")

    def __bool__(self) -> bool:
        """Whether something was left broken."""
        return self.path.exists()

    def write(self, nodes: Sequence[str]) -> None:
        """Say that these native resources are about to be broken; on the disk when this returns.

        Raises:
            EnvironmentProblem: it cannot be written, so nothing may be broken.
        """
        beside = self.path.with_suffix(f".{os.getpid()}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump({"schema": 1, "nodes": list(nodes)}, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise EnvironmentProblem(
                f"nothing may be broken, since what is cannot be noted in {self.path}: {error.strerror}",
                "make the folder writable, or set XDG_STATE_HOME to one that is",
            ) from None

    def read(self) -> tuple[str, ...] | None:
        """The native resources that were left broken; None when that cannot be read, so it may be any."""
        try:
            found = json.loads(self.path.read_text())["nodes"]
            return tuple(str(name) for name in found) if isinstance(found, list) else None
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def clear(self) -> None:
        """Nothing is broken any more."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
