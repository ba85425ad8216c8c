"""The self-test of a proof: what is broken, that each break is one alone, and what is counted."""

from typing import Annotated, Any, Literal

from pydantic import Field

from provision.spi import Created, Isolates, Node, Output, Properties, ResourceGraph, ResourceType
from provision.verify.selftest import Score, as_data, lines, mutants, summary


class Rule(Properties):
    """A rule."""

    action: Annotated[Literal["accept", "drop"], Field(description="What becomes of it.")]
    port: Annotated[int, Field(ge=1, le=65535, description="Which port.")] = 1
    peer: Annotated[str | None, Field(description="Whose.")] = None
    marks: Annotated[dict[str, str], Field(description="More.")] = {}  # noqa: RUF012 - pydantic copies it


class Guard(ResourceType[Any, Any, Any]):
    """Something that holds rules."""

    token = "sample:Guard"

    class Inputs(Properties):
        """Inputs."""

        name: Annotated[str, Field(description="Its name.")]
        rules: Annotated[list[Rule], Field(description="Its rules."), Isolates()] = []  # noqa: RUF012 - pydantic copies it
        other: Annotated[str | None, Field(description="Rules of another."), Isolates()] = None

    class Outputs(Properties):
        """Outputs."""

        name: Annotated[str, Field(description="Its name.")]

    def create(self, operation: Any) -> Created[Any]:
        """Never called."""
        raise NotImplementedError


FIRST = Node(Guard, "first", {"name": "a", "rules": [{"action": "accept", "port": 80, "peer": "x"}]})
SECOND = Node(
    Guard,
    "second",
    {"name": "b", "rules": [{"action": "drop", "peer": "y", "marks": {"last": "90"}}], "other": FIRST.output("name")},
)
GRAPH = ResourceGraph((), (FIRST, SECOND))


def texts(node: str) -> list[str]:
    return [str(item) for item in mutants(GRAPH) if item.node == node]


def test_every_value_that_carries_isolation_is_broken_in_every_way() -> None:
    assert texts("first") == [
        "first.rules: [{'action': 'accept', 'port': 80, 'peer': 'x'}] taken away",
        "first.rules[0]: {'action': 'accept', 'port': 80, 'peer': 'x'} taken away",
        "first.rules[0].action: accept became drop",
        "first.rules[0].port: 80 taken away",
        "first.rules[0].port: 80 became 79",
        "first.rules[0].port: 80 became 81",
        "first.rules[0].port: 80 became 1",
        "first.rules[0].port: 80 became 65535",
        "first.rules[0].peer: x taken away",
        "first.rules[0].peer: x became y",
    ]
    assert "second.rules[0].marks.last: 90 taken away" in texts("second")
    assert "second.rules[0].marks.last: 90 became 91" in texts("second")
    assert "second.other: first.name taken away" in texts("second")
    assert not any("name: " in text for text in texts("first"))


def test_each_break_changes_one_value_and_leaves_the_graph_as_it_was() -> None:
    for broken in mutants(GRAPH):
        changed = [node for node, old in zip(broken.graph.nodes, GRAPH.nodes, strict=True) if node != old]
        assert [node.name for node in changed] == [broken.node]
    assert GRAPH.nodes[0].inputs["rules"] == [{"action": "accept", "port": 80, "peer": "x"}]
    assert SECOND.inputs["other"] == Output("first", "name")


def test_a_choice_that_the_file_leaves_is_told_from_a_setting_that_is_gone() -> None:
    class Core(Guard):
        class Inputs(Properties):
            """Inputs."""

            core: Annotated[int | None, Field(description="Which core."), Isolates(setting=True, choice=True)] = None
            locked: Annotated[bool | None, Field(description="Whether."), Isolates(setting=True)] = None

    graph = ResourceGraph((), (Node(Core, "own", {"core": 3, "locked": True}),))
    kinds = {str(item): (item.setting, item.choice) for item in mutants(graph)}

    assert kinds == {
        "own.core: 3 taken away": (True, False),
        "own.core: 3 became 2": (True, True),
        "own.core: 3 became 4": (True, True),
        "own.locked: True taken away": (True, False),
        "own.locked: True became False": (True, False),
    }


def test_a_score_says_what_was_tried_and_the_first_of_what_was_missed() -> None:
    missed = tuple(f"rule {index}" for index in range(12))
    score = Score({"proof": 2, "settings": 1}, missed, ("closes",), ("nobody",), ("nothing",), 40) + Score(
        {"proof": 1}, possible=1
    )

    assert summary(score) == (
        "self-test: 4 of 16 broken rules and settings would be noticed (3 by proof, 1 by settings); 19 were broken, of "
        "41 that there are: 1 of them only stop more of what is closed, 1 open nothing on which the file decides, "
        "1 change nothing"
    )
    assert lines(score)[-1] == "not noticed: 2 more, which --format json names"
    assert len(lines(score)) == 11
    assert as_data(score)["by_layer"] == {"proof": 3, "settings": 1}
