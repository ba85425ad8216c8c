"""A provider: what one plugin brings."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from provision.spi.functions import AnyFunction
from provision.spi.graph import ResourceGraph
from provision.spi.properties import Properties
from provision.spi.resource import ResourceType
from provision.spi.support import Capabilities, FeatureUse, Objection, Support, TranslationRequest

if TYPE_CHECKING:  # every process of a plugin imports this module, and only negotiation needs the models
    from provision.models import Network, Stack

C = TypeVar("C", bound=Properties)
S = TypeVar("S")

API_VERSION = 1
"""Version of this interface; a plugin made for another one is refused when it is loaded."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How often one service may be called by this process: a bucket of tokens, given out in the order of asking.

    After a `Throttled` the rate of the service that was asked last is halved; complaints about calls that were under
    way by then say nothing new. It grows back in two minutes, and never falls below a sixty-fourth.

    Attributes:
        per_second: calls that it takes for ever.
        burst: calls that it takes at once.
    """

    per_second: float
    burst: int = 1


class Provider(ABC, Generic[C, S]):
    """One platform.

    Attributes:
        name: of the platform, as in `platform: NAME`; the Pulumi package is `provision-NAME`.
        version: of the plugin distribution.
        api_version: version of the interface that it was written for.
        Config: configuration; each field is `pulumi config set provision-NAME:field VALUE`.
        resource_types: every kind of native object.
        functions: data functions for programs.
        rate_limits: by service, how often the platform may be called.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    api_version: ClassVar[int] = API_VERSION
    Config: ClassVar[type[Properties]]
    resource_types: ClassVar[Sequence[type[ResourceType[Any, Any, Any]]]]
    functions: ClassVar[Sequence[type[AnyFunction]]] = ()
    rate_limits: ClassVar[Mapping[str, RateLimit]] = MappingProxyType({})

    @abstractmethod
    def connect(self, config: C) -> S:
        """Open a session; it is used from several threads at once.

        Raises:
            provision.errors.EnvironmentProblem: the platform cannot be reached; the message says what to do.
        """

    def preload(self) -> None:
        """Import what `connect` will; called while nobody waits, and perhaps in vain. No threads, and no calls."""

    def disconnect(self, session: S) -> None:
        """Close the session."""

    @abstractmethod
    def capabilities(self, session: S) -> Capabilities:
        """Ask the live platform, once per run, everything that negotiation and translation need."""

    @abstractmethod
    def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
        """Whether the platform does what one field asks; pure. What is unknown must be answered as unsupported."""

    @abstractmethod
    def translate(self, request: TranslationRequest) -> ResourceGraph:
        """Turn the stack into native resources; pure: no clock, no randomness, no network."""

    def builtin_images(self) -> Sequence[str]:
        """Names of images that the plugin makes by itself."""
        return ()


@runtime_checkable
class CanDescribe(Protocol):
    """Without it `provision plugin show` asks `supports` as if the platform had told nothing of itself."""

    def best_capabilities(self) -> Capabilities:
        """What `capabilities` would tell of a platform that lacks nothing; static, for documentation."""


@dataclass(frozen=True)
class Finding:
    """One line of `provision doctor`.

    Attributes:
        subject: what was looked at; the command names the plugin before it.
        ok: None means a warning.
        detail: what was found.
        fix: how to get what is missing.
    """

    subject: str
    ok: bool | None
    detail: str
    fix: str = ""


@runtime_checkable
class HasObjections(Protocol):
    """Without it a platform is asked about one field at a time, never about a stack as a whole."""

    def objections(self, stack: "Stack", capabilities: Capabilities) -> Iterable[Objection]:
        """What of a stack cannot be had together, such as more cores than the host has; pure.

        An objection to a policy that is only preferred downgrades it, any other refuses the stack.
        """


@runtime_checkable
class KeepsAddresses(Protocol):
    """Without it a machine may get every address of a network but the first and last, and the gateway's."""

    def reserved_addresses(self, network: "Network") -> Iterable[str]:
        """Addresses of a network that the platform keeps for itself, so that no machine can have them; pure."""


