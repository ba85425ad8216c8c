"""The Pulumi schema that models give."""

import enum
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import jsonschema
import pytest
from pydantic import Field, SecretStr

from provision.errors import UserError
from provision.host.plugin.masking import Masker, secrets_in
from provision.host.plugin.process import framework_types
from provision.host.plugin.schema import schema
from provision.host.plugin.shapes import record_of, to_python_names, to_wire_names, wire_path
from provision.host.plugin.wire import read_stored
from provision.host.values import SecretValue
from provision.spi import (
    AS_CIDR,
    DESTROYS_DATA,
    IMMUTABLE,
    RESTARTS,
    AutoName,
    Capabilities,
    Created,
    CreateRequest,
    Drift,
    FeatureUse,
    FromEnvironment,
    Function,
    FunctionRequest,
    Listed,
    ListRequest,
    Properties,
    Provider,
    ResourceGraph,
    ResourceType,
    Secret,
    Sticky,
    Support,
    TranslationRequest,
    WriteOnly,
    registry,
    unsupported,
)

METASCHEMA = Path(__file__).parent.parent / "data" / "pulumi" / "metaschema.json"


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
    tag = {"propertyName": "kind", "mapping": {"leaf": leaf["$ref"], "branch": branch["$ref"]}}
    assert tree["inputProperties"] == {
        "root": {"oneOf": [leaf, branch], "discriminator": tag, "description": "Where it starts."},
        "byName": {"type": "object", "additionalProperties": leaf},
        "size": {
            "oneOf": [{"type": "integer"}, {"type": "string"}],
            "willReplaceOnChanges": True,
            "description": "A change makes the object anew.",
        },
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
        "items": {"oneOf": [leaf, branch], "discriminator": tag},
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


class Wild(Properties):
    """What grows by itself."""

    kind: Annotated[Literal["wild"], Field(description="What it is.")] = "wild"


class Tame(Properties):
    """What was planted."""

    kind: Annotated[Literal["tame", "kept"], Field(description="What it is.")]
    year: Annotated[int, Field(description="When.")] = 1


class GardenInputs(Properties):
    """Every annotation."""

    plants: Annotated[list[Annotated[Wild | Tame, Field(discriminator="kind")]], Field(description="All.")] = Field(
        default_factory=list
    )
    mode: Annotated[Literal["open", "half-open", "2"], Field(description="How.")] = "open"
    version: Annotated[Literal[2], Field(description="Which.")] = 2
    name: Annotated[str | None, AutoName(), Field(description="Its name."), IMMUTABLE] = None
    site: Annotated[str | None, Sticky(request=("mode",)), Field(description="Where.")] = None
    area: Annotated[str, FromEnvironment(("AREA", "PLACE")), Field(description="Area."), AS_CIDR] = "10.0.0.0/8"
    key: Annotated[str | None, WriteOnly(), Field(description="Key.")] = None
    soil: Annotated[str, Field(description="Soil.", deprecated="use `mode`"), DESTROYS_DATA] = "clay"
    water: Annotated[int, Field(description="Litres."), RESTARTS, Drift.IGNORE] = 1


class GardenOutputs(Properties):
    """What it became."""

    name: str = ""
    key: str | None = None
    mode: Literal["open", "half-open", "2"] = "open"
    soil: str = "clay"


class GardenQuery(Properties):
    """What to look for."""

    mode: Annotated[str | None, Field(description="Which ones.")] = None


class Garden(Tree):
    """Grows things."""

    token: ClassVar[str] = "wood:Garden"
    Inputs: ClassVar[type[Properties]] = GardenInputs
    Outputs: ClassVar[type[Properties]] = GardenOutputs
    Query: ClassVar[type[Properties]] = GardenQuery

    def list(self, request: ListRequest) -> Iterator[Listed]:
        yield Listed("1")


class Question(Properties):
    """What is asked."""

    tall: Annotated[bool, Field(description="Only tall ones.")] = False


class Answer(Properties):
    """What is known."""

    id: Annotated[str, Field(description="Which.")]
    heights: Annotated[dict[str, float], Field(description="Metres by name.")] = Field(default_factory=dict)


class FindTrees(Function[Question, Answer]):
    """Finds trees."""

    token: ClassVar[str] = "wood:findTrees"
    Arguments: ClassVar[type[Properties]] = Question
    Result: ClassVar[type[Properties]] = Answer

    def call(self, request: FunctionRequest[Question]) -> Answer:
        raise UserError("not here")


class Park(Forest):
    """Trees and gardens."""

    name: ClassVar[str] = "park"
    resource_types = (Tree, Garden)
    functions = (FindTrees,)


def test_every_annotation_has_its_place_in_the_schema() -> None:
    made = schema(Park(), Park.resource_types)
    garden = made["resources"]["provision-park:wood:Garden"]
    inputs = garden["inputProperties"]
    wild, tame = "#/types/provision-park:wood:Wild", "#/types/provision-park:wood:Tame"
    assert inputs["plants"]["items"] == {
        "oneOf": [{"$ref": wild}, {"$ref": tame}],
        "discriminator": {"propertyName": "kind", "mapping": {"wild": wild, "tame": tame, "kept": tame}},
    }
    assert made["types"]["provision-park:wood:Wild"]["properties"]["kind"] == {
        "type": "string",
        "const": "wild",
        "description": "What it is.",
    }
    assert inputs["version"] == {"type": "integer", "const": 2, "description": "Which."}
    assert inputs["mode"]["$ref"] == "#/types/provision-park:wood:GardenMode"
    assert made["types"]["provision-park:wood:GardenMode"]["enum"] == [
        {"name": "Open", "value": "open"},
        {"name": "HalfOpen", "value": "half-open"},
        {"name": "Value2", "value": "2"},
    ]
    assert garden["properties"]["mode"]["$ref"] == inputs["mode"]["$ref"]
    assert inputs["area"] == {
        "type": "string",
        "default": "10.0.0.0/8",
        "defaultInfo": {"environment": ["AREA", "PLACE"]},
        "description": "Area. Compared as an address range: its spelling does not matter. "
        "When it is not given, it comes from the environment: AREA, PLACE.",
    }
    assert inputs["key"]["secret"]
    assert "key" not in garden["properties"], "outputs never show it"
    assert inputs["soil"]["deprecationMessage"] == "use `mode`"
    assert inputs["soil"]["willReplaceOnChanges"]
    assert inputs["soil"]["description"] == "Soil. A change makes the object anew and destroys its data."
    assert garden["properties"]["soil"] == {"type": "string", "description": "Soil."}
    assert inputs["water"]["description"] == (
        "Litres. A change restarts the object. It may be changed by others: a refresh keeps what was recorded."
    )
    assert "once and kept" in inputs["name"]["description"]
    assert "chosen once" in inputs["site"]["description"]
    assert garden["listInputs"]["properties"] == {"mode": {"type": "string", "description": "Which ones."}}
    assert "listInputs" not in made["resources"]["provision-park:wood:Tree"]
    assert "Every change makes the object anew." in garden["description"]
    function = made["functions"]["provision-park:wood:findTrees"]
    assert function["description"] == "Finds trees."
    assert function["inputs"]["properties"]["tall"]["default"] is False
    assert function["outputs"]["required"] == ["heights", "id"]


@pytest.fixture(scope="module")
def metaschema() -> jsonschema.Draft202012Validator:
    # Its expressions are those of JavaScript; Python spells the names of groups in another way.
    return jsonschema.Draft202012Validator(json.loads(METASCHEMA.read_text().replace("(?<", "(?P<")))


@pytest.mark.parametrize("name", ["park", "memory", "libvirt"])
def test_schemas_are_what_pulumis_own_metaschema_asks_for(name: str, metaschema: Any) -> None:
    provider = Park() if name == "park" else registry.load(name)
    made = json.loads(json.dumps(schema(provider, [*provider.resource_types, *framework_types()])))
    assert [f"{list(error.path)}: {error.message}" for error in metaschema.iter_errors(made)] == []
    broken = json.loads(json.dumps(made))
    token = next(iter(broken["resources"]))
    next(iter(broken["resources"][token]["inputProperties"].values()))["type"] = "text"
    assert list(metaschema.iter_errors(broken)), "the metaschema can refuse"


@pytest.mark.parametrize("name", ["memory", "libvirt"])
def test_every_property_of_a_resource_is_described(name: str) -> None:
    provider = registry.load(name)
    made = schema(provider, [*provider.resource_types, *framework_types()])
    bare = [
        f"{token}.{half}.{wire}"
        for token, resource in made["resources"].items()
        for half in ("inputProperties", "properties")
        for wire, spec in resource[half].items()
        if not spec.get("description")
    ]
    assert bare == []
