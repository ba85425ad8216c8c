"""What a run's processes tell the command of native calls and of what they try again, while the run goes on.

Lines of JSON through a pipe with a name, which a variable of the environment gives to every process of the run. Without
the variable nothing is told and nothing costs anything. What was given to a call is never in it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

VARIABLE = "PROVISION_CALLS"
"""Names the pipe."""


@dataclass(frozen=True, slots=True)
class NativeCall:
    """One call of a platform's library, after its end.

    Attributes:
        name: of the call, without anything that was given to it: `ec2.RunInstances`, `network.GET /ports/ID`.
        urn: of the resource that it was made for; empty when that is no single one.
        begun: when, in seconds since 1970.
        seconds: how long it took.
        failure: what went wrong, as a code or the name of an error's class; empty when nothing did.
    """

    name: str
    urn: str
    begun: float
    seconds: float
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """Something that is going to be tried again.

    Attributes:
        urn: of the resource.
        operation: what is done to it: `create`, `read`, …
        attempt: how often it was tried.
        seconds: until the next try.
        failure: name of the class of the error.
    """

    urn: str
    operation: str
    attempt: int
    seconds: float
    failure: str


Told = NativeCall | Retry


@contextmanager
def told_by_plugins(take: Callable[[Told], None]) -> Iterator[None]:
    """Have what the processes of runs tell handed to `take`, in a thread of its own; all of it before this is left.

    Raises:
        Exception: what `take` raised first; nothing else waits for that.
    """
    from provision.host.listening import listening  # of the command alone: plugins need none of it

    before = os.environ.get(VARIABLE)
    with listening(lambda told: take(_read(told)), "calls") as path:
        os.environ[VARIABLE] = str(path)
        try:
            yield
        finally:
            if before is None:
                del os.environ[VARIABLE]
            else:
                os.environ[VARIABLE] = before


def _read(told: dict[str, Any]) -> Told:
    kind = told.pop("kind")
    return NativeCall(**told) if kind == NativeCall.__name__ else Retry(**told)
