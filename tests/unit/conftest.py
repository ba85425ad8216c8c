"""Reports that unit tests make are held against their published schemas, wherever they are made."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from documented import documented

from provision import verify
from provision.cli.run import Session
from provision.verify import proof, render, selftest


def _held(name: str, make: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(make)
    def made(*given: Any, **named: Any) -> Any:
        document = make(*given, **named)
        documented(name, document)
        return document

    return made


# Before any test module has imported them.
render.as_data = verify.as_data = _held("verify", render.as_data)
proof.as_data = _held("proof", proof.as_data)
selftest.as_data = _held("self-test", selftest.as_data)
Session._document = _held("run", Session._document)  # type: ignore[method-assign]
