"""Pulumi's published protocol: the generated stubs, without Pulumi's SDK around them.

Importing `pulumi` costs half a second, which every start of a plugin or language host would pay; the stubs alone cost a
few hundredths. This is the one module that knows how to get at them::

    from provision.host.protocol import provider_pb2, provider_pb2_grpc

Each stub is imported when it is first asked for.
"""

import importlib
import sys
import threading
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulumi.runtime.proto import (
        alias_pb2,
        callback_pb2,
        callback_pb2_grpc,
        engine_pb2,
        engine_pb2_grpc,
        errors_pb2,
        language_pb2,
        language_pb2_grpc,
        plugin_pb2,
        provider_pb2,
        provider_pb2_grpc,
        resource_pb2,
        resource_pb2_grpc,
        source_pb2,
        status_pb2,
    )

__all__ = [
    "alias_pb2",
    "callback_pb2",
    "callback_pb2_grpc",
    "engine_pb2",
    "engine_pb2_grpc",
    "errors_pb2",
    "language_pb2",
    "language_pb2_grpc",
    "plugin_pb2",
    "provider_pb2",
    "provider_pb2_grpc",
    "resource_pb2",
    "resource_pb2_grpc",
    "source_pb2",
    "status_pb2",
]

MAX_MESSAGE_BYTES = 400 * 1024 * 1024
"""Largest message of the engine's own channels; every client and server must allow as much."""

CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
)

_PROTO = "pulumi.runtime.proto"
_lock = threading.Lock()
_stubs: dict[str, ModuleType] = {}


def __getattr__(name: str) -> ModuleType:
    """Import the stub `name` when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _lock:
        if name not in _stubs:
            _stubs[name] = _load(name)
        return _stubs[name]


def _load(name: str) -> ModuleType:
    if "pulumi" in sys.modules:  # somebody has paid for the SDK already: share its stubs
        return importlib.import_module(f"{_PROTO}.{name}")
    folders = _empty_packages()
    sys.modules.update(folders)
    try:
        return importlib.import_module(f"{_PROTO}.{name}")
    finally:
        # All of it goes again, the stubs too, so that a later `import pulumi` finds nothing half-made. It then runs the
        # stubs a second time, which gives the same message classes: protobuf keeps one per descriptor.
        for key in [key for key in sys.modules if key == "pulumi" or key.startswith("pulumi.")]:
            _kept[key] = sys.modules.pop(key)


_kept: dict[str, ModuleType] = {}


def _empty_packages() -> dict[str, ModuleType]:
    """The packages above the stubs with nothing in them but where they are, and the stubs that were loaded before."""
    found: dict[str, ModuleType] = dict(_kept)
    path: list[str] | None = None
    name = ""
    for part in _PROTO.split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError(f"no module named {name!r}", name=name)
        path = list(spec.submodule_search_locations)
        if name not in found:
            found[name] = ModuleType(name)
            found[name].__path__ = path
    return found
