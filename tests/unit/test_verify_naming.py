"""Names of properties as the state spells them, and as Python does."""

from typing import Any

from provision.spi import Properties
from provision.verify.naming import by_python_name


class Card(Properties):
    network_id: str
    group_ids: list[str]


class Disk(Properties):
    size_gib: int


class Link(Properties):
    far_end: str


class Inputs(Properties):
    nics: list[Card]
    user_tags: dict[str, str]
    by_name: dict[str, Disk]
    root_disk: Disk | None = None
    either: Disk | Link | None = None


def test_names_are_pythons_down_to_the_innermost_structure_and_keys_of_maps_stay() -> None:
    found: dict[str, Any] = {
        "nics": [{"networkId": "n", "groupIds": ["aB"]}],
        "rootDisk": {"sizeGib": 1},
        "userTags": {"costCentre": "x"},
        "byName": {"bigOne": {"sizeGib": 2}},
        "either": {"farEnd": "y"},
        "notKnownHere": {"keyOfAMap": 1},
    }
    assert by_python_name(found, Inputs) == {
        "nics": [{"network_id": "n", "group_ids": ["aB"]}],
        "root_disk": {"size_gib": 1},
        "user_tags": {"costCentre": "x"},
        "by_name": {"bigOne": {"size_gib": 2}},
        "either": {"far_end": "y"},
        "not_known_here": {"keyOfAMap": 1},
    }


def test_hidden_secrets_and_absent_parts_pass_as_they_are() -> None:
    assert by_python_name({"nics": "[secret]", "rootDisk": None}, Inputs) == {"nics": "[secret]", "root_disk": None}
