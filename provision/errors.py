"""Whose fault a failure is, and what to do now.

::

    ProvisionError
    ├── UserError              the input is wrong: mend the file, the configuration or the command line
    │   ├── StackFileError     a stack file has errors: carries every diagnostic of the run
    │   └── PolicyRefused      the platform cannot enforce what a policy requires (exit code 3)
    ├── EnvironmentProblem     something on this machine is missing or broken: install, start or permit it
    ├── PluginError            a provider plugin broke the interface: report it to its author
    └── PlatformError          the platform answered with a failure
        ├── RetriableError     …that is expected to pass: the framework tries again with back-off
        │   └── Throttled        …it asks to be called less often: the framework slows down all calls to that service
        ├── ForeignObject      …a name is taken by an object that is not ours: it is never touched
        ├── NotFound           …the object does not exist
        ├── CreatedButUnhealthy  …an object exists but did not become healthy: it is kept in state
        └── PartiallyUpdated     …only a part of a change was made: state says which
"""

from collections.abc import Mapping, Sequence
from typing import Any

from provision.diagnostics import Diagnostic, Severity, SourceMap

POLICY_REFUSED = "policy refused"
"""How the message of a run begins that was stopped because a policy cannot be enforced."""


class ProvisionError(Exception):
    """Base of every failure that the product explains; `fix` says what a person can do about it."""

    exit_code = 1

    def __init__(self, summary: str, fix: str = "") -> None:
        """Describe a failure in one line (`summary`) and say what to do (`fix`)."""
        super().__init__(summary)
        self.summary = summary
        self.fix = fix

    def __str__(self) -> str:
        """The summary, and the fix on a line of its own."""
        return f"{self.summary}\n  fix: {self.fix}" if self.fix else self.summary


class UserError(ProvisionError):
    """The input is wrong."""


class StackFileError(UserError):
    """A stack file has errors; `diagnostics` holds all of them, warnings too."""

    def __init__(self, diagnostics: Sequence[Diagnostic], source_map: SourceMap | None = None) -> None:
        """Carry all `diagnostics` of one run; `source_map` gives the excerpts."""
        count = sum(d.severity is Severity.ERROR for d in diagnostics)
        super().__init__(f"{count} error{'' if count == 1 else 's'} in the stack file")
        self.diagnostics = tuple(diagnostics)
        self.source_map = source_map or SourceMap()


class PolicyRefused(StackFileError):
    """The platform cannot enforce what a policy requires; nothing has been changed."""

    exit_code = 3

    def __init__(self, diagnostics: Sequence[Diagnostic], source_map: SourceMap | None = None) -> None:
        """As `StackFileError`; the summary begins with `POLICY_REFUSED`, by which a pipeline can tell."""
        super().__init__(diagnostics, source_map)
        self.summary = f"{POLICY_REFUSED}: {self.summary}"


class EnvironmentProblem(ProvisionError):
    """Something that this machine must have is missing, broken or not permitted."""


class PluginError(ProvisionError):
    """A provider plugin does not keep to the interface; the message names plugin, member and expectation."""


class PlatformError(ProvisionError):
    """The platform answered with a failure."""


class RetriableError(PlatformError):
    """A failure of the platform that is expected to pass by itself."""

    def __init__(self, summary: str, fix: str = "", *, retry_after: float | None = None) -> None:
        """Describe the failure; `retry_after` are the seconds that the platform asks to wait, None when it does not."""
        super().__init__(summary, fix)
        self.retry_after = retry_after


class Throttled(RetriableError):
    """The platform was called too often."""


class NotFound(PlatformError):
    """The object does not exist on the platform."""


class ForeignObject(PlatformError):
    """A name or address is taken by an object without our marker; it is never changed or deleted."""


class CreatedButUnhealthy(PlatformError):
    """An object was made but did not become healthy.

    The engine keeps it in state with these reasons, and the next `up` sends an update that waits again.
    """

    def __init__(self, summary: str, *, id: str, outputs: Mapping[str, Any], reasons: Sequence[str] = ()) -> None:
        """Describe the half-made object.

        Args:
            summary: what did not become healthy.
            id: the identity under which the object can be found again.
            outputs: what is known of it, as a dump of the resource type's outputs model.
            reasons: details for a person, such as the tail of a console log.
        """
        super().__init__(summary)
        self.id = id
        self.outputs = dict(outputs)
        self.reasons = tuple(reasons) or (summary,)


class PartiallyUpdated(PlatformError):
    """Only a part of a change was made before it failed; state records that part, and the next `up` makes the rest."""

    def __init__(self, summary: str, *, inputs: Any, outputs: Mapping[str, Any], reasons: Sequence[str] = ()) -> None:
        """Describe what the object is now.

        Args:
            summary: what failed.
            inputs: the resource type's inputs model as it is true of the object now.
            outputs: as with `CreatedButUnhealthy`.
            reasons: details for a person.
        """
        super().__init__(summary)
        self.inputs = inputs
        self.outputs = dict(outputs)
        self.reasons = tuple(reasons) or (summary,)
