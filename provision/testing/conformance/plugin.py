"""Checks of the plugin as a whole: configuration, schema, documentation, capabilities, samples, functions."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from provision.host.plugin.shapes import record_of, to_wire_names
from provision.host.values import plain
from provision.spi import Capabilities, FeatureUse, Support
from provision.testing.conformance import documents
from provision.testing.conformance.bench import Bench
from provision.testing.conformance.cases import Case
from provision.testing.conformance.description import SuiteDescription
from provision.testing.conformance.rehearsals import calls_of
from provision.testing.conformance.samples import FunctionSample
from provision.testing.conformance.subjects import others_of, subject_of
from provision.testing.conformance.verdicts import Unmet, expect, expect_precise, listed
from provision.testing.faults import Effect
from provision.testing.harness import CheckRefused, Lifecycle, OperationFailed

_NO_SUCH = "noSuchSetting"
_UNKNOWN_FEATURES = (
    "machines.no_such_field",
    "networks.no_such_field",
    "isolation.policies.no_such_policy",
    "isolation.policies.traffic.no_such_field",
    "sharing.no_such_field",
)


def cases(suite: SuiteDescription) -> Iterator[Case]:
    """Once for the plugin, and for each sample of a function."""
    yield Case("plugin-samples", _samples)
    yield Case("plugin-transport", _transport)
    yield Case("plugin-config", _config)
    yield Case("plugin-wrong-config", _wrong_config)
    yield Case("plugin-schema", _schema)
    yield Case("plugin-docs", _docs)
    yield Case("plugin-capabilities", _capabilities)
    yield Case("plugin-supports", _supports)
    functions = {item.token for item in suite.provider.functions}
    for sample in (item for item in suite.functions if item.token in functions):
        yield Case(f"{sample.id}-answer", partial(_function, sample))


async def _samples(bench: Bench) -> None:
    suite = bench.suite
    tokens = [kind.token for kind in suite.provider.resource_types]
    missing = sorted(set(tokens) - {sample.token for sample in suite.samples})
    expect(not missing, "a sample of every resource type", f"none of {listed(missing)}", "add Sample(...) for each")
    foreign = sorted({sample.token for sample in suite.samples} - set(tokens))
    expect(not foreign, "samples of types that the plugin has", f"{listed(foreign)}; it has {listed(tokens)}")
    functions = sorted({item.token for item in suite.provider.functions} - {sample.token for sample in suite.functions})
    expect(not functions, "a sample of every function", f"none of {listed(functions)}", "add FunctionSample(...)")


async def _transport(bench: Bench) -> None:
    expect(
        Effect.ERROR in bench.suite.errors,
        "the suite says what the SDK raises when the platform refuses (`errors[Effect.ERROR]`)",
        f"it says so of {listed(sorted(bench.suite.errors))}",
        "errors = {Effect.ERROR: lambda: SdkError(...), ...}",
    )
    for effect, make in bench.suite.errors.items():
        try:
            made: object = make()
        except Exception as error:
            raise Unmet(f"`errors[Effect.{effect.name}]` makes what the SDK raises", f"it raises {error!r}") from None
        expect(isinstance(made, Exception), f"`errors[Effect.{effect.name}]` makes an exception", repr(made))
    for sample in bench.suite.samples:
        if sample.token in {kind.token for kind in bench.suite.provider.resource_types}:
            async with subject_of(bench, sample) as subject:
                await calls_of(subject, subject.create())


async def _config(bench: Bench) -> None:
    checked = await bench.lifecycle.check_config(bench.config)
    again = await bench.lifecycle.check_config(checked)
    expect(plain(again) == plain(checked), "checking the configuration again changes nothing", "it differs")
    await _refused(bench, {**bench.config, _NO_SUCH: "x"}, _NO_SUCH)
    for wire, field in record_of(bench.suite.provider.Config).fields.items():
        if field.info.is_required() and wire in bench.config:
            without = {key: item for key, item in bench.config.items() if key != wire}
            await _refused(bench, without, wire)
            failed = await _configured(bench, without)
            expect(failed is not None, f"connecting without '{wire}' fails", "it succeeds")
            assert failed is not None
            expect(
                failed.code == "INVALID_ARGUMENT" and wire in failed.message,
                f"connecting without '{wire}' is refused as INVALID_ARGUMENT, naming it",
                str(failed),
            )


async def _wrong_config(bench: Bench) -> None:
    for wrong in bench.platform.wrong_configs:
        try:
            await bench.lifecycle.check_config(_wire(bench, wrong))
        except CheckRefused:
            continue
        failed = await _configured(bench, _wire(bench, wrong))
        expect(
            failed is not None,
            "connecting with a configuration of `Platform.wrong_configs` fails",
            "it succeeds",
            "call the platform once in `connect`, and raise EnvironmentProblem when it does not answer",
        )
        assert failed is not None
        expect_precise(failed, "connecting with a wrong configuration")
        expect("fix:" in failed.message, "the failure says what to do", str(failed), "give EnvironmentProblem a `fix`")


def _wire(bench: Bench, config: Mapping[str, Any]) -> dict[str, Any]:
    return dict(to_wire_names(config, record_of(bench.suite.provider.Config)))


async def _refused(bench: Bench, config: Mapping[str, Any], path: str) -> None:
    try:
        await bench.lifecycle.check_config(config)
    except CheckRefused as refused:
        expect(path in refused.failures, f"the configuration is refused at '{path}'", str(refused))
        return
    raise Unmet(f"a configuration that is wrong at '{path}' is refused", "it is accepted", "let the model forbid it")


async def _configured(bench: Bench, config: Mapping[str, Any]) -> OperationFailed | None:
    async with Lifecycle(bench.provider, configure=False) as lifecycle:
        try:
            await lifecycle.configure(config)
        except OperationFailed as failed:
            return failed
    return None


async def _schema(bench: Bench) -> None:
    wrong = documents.faults(await bench.lifecycle.schema())
    expect(not wrong, "a schema that Pulumi's tools accept", "; ".join(wrong), "mend the models")


async def _docs(bench: Bench) -> None:
    bare = documents.undocumented(await bench.lifecycle.schema())
    expect(
        not bare,
        "every resource type, function, nested type and property is described",
        f"nothing is said of {listed(bare)}",
        "give classes docstrings, and fields Annotated[..., Field(description=...)]",
    )


async def _capabilities(bench: Bench) -> None:
    provider = bench.suite.provider()
    told = await asyncio.to_thread(bench.capabilities)
    expect(
        isinstance(told, Capabilities) and told.platform == provider.name,
        f"Capabilities of the platform '{provider.name}'",
        repr(told),
    )
    try:
        same = json.loads(json.dumps(told.facts)) == dict(told.facts)
    except (TypeError, ValueError) as error:
        raise Unmet(
            "capabilities are plain data, so that they can be recorded and replayed",
            str(error),
            "use only texts, numbers, booleans, None, lists and maps with texts as keys",
        ) from None
    expect(
        same,
        "capabilities are the same after they were recorded as JSON",
        repr(told.facts),
        "use lists instead of tuples and sets, and texts as keys",
    )


async def _supports(bench: Bench) -> None:
    provider = bench.suite.provider()
    told = await asyncio.to_thread(bench.capabilities)
    for feature in _UNKNOWN_FEATURES:
        use = FeatureUse(feature, tuple(feature.split(".")), "x")
        answer: Support = provider.supports(use, told)
        expect(
            not answer.enforced,
            f"a feature that the plugin cannot know, '{feature}', is unsupported",
            "it is said to be enforced, so what a person wrote would be ignored",
            "answer `unsupported` for everything that is not listed",
        )
        expect(answer.reason, f"a reason why '{feature}' is unsupported", "none", "unsupported(reason, fix)")
        expect(provider.supports(use, told) == answer, "the same answer every time", f"another one for '{feature}'")


async def _function(sample: FunctionSample, bench: Bench) -> None:
    function = next(item for item in bench.suite.provider.functions if item.token == sample.token)
    async with others_of(bench, sample.needs) as others:
        given = sample.arguments(others) if callable(sample.arguments) else sample.arguments
        arguments = to_wire_names(given, record_of(function.Arguments))
        volatile = to_wire_names(dict.fromkeys(sample.volatile), record_of(function.Result))
        first, second = [
            {key: item for key, item in plain(answer).items() if key not in volatile}
            for answer in [await bench.lifecycle.invoke(sample.token, arguments) for _ in range(2)]
        ]
        expect(
            first == second,
            "the same question has the same answer",
            f"first {first!r}, then {second!r}",
            "sort what the platform gives; name what changes by itself in FunctionSample.volatile",
        )
        try:
            await bench.lifecycle.invoke(sample.token, {**arguments, _NO_SUCH: "x"})
        except CheckRefused as refused:
            expect(_NO_SUCH in refused.failures, f"an unknown argument is refused at '{_NO_SUCH}'", str(refused))
            return
        raise Unmet("an unknown argument is refused", "it is accepted", "let the model forbid it")
