"""Stand-ins for objects of an SDK that hand every call to somebody else first."""

import enum
import types
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Any

Run = Callable[[str, Callable[[], Any]], Any]
"""Makes a call, given its name and what makes it."""

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)
_PLAIN = (
    *(type, types.ModuleType, types.NoneType, *_FUNCTIONS),
    *(str, bytes, int, float, enum.Enum, dict, list, tuple, set, frozenset, BaseException),
)
"""Never stood in for, whatever package it is of."""


class Proxy:
    """Looks like its target, and lets `run` make its calls."""

    __slots__ = ("__weakref__", "_deep", "_local", "_run", "_target", "_title")

    def __init__(self, run: Run, target: Any, deep: Callable[[Any], bool], local: frozenset[str], title: str) -> None:
        """Stand in for `target`; returned objects that are `deep` are stood in for as well."""
        for slot, value in zip(Proxy.__slots__[1:], (deep, local, run, target, title), strict=True):
            object.__setattr__(self, slot, value)

    @property
    def __class__(self) -> type:
        """That of the target, for `isinstance`."""
        kind: type = type(_part(self, "_target"))
        return kind

    @__class__.setter
    def __class__(self, kind: type) -> None:
        raise TypeError("a stand-in keeps its class")

    def __getattr__(self, name: str) -> Any:
        """A counted method, or the value."""
        target = _part(self, "_target")
        value = getattr(target, name)
        if isinstance(value, type | types.ModuleType):
            return value
        if callable(value) and name not in _part(self, "_local"):
            return _counted(self, name, value)
        return _again(self, value)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set it on the target."""
        setattr(_part(self, "_target"), name, unwrapped(value))

    def __delattr__(self, name: str) -> None:
        """Delete it from the target."""
        delattr(_part(self, "_target"), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """One call, when the target is a function."""
        target = _part(self, "_target")
        made = _part(self, "_run")(_part(self, "_title"), lambda: target(*unwrapped(args), **unwrapped(kwargs)))
        return _again(self, made)

    def __enter__(self) -> Any:
        """Enter the target; not counted."""
        return _again(self, _part(self, "_target").__enter__())

    def __exit__(self, *error: Any) -> Any:
        """Leave the target; not counted."""
        return _part(self, "_target").__exit__(*error)

    def __iter__(self) -> Iterator[Any]:
        """Its items, each stood in for where that is due."""
        return (_again(self, item) for item in _part(self, "_target"))

    def __next__(self) -> Any:
        """The next item."""
        return _again(self, next(_part(self, "_target")))

    def __len__(self) -> int:
        """That of the target."""
        return len(_part(self, "_target"))

    def __getitem__(self, key: Any) -> Any:
        """An item of the target."""
        return _again(self, _part(self, "_target")[unwrapped(key)])

    def __contains__(self, item: Any) -> bool:
        """Whether the target holds it."""
        return unwrapped(item) in _part(self, "_target")

    def __bool__(self) -> bool:
        """That of the target."""
        return bool(_part(self, "_target"))

    def __eq__(self, other: object) -> bool:
        """Whether both stand for the same."""
        return bool(_part(self, "_target") == unwrapped(other))

    def __hash__(self) -> int:
        """That of the target."""
        return hash(_part(self, "_target"))

    def __str__(self) -> str:
        """That of the target."""
        return str(_part(self, "_target"))

    def __repr__(self) -> str:
        """That of the target."""
        return repr(_part(self, "_target"))


def unwrapped(value: Any) -> Any:
    """What a stand-in stands for, also inside of arguments."""
    if type(value) is Proxy:
        return _part(value, "_target")
    if type(value) in (list, tuple):
        return type(value)(unwrapped(item) for item in value)
    if type(value) is dict:
        return {key: unwrapped(item) for key, item in value.items()}
    return value


def package_of(value: Any) -> str:
    """The top-level package that a module, a function or an object's class comes from."""
    if isinstance(value, types.ModuleType):
        home = value.__name__
    elif isinstance(value, types.MethodType):
        home = type(value.__self__).__module__
    elif isinstance(value, _FUNCTIONS):
        home = value.__module__ or "builtins"
    else:
        home = type(value).__module__
    return home.split(".")[0]


def is_record(value: Any) -> bool:
    """Whether it is data with named fields."""
    return is_dataclass(value) or hasattr(type(value), "model_fields")


def title_of(value: Any) -> str:
    """What its calls are called by."""
    named = isinstance(value, (types.ModuleType, *_FUNCTIONS))
    return str(value.__name__ if named else type(value).__name__)


def _part(proxy: Proxy, name: str) -> Any:
    return object.__getattribute__(proxy, name)


def _counted(proxy: Proxy, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        title = f"{_part(proxy, '_title')}.{name}"
        made = _part(proxy, "_run")(title, lambda: method(*unwrapped(args), **unwrapped(kwargs)))
        return _again(proxy, made)

    return call


def _again(proxy: Proxy, value: Any) -> Any:
    """The value, stood in for when it is to be; so are the items of lists and tuples."""
    if type(value) is Proxy:
        return value
    if type(value) in (list, tuple):
        return type(value)(_again(proxy, item) for item in value)
    if isinstance(value, types.GeneratorType):
        return (_again(proxy, item) for item in value)
    if isinstance(value, _PLAIN) or not _part(proxy, "_deep")(value):
        return value
    return Proxy(_part(proxy, "_run"), value, _part(proxy, "_deep"), _part(proxy, "_local"), type(value).__name__)
