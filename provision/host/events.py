"""What the engine says during a run, as plain values: steps on resources, and messages."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from provision.host.protected import reworded
from provision.host.running import Event

Phase = Literal["started", "done", "failed"]
UNCHANGED_OPS = frozenset({"same", "read", "refresh"})
_LOOKS = UNCHANGED_OPS | {"update"}

_LONGEST_VALUE = 60
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
LATER = "(known later)"
"""Stands for a value that only the run itself will know."""
Value = str | int | float | bool
# How a secret is told from a map, sdk/go/common/resource/sig.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"
_HIDDEN = "[secret]"
_ABSENT = object()
_SECRET = object()


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """One property that changes.

    Attributes:
        path: Pulumi's path, such as `nics[0].address`.
        values: the old and the new value in words, empty when they are too long to be shown; never a secret.
        replaces: whether the change needs a new object.
        value: the new value, when it is a text, a number or a truth value that is known and no secret.
    """

    path: str
    values: str = ""
    replaces: bool = False
    value: Value | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ResourceStep:
    """One step on one resource, as the engine reports it.

    Attributes:
        phase: `started`, `done` or `failed`.
        op: Pulumi's operation: create, update, delete, replace, same, …
        urn: of the resource.
        changes: properties that change.
        kept: whether the native object outlives a deletion of the resource.
        ignored: properties that a refresh found changed and that count for nothing: the engine was told to ignore them.
        before: inputs that the resource has, as far as they are texts, numbers or truth values and no secrets; nothing
            where nothing changes.
        after: the same of inputs that it gets.
    """

    phase: Phase
    op: str
    urn: str
    changes: tuple[PropertyChange, ...] = ()
    kept: bool = False
    ignored: tuple[PropertyChange, ...] = ()
    before: Mapping[str, Value] = field(default_factory=dict, compare=False, repr=False)
    after: Mapping[str, Value] = field(default_factory=dict, compare=False, repr=False)

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


def translate(event: Event) -> Iterator[ResourceStep | Message]:
    """The steps and messages of an engine event; what only debugging needs is left out."""
    for key, phase in _PHASES.items():
        if told := event.get(key):
            yield _step(phase, told["metadata"])
    said = event.get("diagnosticEvent")
    if said and said["severity"] != "debug":
        text = reworded(_unwrapped(plain_text(said["message"])))
        if text and not _ECHO.fullmatch(text):
            yield Message(said["severity"], text, said.get("urn") or "", bool(said.get("ephemeral")))


_PHASES: Mapping[str, Phase] = {
    "resourcePreEvent": "started",
    "resOutputsEvent": "done",
    "resOpFailedEvent": "failed",
}


def stack_outputs(event: Event) -> dict[str, Any] | None:
    """What the stack exports, as far as this event says; what is secret is replaced by `[secret]`."""
    step = (event.get("resOutputsEvent") or {}).get("metadata") or {}
    if step.get("type") != "pulumi:pulumi:Stack" or not step.get("new"):
        return None
    return {name: without_secrets(value) for name, value in (step["new"].get("outputs") or {}).items()}


def downgraded(event: Event) -> dict[str, str] | None:
    """Policies that are not enforced, and why, as far as this event says."""
    step = (event.get("resOutputsEvent") or {}).get("metadata") or {}
    if step.get("type") != "provision:index:Stack" or not step.get("new"):
        return None
    found = (step["new"].get("outputs") or {}).get("downgrades")
    return {str(name): str(why) for name, why in found.items()} if isinstance(found, Mapping) else None


_ISOLATION = ("platform", "isolation")


def isolation_kept(event: Event) -> bool:
    """Whether a stack allows just what it allowed when it was deployed, by an event that `downgraded` understands.

    False also where that is not sure: nothing was recorded by then, or the stack is new.
    """
    step = event["resOutputsEvent"]["metadata"]
    old, new = ((step.get(half) or {}).get("outputs") or {} for half in ("old", "new"))
    without = [set(half.get("downgrades") or {}) for half in (old, new)]
    return all(old.get(name) and old[name] == new.get(name) for name in _ISOLATION) and without[0] == without[1]


def without_secrets(value: Any) -> Any:
    """A value of the engine's with `[secret]` in the place of each secret."""
    if isinstance(value, Mapping):
        if value.get(_SIGNATURE) == _SECRET_SIGNATURE:
            return "[secret]"
        return {key: without_secrets(item) for key, item in value.items()}
    return [without_secrets(item) for item in value] if isinstance(value, list) else value


