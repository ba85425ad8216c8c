"""What an author says of a plugin to the conformance kit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar, Literal

from provision.spi import Provider
from provision.testing.conformance.samples import FunctionSample, Platform, Sample, StackSample
from provision.testing.conformance.verdicts import Unmet
from provision.testing.faults import Effect, Faults


class SuiteDescription:
    """What checks know of the plugin and its platform; authors subclass `ConformanceSuite`, which runs them.

    Attributes:
        provider: the plugin.
        samples: at least one object of each resource type.
        functions: calls of data functions.
        stacks: stack files that the plugin translates.
        stacks_are_complete: whether everything that the plugin enforces must stand in one of them.
        errors: what its SDK raises for each effect; an effect that it cannot have is left out.
        gaps: promises that the plugin does not keep, by name of the check (`*` and `?` stand for any text), each with
            the reason. A gap that is none any more fails.
        platform_scope: whether every check gets a platform of its own, or all share one.
        survives_processes: whether the platform outlives the plugin's process; checks that kill it need that.
        calls_tried: how many of the calls of one operation are made to fail; when there are more, they are spread.
        cancel_seconds: how soon an operation must end after the run was cancelled.
        check_seconds: how long one check may take.
    """

    provider: ClassVar[type[Provider[Any, Any]]]
    samples: ClassVar[Sequence[Sample]] = ()
    functions: ClassVar[Sequence[FunctionSample]] = ()
    stacks: ClassVar[Sequence[StackSample]] = ()
    stacks_are_complete: ClassVar[bool] = False
    errors: ClassVar[Mapping[Effect, Callable[[], Exception]]] = {}
    gaps: ClassVar[Mapping[str, str]] = {}
    platform_scope: ClassVar[Literal["check", "suite"]] = "check"
    survives_processes: ClassVar[bool] = True
    calls_tried: ClassVar[int] = 12
    cancel_seconds: ClassVar[float] = 1.0
    check_seconds: ClassVar[float] = 300.0

    def platform(self, directory: Path) -> Platform | Iterator[Platform]:
        """The platform, with nothing of the plugin on it; or yield it, and clean up afterwards.

        Args:
            directory: an empty folder of its own.
        """
        raise Unmet(
            "the suite says how to get a platform with nothing on it",
            f"{type(self).__name__} does not",
            "write the method: def platform(self, directory): ... yield Platform(...)",
        )

    def transport(self, session: Any, faults: Faults) -> Any:
        """The session with every way to the platform wrapped by `faults.wrap`; also called in processes of its own."""
        return session

    @classmethod
    def gap(cls, name: str) -> str:
        """Why the check of that name is known to fail; empty when it is not."""
        return next((reason for pattern, reason in cls.gaps.items() if fnmatchcase(name, pattern)), "")
