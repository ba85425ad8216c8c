"""What a process knows of its own work on a platform: half-done attempts, objects that it touched, whose they are."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

from provision.spi.calls import carried
from provision.spi.cloud.reading import Reader

T = TypeVar("T")

_MOST_THREADS = 16


@dataclass
class Attempt:
    """One attempt to make an object, of which it is not known yet how it ended.

    Attributes:
        token: random hexadecimal digits: the incarnation, and for APIs that take one the token by which they make an
            object once.
        begun: whether a call was made that may have had its effect.
    """

    token: str = field(default_factory=lambda: uuid4().hex)
    begun: bool = False


class CloudSession(ABC):
    """The way to one account, and what this process knows to have done there; used by several threads.

    Attributes:
        reader: looks at objects.
        cache: answers that do not change while a process lives, by a key of the asker's choice.
    """

    reader: Reader[Any]

    def __init__(self) -> None:
        """Nothing has been done yet."""
        self.cache: dict[Any, Any] = {}
        self._lock = threading.RLock()
        self._asking: dict[Any, threading.RLock] = {}
        self._attempts: dict[str, Attempt] = {}
        self._touched: dict[str, float] = {}
        self._stacks: dict[str, str] = {}

    # --- what each platform says

    @abstractmethod
    def explained(self, doing: str) -> AbstractContextManager[None]:
        """Turn what the platform's library raises inside into the class of `provision.errors` that says what to do.

        Args:
            doing: how the message begins, such as "making the network 'front'".
        """

    @abstractmethod
    def is_absent(self, error: Exception) -> bool:
        """Whether what the library raised says that an object does not exist."""

    # --- questions

    def once(self, key: Any, ask: Callable[[], T]) -> T:
        """An answer from the cache, or a new one."""
        with self._lock:
            alone = self._asking.setdefault(key, threading.RLock())
        with alone:  # several who ask at the same time wait for one answer
            if key not in self.cache:
                self.cache[key] = ask()
            known: T = self.cache[key]
            return known

    def together(self, *asks: Callable[[], T]) -> list[T]:
        """Answers, in order, of questions that are asked in parallel; the first failure is raised."""
        if not asks:
            return []
        with ThreadPoolExecutor(min(_MOST_THREADS, len(asks))) as pool:
            return [future.result() for future in [pool.submit(carried(ask)) for ask in asks]]

    # --- what this process has done

    @contextmanager
    def attempt(self, urn: str) -> Iterator[Attempt]:
        """The attempt to make the object of `urn`; one that did not end well is gone on with, token and all."""
        with self._lock:
            current = self._attempts.setdefault(urn, Attempt())
        yield current
        self.forget_attempt(urn)

    def forget_attempt(self, urn: str) -> None:
        """The next attempt is another one."""
        with self._lock:
            self._attempts[urn] = Attempt(begun=True)

    def touched(self, *ids: str) -> None:
        """These objects were made or changed just now: what was seen of them before says nothing any more."""
        now = time.monotonic()
        with self._lock:
            self._touched.update(dict.fromkeys(ids, now))

    def is_touched(self, identity: str) -> bool:
        """Whether this process ever made or changed the object."""
        with self._lock:
            return identity in self._touched

    def recent(self, seconds: float) -> list[str]:
        """Ids of objects that were touched within so many seconds."""
        since = time.monotonic() - seconds
        with self._lock:
            return [identity for identity, when in self._touched.items() if when >= since]

    def belongs(self, identity: str, stack_id: str) -> None:
        """Remember whose an object is: that never changes."""
        with self._lock:
            self._stacks[identity] = stack_id

    def stack_of(self, identity: str) -> str | None:
        """Whose an object is; None when this process does not know."""
        with self._lock:
            return self._stacks.get(identity)
