"""Files from the templates of this package."""

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_MARK = re.compile(r"@([a-z]+)@")
_SUFFIX = ".tmpl"
"""Templates have a suffix of their own, so that no tool takes them for code of this package."""


def filled(template: str, words: Mapping[str, str], names: Mapping[str, str] = {}) -> Iterator[tuple[Path, str]]:
    """The files of a template, by path, with `@word@` replaced.

    Args:
        template: path of its folder below `templates`.
        words: what stands for each mark.
        names: what folders and files are called instead; a `dot-` at the beginning is a dot.
    """
    folder: Traversable = files("provision.cli") / "templates"
    for part in template.split("/"):
        folder = folder / part
    for parts, text in sorted(_templates(folder)):
        named = [names.get(part, re.sub(r"\Adot-", ".", part)) for part in parts]
        yield Path(*named), _MARK.sub(lambda match: words[match[1]], text)


def _templates(folder: Traversable, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _templates(item, (*above, item.name))
        elif item.name.endswith(_SUFFIX):
            yield (*above, item.name.removesuffix(_SUFFIX)), item.read_text(encoding="utf-8")