@runtime_checkable
class AsksForStack(Protocol):
    """Without it `capabilities` is asked, whatever is in the stack."""

    def capabilities_for(self, session: Any, stack: "Stack") -> Capabilities:
        """What `capabilities` would tell, but for facts on which nothing in the stack depends.

        Raises:
            provision.errors.ProvisionError: the platform does not answer.
        """


EXISTING = "existing"
"""The fact under which capabilities hold what `FindsExisting` found."""


@runtime_checkable
class FindsExisting(Protocol):
    """Without it nothing that a stack refers to (`existing`) is looked at before it is used."""

    def existing(self, session: Any, stack: "Stack") -> Mapping[str, Any]:
        """What a stack refers to instead of having it made, as it is now: plain data, one of the capabilities' facts.

        Asked once a run, after `capabilities`; what is not there is left out, and for `objections` to tell. Nothing is
        changed.

        Raises:
            provision.errors.ProvisionError: the platform does not answer.
        """


@dataclass(frozen=True)
class PipelineStep:
    """How a pipeline comes by credentials: text for its file, indented as it stands there; empty where none is needed.

    Attributes:
        job: of a job: on `github` its first step, on `gitlab` further keywords.
        before: first lines of what each job runs, on `gitlab`.
    """

    job: str = ""
    before: str = ""


@runtime_checkable
class SignsInPipelines(Protocol):
    """Without it the pipelines that `provision ci` writes leave credentials to whoever sets the pipeline up."""

    def pipeline_step(self, forge: str) -> PipelineStep:
        """How a pipeline of a forge (`github`, `gitlab`, `generic`) comes by credentials that nobody has to keep."""


@runtime_checkable
class NeedsPermissions(Protocol):
    """Without it `provision plugin show --permissions` says that the plugin tells of none."""

    def permissions(self, graph: ResourceGraph | None) -> Mapping[str, Any]:
        """The least that whoever runs this must be allowed on the platform, in the platform's own form; pure.

        Args:
            graph: native resources of one stack, which alone is to be allowed; None for whatever a stack may hold.
        """


@runtime_checkable
class HasDoctor(Protocol):
    """Without it `provision doctor` only says that the plugin can be loaded."""

    def diagnose(self, config: Any) -> Sequence[Finding]:
        """Look at everything that the platform needs on this machine; never raises."""


@runtime_checkable
class HasSetup(Protocol):
    """Without it `provision setup` has nothing to prepare for the platform."""

    def prepare(self, progress: Callable[[str], None]) -> None:
        """Build or fetch, once, what the platform needs on this machine, such as built-in images.

        Raises:
            provision.errors.EnvironmentProblem: something is missing; the message says how to get it.
        """


@runtime_checkable
class CanBuildImages(Protocol):
    """Without it `provision setup --image` knows no image of the platform."""

    def buildable_images(self) -> Mapping[str, str]:
        """Built-in images that take too long to be made by every set-up: by name, what a person should know of them."""

    def build_image(self, name: str, progress: Callable[[str], None], *, refresh: bool) -> None:
        """Build one on this machine and keep it; one that is kept already stays, unless `refresh` asks for a new one.

        Raises:
            provision.errors.EnvironmentProblem: something is missing; the message says how to get it.
        """


@dataclass(frozen=True)
class LabInfo:
    """A running private platform.

    Attributes:
        directory: where it lives.
        config: what to set as `provision-NAME:key` to use it.
        environment: variables that make it the default of a shell.
        description: one line for a person.
    """

    directory: Path
    config: Mapping[str, str]
    environment: Mapping[str, str]
    description: str


@runtime_checkable
class HasLab(Protocol):
    """A private, disposable instance of the platform on this machine, for demos and tests."""

    def lab_start(self, directory: Path | None, progress: Callable[[str], None]) -> LabInfo:
        """Start it, or return the one that is running."""

    def lab_stop(self, directory: Path | None, progress: Callable[[str], None]) -> bool:
        """Stop it and leave nothing behind; False when none was running."""

    def lab_status(self, directory: Path | None) -> LabInfo | None:
        """The running one, or None."""
