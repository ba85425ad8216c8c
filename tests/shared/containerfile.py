"""What a Containerfile says, as far as ours needs the format; what is not understood is an error, never passed over."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

WORDS = frozenset({"FROM", "ARG", "ENV", "LABEL", "RUN", "COPY", "WORKDIR", "USER", "ENTRYPOINT"})
_FLAG = re.compile(r"--(?P<name>[a-z]+)=(?P<value>\S+)\s+")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True)
class Step:
    """One instruction.

    Attributes:
        line: where it begins.
        word: what it is.
        flags: its `--name=value`, in their order.
        rest: all that follows, as written; lines that go on are joined.
    """

    line: int
    word: str
    flags: tuple[tuple[str, str], ...]
    rest: str

    def flag(self, name: str) -> str | None:
        found = [value for key, value in self.flags if key == name]
        assert len(found) <= 1, self
        return found[0] if found else None


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next."""

    base: str
    name: str | None
    steps: tuple[Step, ...]


def parse(text: str, arguments: Mapping[str, str]) -> list[Stage]:
    """The stages, with what stands before the first FROM applied to them.

    Raises:
        ValueError: there is an instruction or a flag that is not known here.
    """
    stages: list[tuple[str, str | None, list[Step]]] = []
    outer: dict[str, str] = {}
    for step in _steps(text):
        if step.word == "FROM":
            base, *named = filled(step.rest, outer).split()
            if named and (len(named) != 2 or named[0].upper() != "AS"):
                raise ValueError(f"line {step.line}: FROM {step.rest}")
            stages.append((base, named[1] if named else None, []))
        elif stages:
            stages[-1][2].append(step)
        elif step.word == "ARG":
            name, _, value = step.rest.partition("=")
            outer[name] = arguments.get(name, value)
        else:
            raise ValueError(f"line {step.line}: {step.word} before the first FROM")
    return [Stage(base, name, tuple(steps)) for base, name, steps in stages]


def filled(text: str, values: Mapping[str, str]) -> str:
    """`text` with `$NAME` and `${NAME}` as the format has it: what is not known is empty."""
    return _VARIABLE.sub(lambda match: values.get(match[1] or match[2], ""), text)


def pairs(text: str) -> dict[str, str]:
    """`A=1 B="two words"`, as ENV and LABEL have it."""
    found = dict(word.split("=", 1) for word in shlex.split(text))
    assert found, text
    return found


def exec_form(text: str) -> tuple[str, ...]:
    """`["a", "b"]`, without which a shell would be between."""
    words = json.loads(text)
    assert isinstance(words, list), text
    return tuple(words)


def mounts(step: Step) -> list[dict[str, str]]:
    """The mounts of a RUN."""
    return [dict(part.split("=", 1) for part in value.split(",")) for name, value in step.flags if name == "mount"]


def left_out(patterns: str) -> "Ignored":
    """What an ignore file says; only `*`, `!PATH` and `**/NAME` are known."""
    lines = [line for line in patterns.splitlines() if line and not line.startswith("#")]
    if lines[:1] != ["*"]:
        raise ValueError("the ignore file begins with `*`: what is sent to the builder is named")
    kept = tuple(line[1:] for line in lines if line.startswith("!"))
    names = tuple(line.removeprefix("**/") for line in lines[1:] if line.startswith("**/"))
    if len(kept) + len(names) + 1 != len(lines):
        raise ValueError(f"not known: {lines}")
    return Ignored(kept, names)


@dataclass(frozen=True)
class Ignored:
    """Which files of the context a builder never sees."""

    kept: tuple[str, ...]
    names: tuple[str, ...]

    def __call__(self, path: PurePosixPath) -> bool:
        inside = any(path == PurePosixPath(one) or PurePosixPath(one) in path.parents for one in self.kept)
        return not inside or any(fnmatch(part, name) for part in path.parts for name in self.names)


def context_files(context: Path, source: str, ignored: Ignored) -> Iterator[tuple[Path, PurePosixPath]]:
    """The files that COPY takes for `source`, with their paths below it.

    Raises:
        FileNotFoundError: the builder would not find it.
    """
    begin = context / source
    files = [begin] if begin.is_file() else sorted(path for path in begin.rglob("*") if path.is_file())
    seen = [path for path in files if not ignored(PurePosixPath(path.relative_to(context)))]
    if not seen:
        raise FileNotFoundError(f"{source}: nothing of it is in the context")
    for path in seen:
        yield path, PurePosixPath(path.name) if path == begin else PurePosixPath(path.relative_to(begin))


def _steps(text: str) -> Iterator[Step]:
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        begin, joined = number + 1, ""
        while number < len(lines):
            line = lines[number].strip()
            number += 1
            if line.startswith("#") or not line:
                if joined:
                    continue  # a comment between lines that go on
                break
            joined += line.removesuffix("\\")
            if not line.endswith("\\"):
                break
        if not joined:
            continue
        word, _, rest = joined.partition(" ")
        if word not in WORDS:
            raise ValueError(f"line {begin}: {word} is not known")
        flags, rest = [], rest.strip()
        while match := _FLAG.match(rest):
            flags.append((match["name"], match["value"]))
            rest = rest[match.end() :]
        known = {"RUN": {"mount"}, "COPY": {"from"}}.get(word, set())
        if not {name for name, _ in flags} <= known:
            raise ValueError(f"line {begin}: a flag that is not known: {flags}")
        yield Step(begin, word, tuple(flags), rest)
