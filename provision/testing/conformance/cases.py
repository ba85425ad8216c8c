"""Cases: single checks of one suite, each with a name by which gaps and reports call it."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provision.spi import CanDelete, CanRead
from provision.testing.conformance.bench import Bench
from provision.testing.conformance.samples import Sample
from provision.testing.conformance.subjects import Subject

if TYPE_CHECKING:
    from provision.testing.conformance.suite import ConformanceSuite

Kind = Any


@dataclass(frozen=True)
class Case:
    """One check of one suite: `run` raises what is wrong."""

    name: str
    run: Callable[[Bench], Awaitable[None]]


def of_sample(sample: Sample, check: str, body: Callable[[Subject], Awaitable[None]]) -> Case:
    """A check that works with one sample."""

    async def run(bench: Bench) -> None:
        async with bench.subject(sample) as subject:
            await body(subject)

    return Case(f"{sample.id}-{check}", run)


def samples(suite: "ConformanceSuite") -> Iterator[tuple[Sample, Kind]]:
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
