"""Checks of translation: the same stack gives the same graph, and nothing that a person wrote is ignored."""

import asyncio
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from provision.diagnostics import DiagnosticSink, format_path
from provision.errors import ProvisionError, StackFileError
from provision.loader import load
from provision.models import Stack
from provision.spi import Capabilities, FeatureUse, Provider, ResourceGraph
from provision.testing.conformance import children
from provision.testing.conformance.bench import Bench
from provision.testing.conformance.cases import Case
from provision.testing.conformance.description import SuiteDescription
from provision.testing.conformance.samples import StackSample
from provision.testing.conformance.verdicts import Unmet, expect
from provision.translate import Scope, address_inputs, allocate, features, graph_json, negotiate, translate
from provision.translate.grammar import answers

_SCOPE = Scope("project", "dev")
_WITHOUT = "without"


def cases(suite: SuiteDescription) -> Iterator[Case]:
    """For every stack."""
    for sample in suite.stacks:
        yield _case(sample, "translates", _translates)
        yield _case(sample, "same", _same)
        yield _case(sample, "nothing-ignored", _nothing_ignored)
    if suite.stacks_are_complete:
        yield Case("plugin-stacks", _complete)


def _case(sample: StackSample, check: str, body: Any) -> Case:
    async def run(bench: Bench) -> None:
        await asyncio.to_thread(body, bench, sample)

    return Case(f"stack:{sample.name}-{check}", run)


def _translates(bench: Bench, sample: StackSample) -> None:
    provider = bench.suite.provider()
    with _written(sample) as directory:
        try:
            stack = _loaded(directory, provider)
            graph_of(stack, provider, _facts(bench, sample, provider), directory)
        except StackFileError as error:
            said = "; ".join(str(item) for item in error.diagnostics)
            raise Unmet("the stack is translated", f"refused: {said}", "mend the stack sample, or `supports`") from None
        except ProvisionError as error:
            raise Unmet("the stack is translated", str(error), "mend `translate`") from None


def _same(bench: Bench, sample: StackSample) -> None:
    told = _facts(bench, sample, bench.suite.provider())

    def expect_first(other: str, how: str) -> None:
        expect(
            other == first,
            "the same stack and capabilities give the same graph, byte for byte",
            f"translated {how} it differs: {_first_difference(first, other)}",
            "no clock, no randomness, and nothing in the order of a set",
        )

    with _written(sample) as directory:
        first, again = [_translated(bench, told, directory) for _ in range(2)]
        expect_first(again, "once more")
        # Texts hash otherwise there, so sets have another order.
        expect_first(children.graph(bench.suite, sample.name, told, directory), "in another process")


def _translated(bench: Bench, told: Capabilities, directory: Path) -> str:
    provider = bench.suite.provider()
    return graph_json(graph_of(_loaded(directory, provider), provider, told, directory))


def _nothing_ignored(bench: Bench, sample: StackSample) -> None:
    provider = bench.suite.provider()
    told = _facts(bench, sample, provider)
    ignored: list[str] = []
    with _written(sample) as directory:
        whole = _loaded(directory, provider)
        nodes = _nodes(graph_of(whole, provider, told, directory))
        for use in features(whole, provider.name):
            if use.feature in sample.silent or not provider.supports(use, told).enforced:
                continue
            less = _without(directory, provider, whole, use)
            if less is None:
                continue
            try:
                if _nodes(graph_of(less, provider, told, directory)) == nodes:
                    ignored.append(f"{use.feature} (at {format_path(use.path)})")
            except StackFileError:  # what is left cannot stand alone
                continue
    expect(
        not ignored,
        "everything that the plugin says it enforces changes a native resource",
        f"without any trace: {', '.join(ignored)}",
        "translate it, answer `unsupported`, or say in StackSample.silent why nothing of it is to be seen",
    )


async def _complete(bench: Bench) -> None:
    provider = bench.suite.provider()
    told = await asyncio.to_thread(bench.capabilities)
    tried = {feature for sample in bench.suite.stacks for feature in sample.silent}
    for sample in bench.suite.stacks:
        with _written(sample) as directory:
            tried |= {use.feature for use in features(_loaded(directory, provider), provider.name)}
    untried = [item.feature for item in answers(provider, told) if item.enforced and item.feature not in tried]
    expect(
        not untried,
        "everything that the plugin says it enforces stands in a stack sample (`stacks_are_complete`)",
        f"in none: {', '.join(untried)}",
        "add it to a StackSample, or answer `unsupported`",
    )


def _without(directory: Path, provider: Provider[Any, Any], whole: Stack, use: FeatureUse) -> Stack | None:
    """The stack without one feature, None where that is no stack or says the same."""
    if any(isinstance(part, int) for part in use.path):
        return None
    overlay: Any = None
    for part in reversed(use.path):
        overlay = {part: overlay}
    (directory / f"stack.{_WITHOUT}.yaml").write_text(json.dumps(overlay))
    try:
        less = _loaded(directory, provider, _WITHOUT)
    except StackFileError:
        return None
    return None if less.model_dump(mode="python") == whole.model_dump(mode="python") else less


class _written(tempfile.TemporaryDirectory[str]):
    """A folder with the stack file."""

    def __init__(self, sample: StackSample) -> None:
        super().__init__(prefix="stack-")
        self._sample = sample

    def __enter__(self) -> Path:  # type: ignore[override]
        directory = Path(super().__enter__())
        (directory / "stack.yaml").write_text(self._sample.text)
        return directory


def _loaded(directory: Path, provider: Provider[Any, Any], overlay: str | None = None) -> Stack:
    return load(directory, overlay=overlay, platform=provider.name).stack


def _facts(bench: Bench, sample: StackSample, provider: Provider[Any, Any]) -> Capabilities:
    if sample.facts is not None:
        return Capabilities(provider.name, sample.facts)
    return bench.capabilities()


def graph_of(stack: Stack, provider: Provider[Any, Any], told: Capabilities, directory: Path) -> ResourceGraph:
    """The graph as the language host would register it.

    Raises:
        StackFileError: the platform refuses the stack.
        PluginError: the plugin's graph does not keep to the interface.
    """
    sink = DiagnosticSink()
    decisions = negotiate(stack, provider, told, sink)
    assigned, _ = allocate(address_inputs(stack, _SCOPE, provider), {})
    scope = Scope(_SCOPE.project, _SCOPE.stack, str(directory))
    return translate(stack, provider, told, decisions, assigned, scope, sink).graph


def loaded_graph(directory: Path, provider: Provider[Any, Any], facts: Mapping[str, Any]) -> str:
    """The graph of a folder's stack file as canonical JSON."""
    told = Capabilities(provider.name, facts)
    return graph_json(graph_of(_loaded(directory, provider), provider, told, directory))


def _nodes(graph: ResourceGraph) -> Any:
    """What is really made; components only show it."""
    return json.loads(graph_json(graph))["nodes"]


def _first_difference(one: str, other: str) -> str:
    at = next((index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    return f"{one[max(0, at - 40) : at + 40]!r} and {other[max(0, at - 40) : at + 40]!r}"
