"""The libvirt platform, as the framework sees it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from provision.spi import (
    Capabilities,
    CommandResult,
    DeployedMachine,
    EvidenceRequest,
    FeatureUse,
    Finding,
    Function,
    LabInfo,
    LiveRulesRequest,
    LogPiece,
    MachineStatus,
    NativeState,
    Objection,
    PowerRequest,
    ProbeChannel,
    Properties,
    Provider,
    Readout,
    ResourceGraph,
    ResourceType,
    RulesRequest,
    SettingsRequest,
    Shown,
    Snapshot,
    Stranger,
    Support,
    TranslationRequest,
)
from provision_libvirt.config import LibvirtConfig
from provision_libvirt.functions import FUNCTIONS
from provision_libvirt.resources import Domain, Filter, Network, Pool, Seed, Volume
from provision_libvirt.session import Session

if TYPE_CHECKING:  # every process of the plugin imports this module, and only translation needs the models
    from provision.models import Stack

_URI_VARIABLE = "LIBVIRT_DEFAULT_URI"
_OUTSIDE_VARIABLE = "PROVISION_OUTSIDE_SOCKET"


class LibvirtProvider(Provider[LibvirtConfig, Session]):
    """Machines on one hypervisor that is managed by libvirt with QEMU."""

    name: ClassVar[str] = "libvirt"
    version: ClassVar[str] = version("provision-libvirt")
    Config: ClassVar[type[Properties]] = LibvirtConfig
    resource_types: ClassVar[Sequence[type[ResourceType[Any, Any, Any]]]] = (
        Network,
        Filter,
        Pool,
        Volume,
        Seed,
        Domain,
    )
    functions: ClassVar[Sequence[type[Function[Any, Any]]]] = FUNCTIONS

    def connect(self, config: LibvirtConfig) -> Session:
        """Connect to the hypervisor.

        Raises:
            provision.errors.EnvironmentProblem: it cannot be reached.
        """
        return Session(config)

    def disconnect(self, session: Session) -> None:
        """Close the connection."""
        session.close()

    def capabilities(self, session: Session) -> Capabilities:
        """Ask the live hypervisor."""
        from provision_libvirt.capabilities import ask

        return ask(session)

    def best_capabilities(self) -> Capabilities:
        """A hypervisor with all that this plugin can use."""
        from provision_libvirt import support

        return Capabilities(self.name, support.BEST)

    def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
        """Whether one field of a stack file is enforced here."""
        from provision_libvirt import support

        return support.supports(use, capabilities)

    def objections(self, stack: "Stack", capabilities: Capabilities) -> Iterator[Objection]:
        """What of a stack the hypervisor cannot do together."""
        from provision_libvirt.translate.objections import objections

        return objections(stack, capabilities)

    def translate(self, request: TranslationRequest) -> ResourceGraph:
        """Native resources of a stack."""
        from provision_libvirt.translate import translate

        return translate(request)

    def read_rules(self, request: RulesRequest) -> Readout:
        """What the packet filters of a graph let pass."""
        from provision_libvirt.readers import read_rules

        return read_rules(request)

    def read_settings(self, request: SettingsRequest) -> Sequence[Sequence[Shown]]:
        """What native settings say of policies and shares, before anything is made."""
        from provision_libvirt.readers import read_settings

        return read_settings(request)

    def read_live_rules(self, session: Session, request: LiveRulesRequest) -> Readout | str:
        """What the host's kernel lets pass, read from its own tables."""
        from provision_libvirt.readers.kernel import read_live_rules

        return read_live_rules(session, request)

    def evidence(self, session: Session, request: EvidenceRequest) -> Sequence[Sequence[Shown]]:
        """What libvirt and the hypervisor's host show of a machine's policies."""
        from provision_libvirt.evidence import evidence

        return evidence(session, request)

    def strangers(
        self, session: Session, networks: Sequence[NativeState], machines: Sequence[DeployedMachine]
    ) -> Sequence[Stranger]:
        """Machines of others on the networks, by what libvirt knows of them."""
        from provision_libvirt.readers.strangers import strangers

        return strangers(session, networks, machines)

    def builtin_images(self) -> Sequence[str]:
        """The images that are made on this machine: the micro image always, the others when a person says so."""
        return ("micro", *self.buildable_images())

    def buildable_images(self) -> Mapping[str, str]:
        """Full images, which take minutes to build."""
        from provision_libvirt import cloud

        return cloud.IMAGES

    def build_image(self, name: str, progress: Callable[[str], None], *, refresh: bool) -> None:
        """Build a full image, unless it is there.

        Raises:
            provision.errors.EnvironmentProblem: a package or tool for it cannot be had.
        """
        from provision_libvirt import cloud

        cloud.build(name, progress=progress, refresh=refresh)

    def prepare(self, progress: Callable[[str], None]) -> None:
        """Make the micro image.

        Raises:
            provision.errors.EnvironmentProblem: a package or tool for it cannot be had.
        """
        from provision_libvirt import micro

        micro.build(progress=progress)

    def probe_channel(self, session: Session, machine: DeployedMachine) -> ProbeChannel:
        """Open the channel to the probe agent in a machine."""
        from provision_libvirt import probes

        return probes.probe_channel(session, machine)

    def measure(self, session: Session, channel: ProbeChannel, request: EvidenceRequest) -> Sequence[Sequence[Shown]]:
        """Make a machine busy, and see that its limits hold it."""
        from provision_libvirt.evidence import busy

        return busy.measure(session, channel, request)

    def outside_channel(self, session: Session) -> ProbeChannel | None:
        """The probing peer beyond the stack's networks, when one is configured."""
        from provision_libvirt import probes

        return probes.outside_channel(session)

    def console(self, session: Session, machine: DeployedMachine) -> None:
        """Join the terminal to a machine's console."""
        from provision_libvirt import console

        console.console(session, machine)

    def console_log(self, session: Session, machine: DeployedMachine) -> str:
        """What a machine has printed so far."""
        from provision_libvirt import console

        return console.console_log(session, machine)

    def machine_status(self, session: Session, machines: Sequence[DeployedMachine]) -> Mapping[str, MachineStatus]:
        """How machines are, beside what they were given."""
        from provision_libvirt.daytwo import status

        return status.machine_status(session, machines)

    def switch_power(self, session: Session, machine: DeployedMachine, request: PowerRequest) -> bool:
        """Switch a machine and wait until it is so."""
        from provision_libvirt.daytwo import power

        return power.switch_power(session, machine, request)

    def read_log(self, session: Session, machine: DeployedMachine, position: Any = None) -> LogPiece:
        """What a machine printed on its console since `position`."""
        from provision_libvirt.daytwo import logs

        return logs.read_log(session, machine, position)

    def execute(
        self, session: Session, machine: DeployedMachine, command: Sequence[str], timeout: float
    ) -> CommandResult:
        """Run a command in a guest by its agent."""
        from provision_libvirt.daytwo import execute

        return execute.execute(session, machine, command, timeout)

    def list_snapshots(self, session: Session, machine: DeployedMachine) -> Sequence[Snapshot]:
        """All snapshots of a machine, oldest first."""
        from provision_libvirt.daytwo import snapshots

        return snapshots.list_snapshots(session, machine)

    def create_snapshot(self, session: Session, machine: DeployedMachine, name: str) -> Snapshot:
        """Keep a machine's disks, and its memory when it runs."""
        from provision_libvirt.daytwo import snapshots

        return snapshots.create_snapshot(session, machine, name)

    def revert_snapshot(self, session: Session, machine: DeployedMachine, name: str) -> None:
        """Bring a machine's disks and memory back."""
        from provision_libvirt.daytwo import snapshots

        snapshots.revert_snapshot(session, machine, name)

    def delete_snapshot(self, session: Session, machine: DeployedMachine, name: str) -> None:
        """Forget a snapshot."""
        from provision_libvirt.daytwo import snapshots

        snapshots.delete_snapshot(session, machine, name)

    def diagnose(self, config: LibvirtConfig) -> Sequence[Finding]:
        """Look at everything that the platform needs on this machine."""
        from provision_libvirt import doctor

        return doctor.diagnose(config)

    def lab_start(self, directory: Path | None, progress: Callable[[str], None]) -> LabInfo:
        """Start a private hypervisor, or return the one that is running."""
        from provision_libvirt import lab

        return _described(lab.start(directory, progress=progress))

    def lab_stop(self, directory: Path | None, progress: Callable[[str], None]) -> bool:
        """Stop it and leave nothing behind."""
        from provision_libvirt import lab

        progress("stopping the private hypervisor")
        return lab.stop(directory)

    def lab_status(self, directory: Path | None) -> LabInfo | None:
        """The running one."""
        from provision_libvirt import lab

        running = lab.status(directory)
        return None if running is None else _described(running)


def _described(running: Any) -> LabInfo:
    outside = str(running.outside_socket)
    return LabInfo(
        directory=running.directory,
        config={"uri": running.uri, "outsideSocket": outside},
        environment={_URI_VARIABLE: running.uri, _OUTSIDE_VARIABLE: outside},
        description=(
            f"a private libvirt (process {running.pid}) with an outside peer at "
            f"{running.outside_address} and {running.outside_address6}"
        ),
    )
