"""A fault-injecting transport: stands between a plugin and its SDK, counts calls and makes a chosen one go wrong.

::

    client = faults.wrap(client)        # every method of it, and of SDK objects that it returns, is one call

While nothing is armed the calls pass through and are only noted.
"""

import enum
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from provision.testing.proxies import Proxy, is_record, package_of, title_of

T = TypeVar("T")


class Effect(enum.StrEnum):
    """What goes wrong with one call to the platform."""

    ERROR = "error"
    """The platform refuses: nothing happened."""
    THROTTLED = "throttled"
    """The platform asks to be called less often: nothing happened, and the same call will do later."""
    TIMEOUT = "time-out"
    """The answer does not come in time; the call took effect all the same."""
    LOST_BEFORE = "lost-before"
    """The connection breaks before the call reaches the platform."""
    LOST_AFTER = "lost-after"
    """The connection breaks after the call took effect."""
    KILL_BEFORE = "kill-before"
    """The plugin process is killed before the call."""
    KILL_AFTER = "kill-after"
    """The plugin process is killed when the call has taken effect."""
    HANG = "hang"
    """The call does not come back; in the end, when nobody waits for it any more, it fails as a broken connection."""


RAISING = (Effect.ERROR, Effect.THROTTLED, Effect.TIMEOUT, Effect.LOST_BEFORE, Effect.LOST_AFTER)
"""The effects for which a suite says what its SDK raises (`ConformanceSuite.errors`)."""

_INSTEAD = (Effect.ERROR, Effect.THROTTLED, Effect.LOST_BEFORE)
_AFTER = (Effect.TIMEOUT, Effect.LOST_AFTER)


class Faults:
    """Counts the calls of one plugin session and lays one fault at a time; safe from several threads."""

    def __init__(self, errors: Mapping[Effect, Callable[[], Exception]] | None = None) -> None:
        """Raise what `errors` says for an effect."""
        self._errors = dict(errors or {})
        self._changed = threading.Condition()
        self._released = threading.Event()
        self._calls: list[str] = []
        self._running = 0
        self._armed: tuple[int, Effect] | None = None
        self._hook: tuple[int, Callable[[], None]] | None = None
        self._fired = ""

    def wrap(
        self,
        target: T,
        *,
        deep: Callable[[Any], bool] | None = None,
        local: Collection[str] = (),
        name: str = "",
    ) -> T:
        """A stand-in for `target` whose calls are counted and may fail. It passes `isinstance` as the target does.

        Args:
            target: an object of the SDK, a module of it, or a single function.
            deep: which objects that calls return are wrapped too; default: those of the same package as `target`,
                except records (dataclasses, pydantic's models), which hold answers and make no calls.
            local: names of methods that only look at what the client holds already, make no call and cannot fail.
            name: what calls are called in reports; default: the name of the class or function.
        """
        package = package_of(target)
        chosen = deep or (lambda value: package != "builtins" and package_of(value) == package and not is_record(value))
        wrapped: Any = Proxy(self.run, target, chosen, frozenset(local), name or title_of(target))
        return wrapped  # type: ignore[no-any-return]

    def run(self, name: str, call: Callable[[], Any]) -> Any:
        """Make one call called `name`; for transports that `wrap` does not fit."""
        with self._changed:
            index = len(self._calls)
            self._calls.append(name)
            self._running += 1
            effect = self._armed[1] if self._armed is not None and self._armed[0] == index else None
            hook = self._hook[1] if self._hook is not None and self._hook[0] == index else None
            if effect is not None or hook is not None:
                self._fired = name
        try:
            if hook is not None:
                hook()
            return self._affected(effect, call)
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _affected(self, effect: Effect | None, call: Callable[[], Any]) -> Any:
        if effect is Effect.KILL_BEFORE:
            os.kill(os.getpid(), signal.SIGKILL)
        if effect is Effect.HANG:
            self._released.wait()
            raise self._error(Effect.LOST_BEFORE)
        if effect in _INSTEAD:
            raise self._error(effect)
        result = call()
        if effect is Effect.KILL_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        if effect in _AFTER:
            raise self._error(effect)
        return result

    def _error(self, effect: Effect) -> Exception:
        make = self._errors.get(effect)
        return make() if make is not None else ConnectionError(f"injected: {effect}")

    # --- for those who lay faults

    def arm(self, index: int, effect: Effect) -> None:
        """Count from nought and let `effect` happen to the call number `index`."""
        with self._changed:
            self._forget()
            self._armed = (index, effect)

    def hook(self, index: int, hook: Callable[[], None]) -> None:
        """Count from nought and call `hook` just before the call number `index`, which then goes on."""
        with self._changed:
            self._forget()
            self._hook = (index, hook)

    def forget(self) -> list[str]:
        """Lay no fault any more, and count from nought; the names of the calls until now."""
        with self._changed:
            calls = self._calls
            self._forget()
            return calls

    def _forget(self) -> None:
        self._released.set()  # for whoever still hangs
        self._released = threading.Event()
        self._calls, self._armed, self._hook, self._fired = [], None, None, ""

    @property
    def calls(self) -> list[str]:
        """Names of the calls since the last `arm`, `hook` or `forget`, such as `Client.create_server`."""
        with self._changed:
            return list(self._calls)

    @property
    def fired(self) -> str:
        """The call to which the fault has happened; empty while it has not."""
        with self._changed:
            return self._fired

    def settle(self, *, quiet: float = 0.05, longest: float = 10.0) -> bool:
        """Wait until no call is under way and none has begun for `quiet` seconds; False when `longest` has passed."""
        end = time.monotonic() + longest
        with self._changed:
            while time.monotonic() < end:
                seen = len(self._calls)
                self._changed.wait(quiet)
                if self._running == 0 and len(self._calls) == seen:
                    return True
        return False
