"""Tags that people may write."""

from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter

MARK = "provision:"
"""How the keys of the tags begin that say whose an object is."""

_MOST_TAGS = 47
"""EC2 allows 50 tags; `Name` and two markers are ours."""


def _free(tags: dict[str, str]) -> dict[str, str]:
    for key in tags:
        if key == "Name" or key.startswith((MARK, "aws:")):
            raise ValueError(f"the tag '{key}' is reserved; use `name` for Name")
    return tags


Tags = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=128)], Annotated[str, Field(max_length=256)]],
    Field(max_length=_MOST_TAGS),
    AfterValidator(_free),
]


def check_tags(tags: dict[str, str]) -> None:
    """Whether these can be tags.

    Raises:
        pydantic.ValidationError: they cannot.
    """
    TypeAdapter(Tags).validate_python(tags)
