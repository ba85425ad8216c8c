"""Two runs that begin at the same time on one stack: one of them does it, the other waits or fails with the reason."""

import re
from collections import Counter
from typing import Any

LOCKED = re.compile(
    r"error: the stack is locked by \S+@\S+, process \d+, since [\d: -]+ UTC\n"
    r"  fix: wait for that run to end \(`--lock-timeout SECONDS` does\); if it is gone for good, remove its lock with "
    r"`provision state unlock`\n"
)


def contend(project: Any, memory: int, *words: str) -> str:
    """Change the memory of the machines, and apply that twice at once; gives in a word how it went.

    Args:
        project: that of test_engine_cli, with its stack.
        memory: in MiB; another one each time.
        words: further words of both command lines.
    """
    project.edit(re.search(r"memory: \d+MiB", (project.folder / "stack.yaml").read_text())[0], f"memory: {memory}MiB")
    runs = [project.begin("up", "--yes", *words) for _ in range(2)]
    said = sorted((project.end(run) for run in runs), key=lambda one: one.code)
    assert said[0].code == 0, said
    went = "both in turn"
    if said[1].code:
        assert said[1].code == 1, said[1]
        assert LOCKED.fullmatch(said[1].err), said[1]
        went = "one refused"
    servers = project.store.objects("compute:Server")
    assert [(item.name, item.properties["memory_mib"]) for item in sorted(servers, key=lambda item: item.name)] == [
        ("shop-dev-web-0", memory), ("shop-dev-web-1", memory),
    ]  # fmt: skip
    kinds = Counter(item.kind for item in project.store.objects())
    assert kinds["network:Network"] == 1, kinds
    return went


def settled(project: Any) -> None:
    """Nothing is left over: no lock, nothing pending, nothing to change."""
    assert project.fine("state", "locks").out == "No run holds the stack 'dev'.\n"
    assert project.fine("state", "pending").out == "No operation is pending: every run recorded how it ended.\n"
    assert project.fine("preview", "--detailed-exitcode").out.startswith("Nothing to change: ")
