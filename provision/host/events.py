"""What the engine says during a run, as plain values: steps on resources, and messages."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pulumi.automation.events import EngineEvent, StepEventMetadata

from provision.host.protected import reworded

UNCHANGED_OPS = frozenset({"same", "read", "refresh"})

_LONGEST_VALUE = 60
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
# How a secret is told from a map, sdk/go/common/resource/sig.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"
_ABSENT = object()
_SECRET = object()


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """One property that changes.

    Attributes:
        path: Pulumi's path, such as `nics[0].address`.
        values: the old and the new value in words, empty when they are too long to be shown; never a secret.
        replaces: whether the change needs a new object.
    """

    path: str
    values: str = ""
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class ResourceStep:
    """One step on one resource, as the engine reports it.

    Attributes:
        phase: `started`, `done` or `failed`.
        op: Pulumi's operation: create, update, delete, replace, same, …
        urn: of the resource.
        changes: properties that change.
        kept: whether the native object outlives a deletion of the resource.
    """

    phase: Literal["started", "done", "failed"]
    op: str
    urn: str
    changes: tuple[PropertyChange, ...] = ()
    kept: bool = False

    @property
    def type(self) -> str:
        """Type token, without those of its parents."""
        return self.urn.split("::")[2].split("$")[-1]

    @property
    def name(self) -> str:
        """Pulumi's name of the resource."""
        return name_of(self.urn)


@dataclass(frozen=True, slots=True)
class Message:
    """Something that the engine, the language host or a plugin said."""

    severity: str
    text: str
    urn: str = ""
    ephemeral: bool = False


def name_of(urn: str) -> str:
    """Pulumi's name of the resource of that URN."""
    return urn.split("::", 3)[3] if urn.count("::") >= 3 else ""


def translate(event: EngineEvent) -> Iterator[ResourceStep | Message]:
    """The steps and messages of an engine event; what only debugging needs is left out."""
    if event.resource_pre_event is not None:
        yield _step("started", event.resource_pre_event.metadata)
    if event.res_outputs_event is not None:
        yield _step("done", event.res_outputs_event.metadata)
    if event.res_op_failed_event is not None:
        yield _step("failed", event.res_op_failed_event.metadata)
    said = event.diagnostic_event
    if said is not None and said.severity != "debug":
        text = reworded(_unwrapped(plain_text(said.message)))
        if text and not _ECHO.fullmatch(text):
            yield Message(str(said.severity), text, said.urn or "", bool(said.ephemeral))


def stack_outputs(event: EngineEvent) -> dict[str, Any] | None:
    """What the stack exports, as far as this event says; what is secret is replaced by `[secret]`."""
    told = event.res_outputs_event
    if told is None or told.metadata.type != "pulumi:pulumi:Stack" or told.metadata.new is None:
        return None
    return {name: _without_secrets(value) for name, value in (told.metadata.new.outputs or {}).items()}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        if value.get(_SIGNATURE) == _SECRET_SIGNATURE:
            return "[secret]"
        return {key: _without_secrets(item) for key, item in value.items()}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


_ECHO = re.compile(r"(preview|update|destroy|refresh) failed")
"""What the engine adds to every failure that it has explained already."""


def plain_text(text: str) -> str:
    """Without the engine's colour marks."""
    return re.sub(r"<\{%[^%]*%\}>", "", text)


def _unwrapped(text: str) -> str:
    """Without the frame that the engine puts around the reasons of an object that is not healthy."""
    text = text.strip()
    if re.match(r"\d+ errors? occurred:", text):
        text = "\n".join(line.removeprefix("\t* ") for line in text.splitlines()[1:]).strip()
    return text


def _step(phase: Literal["started", "done", "failed"], data: StepEventMetadata) -> ResourceStep:
    old, new = data.old, data.new
    before = old.inputs if old and old.inputs else {}
    after = new.inputs if new and new.inputs else {}
    changes = tuple(
        PropertyChange(path, _in_words(_lookup(before, path), _lookup(after, path)), kind.endswith("-replace"))
        for path, kind in _changed(data)
    )
    kept = any(state is not None and bool(state.retain_on_delete) for state in (old, new))
    return ResourceStep(phase, str(getattr(data.op, "value", data.op)), data.urn, changes, kept)


def _changed(data: StepEventMetadata) -> list[tuple[str, str]]:
    if data.detailed_diff:
        return [(path, str(getattr(d.diff_kind, "value", d.diff_kind))) for path, d in data.detailed_diff.items()]
    return [(path, "") for path in data.diffs or ()]


def _lookup(value: Any, path: str) -> Any:
    """The value at a path of Pulumi's: names with dots, `[0]` and `["any/key"]`."""
    for name, index, key in re.findall(r'([^.\[\]"]+)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]', path):
        if isinstance(value, Mapping) and "ciphertext" in value:
            return _SECRET
        if index and name == "":
            if not isinstance(value, list) or int(index) >= len(value):
                return _ABSENT
            value = value[int(index)]
        elif isinstance(value, Mapping) and (name or key) in value:
            value = value[name or key]
        else:
            return _ABSENT
    return _SECRET if isinstance(value, Mapping) and "ciphertext" in value else value


def _in_words(old: Any, new: Any) -> str:
    if _SECRET in (old, new):
        return "[secret]"
    before, after = _scalar(old), _scalar(new)
    if (old is _ABSENT and new is _ABSENT) or before is None or after is None:
        return ""
    words = f"{before} → {after}"
    return words if len(words) <= _LONGEST_VALUE else ""


def _scalar(value: Any) -> str | None:
    if value is _ABSENT or value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        if value == _UNKNOWN:
            return "(known later)"
        return value if value and value.isprintable() else json.dumps(value)
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) and value == int(value) else str(value)
    return None
