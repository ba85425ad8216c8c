"""The Pulumi schema that models give."""

import enum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SecretStr

from provision.errors import UserError
from provision.host.plugin.masking import Masker, secrets_in
from provision.host.plugin.schema import schema
from provision.host.plugin.shapes import record_of, to_python_names, to_wire_names, wire_path
from provision.host.plugin.wire import read_stored
from provision.host.values import SecretValue
from provision.spi import (
    IMMUTABLE,
    Capabilities,
    Created,
    CreateRequest,
    FeatureUse,
    Properties,
    Provider,
    ResourceGraph,
    ResourceType,
    Secret,
    Support,
    TranslationRequest,
    unsupported,
)


class Colour(enum.StrEnum):
    """A colour."""

    RED = "red"
    BLUE = "blue"


class Leaf(Properties):
    """One end."""

    kind: Literal["leaf"] = "leaf"
    tone_name: Colour = Colour.RED


class Branch(Properties):
    """A fork."""

    kind: Literal["branch"] = "branch"
    child_nodes: list["Leaf | Branch"] = Field(default_factory=list)


class TreeInputs(Properties):
    """A tree."""

    root: Annotated[Leaf | Branch, Field(description="Where it starts.")]
    by_name: dict[str, Leaf] = Field(default_factory=dict)
    size: Annotated[int | str, IMMUTABLE] = 3
    ratio: float = 0.5
    anything: Any = None
    pair: tuple[int, int] = (1, 2)
    token: Annotated[str | None, Secret()] = None


class TreeOutputs(Properties):
    """What grew."""

    id: str = ""
    root: Leaf | Branch
    note: str | None = None
    ratio: float = 0.5


class Tree(ResourceType[TreeInputs, TreeOutputs, None]):
    """Grows."""

    token: ClassVar[str] = "wood:Tree"
    Inputs: ClassVar[type[Properties]] = TreeInputs
    Outputs: ClassVar[type[Properties]] = TreeOutputs

    def create(self, request: CreateRequest[TreeInputs]) -> Created[TreeOutputs]:
        raise UserError("not here")


class Config(Properties):
    """How to get there."""

    url: Annotated[str, Field(description="Where.")]
    key: SecretStr | None = None


class Forest(Provider[Config, None]):
    """Trees.

    Attributes:
        hidden: not part of the description.
    """

    name: ClassVar[str] = "forest"
    version: ClassVar[str] = "1.2.dev3"
    Config: ClassVar[type[Properties]] = Config
    resource_types = (Tree,)

    def connect(self, config: Config) -> None:
        return None

    def capabilities(self, session: None) -> Capabilities:
        return Capabilities("forest")

    def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
        return unsupported("nothing")

    def translate(self, request: TranslationRequest) -> ResourceGraph:
        raise UserError("not here")


def test_every_kind_of_field_has_its_place_in_the_schema() -> None:
    made = schema(Forest(), [Tree])
    assert (made["name"], made["version"], made["description"]) == ("provision-forest", "1.2.0-dev.3", "Trees.")
    assert made["config"]["defaults"] == ["url"]
    assert made["provider"]["inputProperties"]["key"] == {"type": "string", "secret": True}
    assert made["provider"]["requiredInputs"] == ["url"]
    tree = made["resources"]["provision-forest:wood:Tree"]
    leaf, branch = {"$ref": "#/types/provision-forest:wood:Leaf"}, {"$ref": "#/types/provision-forest:wood:Branch"}
    assert tree["inputProperties"] == {
        "root": {"oneOf": [leaf, branch], "description": "Where it starts."},
        "byName": {"type": "object", "additionalProperties": leaf},
        "size": {"oneOf": [{"type": "integer"}, {"type": "string"}], "willReplaceOnChanges": True},
        "ratio": {"type": "number", "default": 0.5},
        "anything": {"$ref": "pulumi.json#/Any"},
        "pair": {"type": "array", "items": {"type": "integer"}},
        "token": {"type": "string", "secret": True},
    }
    assert tree["requiredInputs"] == ["root"]
    assert "id" not in tree["properties"]
    assert tree["required"] == ["ratio", "root"]
    assert "default" not in tree["properties"]["ratio"]
    assert made["types"]["provision-forest:wood:Branch"]["properties"]["childNodes"] == {
        "type": "array",
        "items": {"oneOf": [leaf, branch]},
    }
    assert made["types"]["provision-forest:wood:Leaf"]["properties"]["toneName"] == {
        "type": "string",
        "$ref": "#/types/provision-forest:wood:Colour",
        "default": "red",
    }
    assert made["types"]["provision-forest:wood:Colour"]["enum"] == [
        {"name": "RED", "value": "red"},
        {"name": "BLUE", "value": "blue"},
    ]


def test_names_are_changed_in_declared_places_only() -> None:
    wire = {
        "root": {"childNodes": [{"toneName": "red"}, {"childNodes": []}]},
        "byName": {"toneName": {"toneName": "blue"}},
        "anything": {"camelCase": 1},
    }
    python = {
        "root": {"child_nodes": [{"tone_name": "red"}, {"child_nodes": []}]},
        "by_name": {"toneName": {"tone_name": "blue"}},
        "anything": {"camelCase": 1},
    }
    assert to_python_names(wire, record_of(TreeInputs)) == python
    assert to_wire_names(python, record_of(TreeInputs)) == wire
    path = ("root", "childNodes", 0, "toneName")
    assert wire_path("root.child_nodes.0.tone_name", TreeInputs) == path
    assert wire_path("", TreeInputs) == ()


def test_stored_state_of_any_release_is_read() -> None:
    stored = {"root": {"kind": "leaf", "toneName": "red", "gone": 1}, "retired": True, "size": "big"}
    assert read_stored(TreeInputs, stored) == TreeInputs(root=Leaf(), size="big")
    broken = read_stored(TreeInputs, {"root": 3, "ratio": "x"})
    assert (broken.root, broken.ratio) == (3, "x")


def test_masks_cover_quoted_forms_and_lines_of_secrets() -> None:
    key = 'BEGIN\nabcdefgh"ijkl\nEND'
    values = {"token": "s3cr&t", "anything": {"deep": [SecretValue({"k": key})]}, "ratio": SecretValue(12345)}
    mask = Masker(secrets_in(values, record_of(TreeInputs)))
    assert mask(f'{key!r} or abcdefgh"ijkl') == "'[secret]' or [secret]"
    assert mask("<a>s3cr&amp;t</a> s3cr&t 12345 1234") == "<a>[secret]</a> [secret] [secret] 1234"
