"""Every message of the loader, whole: a stack file in `loader_messages/` and beside it what a person is shown."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from provision.errors import StackFileError
from provision.loader import load, render

CASES = Path(__file__).with_name("loader_messages")
NAMES = sorted(file.stem for file in CASES.glob("*.yaml") if not file.stem.endswith(".prod"))


def shown(name: str, directory: Path) -> str:
    """Load a case as `stack.yaml` of an empty directory and render what is found."""
    shutil.copy(CASES / f"{name}.yaml", directory / "stack.yaml")
    overlay = CASES / f"{name}.prod.yaml"
    if overlay.exists():
        shutil.copy(overlay, directory / "stack.prod.yaml")
    for extra in CASES.glob(f"{name}.*.sh"):
        shutil.copy(extra, directory / extra.name.removeprefix(f"{name}."))
    given = CASES / f"{name}.json"
    options: dict[str, Any] = json.loads(given.read_text()) if given.exists() else {}
    try:
        loaded = load(directory, overlay="prod", **options)
    except StackFileError as error:
        return render(error, error.source_map, color=False)
    return render(loaded.diagnostics, loaded.source_map, color=False)


@pytest.mark.parametrize("name", NAMES)
def test_message(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    golden = CASES / f"{name}.txt"
    text = shown(name, tmp_path)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_there_is_a_case_for_every_kind_of_mistake() -> None:
    assert len(NAMES) >= 40


def test_no_message_speaks_pydantic_or_shows_a_secret() -> None:
    for file in CASES.glob("*.txt"):
        text = file.read_text()
        for word in ("Input should", "pydantic", "Value error", "lax-or-strict", "function-", "correct-horse"):
            assert word not in text, f"{file.name}: {word}"
