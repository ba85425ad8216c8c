"""Lines of JSON from other processes, handed on while they come, through a pipe with a name."""

import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_END = b"\n\0\n"


@contextmanager
def listening(take: Callable[[Any], None], name: str) -> Iterator[Path]:
    """A pipe for others to write to; what each line says goes to `take`, in a thread of its own.

    All of it has been taken when this is left. What is no JSON is passed over: nothing, or what a process wrote that
    was killed in the middle of a line.

    Args:
        take: gets each line.
        name: of the pipe and the thread.

    Raises:
        BaseException: what `take` raised first; it gets the lines after that all the same.
    """
    failures: list[BaseException] = []
    with tempfile.TemporaryDirectory(prefix=f"provision-{name}-") as folder:
        path = Path(folder, name)
        os.mkfifo(path, 0o600)
        # Open for both: then the reader neither waits for a writer that never comes, nor takes a pause for the end.
        with open(path, "r+b", buffering=0) as writer, open(path, "rb") as reader:
            thread = threading.Thread(target=_hand_on, args=(reader, take, failures), name=name)
            thread.start()
            try:
                yield path
            finally:
                writer.write(_END)
                thread.join()
    if failures:
        raise failures[0]


def _hand_on(reader: Iterable[bytes], take: Callable[[Any], None], failures: list[BaseException]) -> None:
    """Read to the end whatever happens: whoever writes would wait for a reader."""
    for line in reader:
        said = line.strip()
        if said == _END.strip(b"\n"):
            return
        try:
            event = json.loads(said)
        except ValueError:
            continue
        try:
            take(event)
        except BaseException as error:  # also what is meant to end a thread
            failures.append(error)
