"""Rules of what goes wrong in a lab's services; `services/oslab/faults.py` follows them."""

from typing import Any

Rule = dict[str, Any]


def http_fault(
    service: str,
    method: str,
    path: str,
    status: int = 0,
    *,
    after: bool = False,
    delay: float = 0,
    times: int | None = None,
    headers: dict[str, str] | None = None,
) -> Rule:
    """A call of an API goes wrong.

    Args:
        service: such as `nova`.
        method: pattern of the HTTP method.
        path: pattern of the path.
        status: that is answered; 0: the call is only delayed.
        after: the work is done first, and then its answer is lost.
        delay: seconds before.
        times: how often; for ever when it is None.
        headers: of the answer.
    """
    rule = {"kind": "http", "service": f"^{service}$", "method": f"^({method})$", "path": path, "status": status}
    return {**rule, "after": after, "delay": delay, "times": times, "headers": headers or {}}


def spawn_fails(
    name: str, error: str, *, host: str = "", abort: bool = False, delay: float = 0, times: int | None = None
) -> Rule:
    """A host cannot start a machine.

    Args:
        name: pattern of the machine's name.
        error: what the host says; empty: it only takes `delay` seconds.
        host: pattern of the host's name.
        abort: no other host is tried.
        delay: seconds before.
        times: how often; for ever when it is None.
    """
    rule = {"kind": "spawn", "name": name, "error": error, "host": host, "abort": abort}
    return {**rule, "delay": delay, "times": times}


def bind_fails(host: str, *, times: int | None = None) -> Rule:
    """Neutron cannot bind a port on the hosts that a pattern matches."""
    return {"kind": "bind", "host": host, "times": times}


def extend_fails(name: str, error: str, *, times: int | None = None) -> Rule:
    """The storage cannot let a volume grow, whose name a pattern matches."""
    return {"kind": "extend", "name": name, "error": error, "times": times}
