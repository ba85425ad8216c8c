"""Cases: single checks of one suite, each with a name by which gaps and reports call it."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from provision.spi import CanDelete, CanRead, CanUpdate
from provision.testing.conformance.bench import Bench
from provision.testing.conformance.description import SuiteDescription
from provision.testing.conformance.samples import Sample
from provision.testing.conformance.subjects import Subject, subject_of

Kind = Any
Body = Callable[[Subject], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """One check of one suite: `run` raises what is wrong."""

    name: str
    run: Callable[[Bench], Awaitable[None]]


def of_sample(sample: Sample, check: str, body: Body) -> Case:
    """A check that works with one sample."""

    async def run(bench: Bench) -> None:
        async with subject_of(bench, sample) as subject:
            await body(subject)

    return Case(f"{sample.id}-{check}", run)


def of_operations(suite: SuiteDescription, ending: str, create: Body, update: Body, delete: Body) -> Iterator[Case]:
    """A check of each operation that the samples' types have; every round begins with nothing."""
    for sample, kind in samples(suite):
        if not removable(sample, kind):
            continue
        yield of_sample(sample, f"create-{ending}", create)
        if sample.updates and can(kind, CanUpdate):
            yield of_sample(sample, f"update-{ending}", update)
        if can(kind, CanDelete):
            yield of_sample(sample, f"delete-{ending}", delete)


def samples(suite: SuiteDescription) -> Iterator[tuple[Sample, Kind]]:
    """Every sample of the suite whose type the plugin has, with the type."""
    kinds = {kind.token: kind for kind in suite.provider.resource_types}
    for sample in suite.samples:
        if sample.token in kinds:
            yield sample, kinds[sample.token]


def can(kind: Kind, ability: Any) -> bool:
    """Whether the resource type has that method."""
    return isinstance(kind(), ability)


def removable(sample: Sample, kind: Kind) -> bool:
    """Whether its objects can be taken off the platform again: by the plugin, or by hand."""
    return can(kind, CanDelete) or sample.vanish is not None


def readable(kind: Kind) -> bool:
    """Whether its objects can be looked at."""
    return can(kind, CanRead)
