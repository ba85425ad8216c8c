"""The conformance suite of the tiny provider, and so of every broken one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import tiny_cabinet
from tiny_cabinet import Busy, Cabinet, CabinetError, Unreachable
from tiny_provider import TinyProvider

from provision.testing import ConformanceSuite, Effect, Foreign, FunctionSample, Made, Platform, Sample, StackSample

STACK = """
version: 1
platform: tiny
machines:
  web:
    image: micro
    memory: 64MiB
    cpus: 2
    labels: {tier: front, zone: a, owner: me, season: winter}
    disks:
      data: {size: 2GiB}
"""


def foreign(folder, inputs):
    cabinet = Cabinet(folder)
    made = cabinet.make("box", inputs["name"], "somebody.else")

    def look():
        found = cabinet.find("box", inputs["name"])
        return found

    def remove():
        if cabinet.find("box", inputs["name"]) is not None:
            cabinet.remove(made.id)

    return Foreign(look, remove, made.id)


def enlarge(folder, made):
    Cabinet(folder).resize(made.id, 77)


@contextmanager
def unhealthy(folder, inputs):
    """Things cannot be started: the cabinet refuses."""
    with mock.patch.object(tiny_cabinet.Cabinet, "start", side_effect=CabinetError("it does not start")):
        yield


def first_release(made):
    """What the first release recorded of a label."""
    outputs = {key: item for key, item in made.outputs.items() if not key.startswith("__")}
    inputs = {key: item for key, item in made.inputs.items() if not key.startswith("__")}
    inputs["words"] = inputs.pop("text")
    return Made(made.id, outputs, inputs)


class TinyConformance(ConformanceSuite):
    provider = TinyProvider
    errors = {  # noqa: RUF012
        Effect.ERROR: lambda: CabinetError("the cabinet refuses"),
        Effect.THROTTLED: lambda: Busy("too many questions"),
        Effect.TIMEOUT: lambda: Unreachable("no answer"),
        Effect.LOST_BEFORE: lambda: Unreachable("the connection broke"),
        Effect.LOST_AFTER: lambda: Unreachable("the connection broke"),
    }
    samples = (
        Sample(
            "things:Box",
            {"name": "red", "size": 3, "tags": ["a", "b"], "password": "open sesame 9"},
            updates=[{"size": 5, "tags": ["c"]}, {"password": "another one 7"}],
            replaces=[{"name": "blue"}],
            same=[{"tags": ["b", "a"]}],
            wrong=[{"size": 0}],
            outside=enlarge,
            foreign=foreign,
            unhealthy=unhealthy,
        ),
        Sample(
            "things:Label",
            {"text": "fragile", "size": 2},
            updates=[{"size": 4}],
            replaces=[{"text": "heavy"}],
            older=[first_release],
        ),
    )
    functions = (FunctionSample("things:count", {"kind": "box"}),)
    stacks_are_complete = True
    stacks = (StackSample("web", STACK),)
    gaps = {"things:Label-foreign": "labels have random names: none can be in the way"}  # noqa: RUF012

    def platform(self, directory: Path) -> Iterator[Platform]:
        folder = directory / "cabinet"
        folder.mkdir()
        yield Platform(
            config={"folder": str(folder), "key": "of the old cabinet"},
            leftovers=lambda: [path.name for path in folder.iterdir()],
            handle=folder,
            wrong_configs=[{"folder": str(directory / "nowhere"), "key": "of no cabinet"}],
        )

    def transport(self, session, faults):
        return replace(session, cabinet=faults.wrap(session.cabinet))
