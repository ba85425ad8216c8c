"""Resource types used as the engine uses them, without the engine; shared by the benchmarks that count calls."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from provision.errors import RetriableError
from provision.spi import CreateRequest, Operation, ReadRequest

STACK = "ab" * 16


class Direct:
    """What a plugin makes, one resource after the other or several at a time."""

    def __init__(self, plugin: str, parallel: int) -> None:
        """Nothing is made yet; `parallel` is the most at a time."""
        self._plugin, self._parallel = plugin, parallel
        self._made: list[tuple[Any, str, Any, Any, str]] = []

    def make(self, session: Any, kind: Any, name: str, /, **inputs: Any) -> str:
        """The id of a new one."""
        urn = f"urn:pulumi:bench::bench::provision-{self._plugin}:{kind.token}::{name}"
        wanted = kind.Inputs.model_validate({"stack_id": STACK, **inputs})
        operation = Operation(urn=urn, session=session, wait=_waited)
        made = _tried(lambda: kind().create(CreateRequest(operation, wanted)))
        self._made.append((kind, urn, wanted, made.outputs, made.id))
        return str(made.id)

    def together(self, work: Callable[[Any], None], each: Iterable[Any]) -> None:
        """Several at a time; the first failure is raised."""
        with ThreadPoolExecutor(max_workers=self._parallel) as pool:
            list(pool.map(work, each))

    def read(self, session: Any) -> None:
        """Look at all that was made, as a refresh does; all of it must be there."""

        def look(item: tuple[Any, str, Any, Any, str]) -> None:
            kind, urn, inputs, outputs, identity = item
            found = kind().read(ReadRequest(Operation(urn=urn, session=session), identity, inputs, outputs))
            assert found is not None, identity

        self.together(look, self._made)


def _waited(seconds: float) -> bool:
    """Wait; nothing is ever cancelled."""
    time.sleep(seconds)
    return False


def _tried(work: Callable[[], Any], tries: int = 5) -> Any:
    """Do something, again when it may pass, as the framework does."""
    for _ in range(tries - 1):
        try:
            return work()
        except RetriableError:
            time.sleep(0.5)
    return work()