REASON = "Reason"
"""How inputs end that say why a plugin chose something, such as `typeReason`: they are told of what is made."""

_ECHO = re.compile(r"(preview|update|destroy|refresh) failed")
"""What the engine adds to every failure that it has explained already."""


def plain_text(text: str) -> str:
    """Without the engine's colour marks."""
    return re.sub(r"<\{%[^%]*%\}>", "", text)


_REFUSED = re.compile(r"\S+ resource '(?P<name>[^']*)': property (?P<path>\S+) value .*? has a problem: ", re.DOTALL)
"""How the engine begins to say which input a plugin refuses: with the value in its own notation."""


def _unwrapped(text: str) -> str:
    """Without the frames that the engine puts around reasons: of an object that is not healthy, of an input."""
    text = _REFUSED.sub(r"\g<name>: \g<path>: ", text.strip(), count=1)
    if re.match(r"\d+ errors? occurred:", text):
        text = "\n".join(line.removeprefix("\t* ") for line in text.splitlines()[1:]).strip()
    return text


def _step(phase: Phase, step: Mapping[str, Any]) -> ResourceStep:
    old, new = step.get("old") or {}, step.get("new") or {}
    before, after = old.get("inputs") or {}, new.get("inputs") or {}
    changes = tuple(_change(before, after, path, kind) for path, kind in _changed(step))
    if step["op"] == "create":
        changes += tuple(PropertyChange(name, text, False) for name, text in _reasons(after))
    kept = bool(old.get("retainOnDelete") or new.get("retainOnDelete"))
    looked = phase == "done" and step["op"] in _LOOKS and before and after and before != after
    ignored = tuple(_untold(before, after, changes)) if looked else ()
    if phase != "done" or step["op"] in UNCHANGED_OPS:
        return ResourceStep(phase, step["op"], step["urn"], changes, kept, ignored)
    return ResourceStep(phase, step["op"], step["urn"], changes, kept, ignored, _simple(before), _simple(after))


def _simple(inputs: Mapping[str, Any]) -> dict[str, Value]:
    """Without what has parts, which secrets have too."""
    return {name: LATER if value == _UNKNOWN else value for name, value in inputs.items() if isinstance(value, Value)}


def _change(before: Mapping[str, Any], after: Mapping[str, Any], path: str, kind: str = "") -> PropertyChange:
    new = _lookup(after, path)
    words = _in_words(_lookup(before, path), new)
    known = isinstance(new, str | int | float) and new != _UNKNOWN and words != _HIDDEN
    return PropertyChange(path, words, kind.endswith("-replace"), new if known else None)


def _untold(
    before: Mapping[str, Any], after: Mapping[str, Any], changes: Iterable[PropertyChange]
) -> Iterator[PropertyChange]:
    """What differs although the engine says nothing of it."""
    told = {re.split(r"[.[]", change.path, maxsplit=1)[0] for change in changes}
    for name in dict.fromkeys((*before, *after)):
        if name not in told and before.get(name) != after.get(name):
            yield _change(before, after, name)


def _reasons(inputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a plugin tells of its choices: inputs whose names end so."""
    return ((name, text) for name, text in inputs.items() if name.endswith(REASON) and isinstance(text, str))


def _changed(step: Mapping[str, Any]) -> list[tuple[str, str]]:
    if detailed := step.get("detailedDiff"):
        return [(path, str(item.get("diffKind", ""))) for path, item in detailed.items()]
    return [(path, "") for path in step.get("diffs") or ()]


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
        return _HIDDEN
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
            return LATER
        return value if value and value.isprintable() else json.dumps(value)
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) and value == int(value) else str(value)
    return None
