"""Properties whose changes are ignored: an update leaves them as they are on the platform, not as was recorded."""

from collections.abc import Mapping, Sequence
from typing import Any

from provision.host.plugin.resources import Resource
from provision.spi.operation import Operation
from provision.spi.resource import CanRead

Wire = Mapping[str, Any]


def as_they_are(
    resource: Resource, running: Operation, identity: str, news: Wire, olds: Wire, outputs: Wire, ignored: Sequence[str]
) -> tuple[Wire, Wire]:
    """Wanted and recorded inputs with the live values of whole properties that are ignored.

    The engine gives what was recorded of them, which may be long gone: a machine that somebody has stopped would be
    started by whatever else changes of it.
    """
    names = [name for name in ignored if name in resource.inputs.fields]
    if not names or not isinstance(resource.implementation, CanRead):
        return news, olds
    found = resource.read(running, identity, olds, outputs)
    if found is None:
        return news, olds
    live = found.inputs or {}
    return _with(news, live, names), _with(olds, live, names)


def _with(inputs: Wire, live: Wire, names: Sequence[str]) -> Wire:
    kept = {name: value for name, value in inputs.items() if name not in names}
    return kept | {name: live[name] for name in names if name in live}
