"""Translation ahead of the address plan: used when the plan says what was expected, and thrown away otherwise."""

import asyncio
from pathlib import Path

import pytest
from language_sample import Sample, stack

from provision.diagnostics import DiagnosticSink, SourceMap
from provision.errors import PluginError
from provision.host.deploying.configuration import provider_config
from provision.host.deploying.foreseen import foreseen
from provision.host.deploying.monitor import Registered
from provision.host.deploying.stack import Negotiated, Site, StackRun
from provision.loader import Loaded
from provision.spi import Capabilities
from provision.translate import AssignedAddress, Scope, place

OTHER = {"mac": "02:00:00:00:00:99", "ipv4": "10.1.0.99"}


class Counting(Sample):
    """Counts its translations; the first `failing` of them fail."""

    def __init__(self, failing=0):
        self.failing, self.count = failing, 0

    def translate(self, request):
        self.count += 1
        if self.count <= self.failing:
            raise PluginError("no", "never mind")
        return super().translate(request)


class Engine:
    """Registers everything; its address plan gives what is wanted with `other` in place of some addresses."""

    def __init__(self, other):
        self.other, self.inputs = other, {}

    async def register(self, kind, name, inputs, options):
        self.inputs[name] = dict(inputs)
        outputs = {"output": "5tack"}
        if name == "addresses":
            outputs = {"assigned": {key: given.model_dump() for key, given in expected().items()} | self.other}
        return Registered(f"urn:{name}", f"id-of-{name}", outputs)

    async def finish(self, urn, outputs):
        pass


def expected():
    found = foreseen(negotiated(Sample()), {}, scope(), SourceMap())
    assert found is not None
    return found.assigned


def scope():
    return Scope("shop", "prod", "")


def negotiated(provider):
    (part,) = place(stack(), DiagnosticSink())
    return [Negotiated(part, provider, Capabilities("sample"), {}, provider_config(provider, {}, {}))]


def deployed(provider, other=()):
    """The MAC addresses of web-0 in what was registered."""
    engine = Engine(dict(other))
    loaded = Loaded(stack(), (), SourceMap(), Path(), {})
    run = StackRun(engine, Site("shop", "prod", False, 4, {}), loaded)
    made = asyncio.run(run.deploy(negotiated(provider), Registered("urn:stack")))
    assert made.fine
    return [port["macAddress"] for port in engine.inputs["machines/web-0/server"]["ports"]]


def test_a_plan_that_gives_what_was_expected_is_waited_for_and_not_translated_again():
    provider = Counting()
    (key,) = [key for key in expected() if key.startswith("web-0/")]

    assert deployed(provider) == [expected()[key].mac]
    assert provider.count == 1


def test_a_plan_that_gives_something_else_is_what_counts():
    provider = Counting()
    (key,) = [key for key in expected() if key.startswith("web-0/")]

    assert deployed(provider, {key: OTHER}) == [OTHER["mac"]]
    assert provider.count == 2


def test_a_guess_that_fails_says_nothing_and_a_translation_that_fails_is_told():
    assert deployed(Counting(failing=1))
    with pytest.raises(PluginError, match="no"):
        deployed(Counting(failing=2))


def test_what_is_recorded_is_expected_again():
    (key,) = [key for key in expected() if key.startswith("web-0/")]
    kept = AssignedAddress.model_validate(OTHER)

    found = foreseen(negotiated(Sample()), {key: kept}, scope(), SourceMap())

    assert found is not None
    assert found.assigned[key] == kept
