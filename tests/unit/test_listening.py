"""Lines of other processes are read to the end, whatever becomes of them here."""

import json
import threading

import pytest

from provision.host.listening import listening

MANY = 20_000
"""More lines than a pipe holds: whoever writes them waits until they are read."""


def _written_to(path):
    with open(path, "w", encoding="utf-8") as pipe:
        pipe.writelines(f"{json.dumps(number)}\n" for number in range(MANY))


def _listen(take):
    with listening(take, "test") as path:
        writer = threading.Thread(target=_written_to, args=(path,), daemon=True)
        writer.start()
        writer.join(60)
        assert not writer.is_alive()


@pytest.mark.parametrize("failure", [ValueError, SystemExit])
def test_a_taker_that_fails_keeps_no_writer_waiting(failure):
    taken = []

    def take(line):
        taken.append(line)
        if line == 1:
            raise failure("what a console does whose reader has gone")

    with pytest.raises(failure):
        _listen(take)
    assert taken == list(range(MANY))
