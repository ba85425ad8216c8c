"""The live display, on a real terminal."""

import os
import pty
import select
import sys
import termios

import pytest

SHOW = """
from itertools import count
from rich.text import Text
from provision.cli.watching import watch
numbers = count()
watch(lambda: Text(f'look {next(numbers)}'), 0.05)
print('ended')
"""


def read_until(terminal, words, seconds=20):
    said = b""
    while words not in said:
        ready, _, _ = select.select([terminal], [], [], seconds)
        assert ready, said
        said += os.read(terminal, 4096)
    return said


@pytest.mark.parametrize("key", [b"q", b"Q", b"\x03", b"\x04"])
def test_it_is_refreshed_until_q_or_ctrl_c_and_the_terminal_is_as_before(key):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-c", SHOW], os.environ | {"TERM": "xterm", "COLUMNS": "80"})
    before = termios.tcgetattr(terminal)
    read_until(terminal, b"look 3")
    os.write(terminal, b"x")  # any other key does nothing but bring the next look
    read_until(terminal, b"look 6")
    assert termios.tcgetattr(terminal) != before
    os.write(terminal, key)
    said = read_until(terminal, b"ended")
    assert b"Traceback" not in said
    assert termios.tcgetattr(terminal) == before
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
