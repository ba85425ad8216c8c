"""The OpenStack platform, as the framework sees it."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

from provision.spi import (
    Capabilities,
    DeployedMachine,
    EvidenceRequest,
    FeatureUse,
    Finding,
    LiveRulesRequest,
    LogPiece,
    MachineStatus,
    NativeState,
    Objection,
    PowerRequest,
    Properties,
    Provider,
    RateLimit,
    Readout,
    ResourceGraph,
    ResourceType,
    RulesRequest,
    SettingsRequest,
    Shown,
    Stranger,
    Support,
    TranslationRequest,
)
from provision_openstack.config import OpenStackConfig
from provision_openstack.resources import (
    AddressGroup,
    Flavor,
    FloatingIp,
    Image,
    Keypair,
    Network,
    Port,
    QosPolicy,
    Router,
    RouterInterface,
    SecurityGroup,
    SecurityGroupRule,
    Server,
    ServerGroup,
    Subnet,
    Volume,
    VolumeAttachment,
)
from provision_openstack.session import Session, preload

if TYPE_CHECKING:  # only negotiation needs the models
    from provision.models import Stack


class OpenStackProvider(Provider[OpenStackConfig, Session]):
    """Machines on OpenStack, in one project of one region."""

    name: ClassVar[str] = "openstack"
    version: ClassVar[str] = version("provision-openstack")
    Config: ClassVar[type[Properties]] = OpenStackConfig
    resource_types: ClassVar[Sequence[type[ResourceType[Any, Any, Any]]]] = (
        Network,
        Subnet,
        Router,
        RouterInterface,
        Port,
        FloatingIp,
        SecurityGroup,
        SecurityGroupRule,
        AddressGroup,
        QosPolicy,
        Keypair,
        ServerGroup,
        Flavor,
        Image,
        Volume,
        VolumeAttachment,
        Server,
    )
    # Clouds differ, and most limit nothing; a complaint halves the rate, which then grows back.
    rate_limits: ClassVar[Mapping[str, RateLimit]] = {
        name: RateLimit(per_second=1000, burst=1000) for name in ("network", "compute", "image", "block-storage")
    }

    def preload(self) -> None:
        """The parts of the library that logging in needs."""
        preload()

    def connect(self, config: OpenStackConfig) -> Session:
        """Log in.

        Raises:
            provision.errors.EnvironmentProblem: there are no credentials, or the cloud does not answer.
        """
        return Session(config)

    def disconnect(self, session: Session) -> None:
        """Close the connections."""
        session.close()

    def capabilities(self, session: Session) -> Capabilities:
        """Ask the cloud."""
        from provision_openstack.capabilities import ask

        return ask(session)

    def capabilities_for(self, session: Session, stack: "Stack") -> Capabilities:
        """Ask the cloud, and what the project has wherever its quotas may not suffice.

        Raises:
            provision.errors.ProvisionError: a service does not answer.
        """
        from provision_openstack.holdings import with_holdings
        from provision_openstack.translate.quotas import needs

        told = self.capabilities(session)
        return with_holdings(session, told, needs(stack, told))

    def best_capabilities(self) -> Capabilities:
        """Those of a cloud that lacks nothing."""
        from provision_openstack.support import BEST

        return Capabilities(self.name, BEST)

    def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
        """What is not known is unsupported."""
        from provision_openstack.support import supports  # needs the models, which a process of the plugin does not

        return supports(use, capabilities)

    def objections(self, stack: "Stack", capabilities: Capabilities) -> Iterable[Objection]:
        """What of a stack this cloud cannot do together."""
        from provision_openstack.translate import objections

        return objections(stack, capabilities)

    def existing(self, session: Session, stack: "Stack") -> Mapping[str, Any]:
        """Networks and groups that a stack refers to.

        Raises:
            provision.errors.PlatformError: Neutron does not answer.
        """
        from provision_openstack.existing import look

        return look(session, stack)

    def builtin_images(self) -> Sequence[str]:
        """Images that a file need not describe; the cloud must have some that are called so."""
        from provision_openstack.translate.images import BUILTIN

        return BUILTIN

    def translate(self, request: TranslationRequest) -> ResourceGraph:
        """Native resources of the stack."""
        from provision_openstack.translate import translate

        return translate(request)

    def read_rules(self, request: RulesRequest) -> Readout:
        """What a graph's ports, groups and routers let pass."""
        from provision_openstack.readers import read_rules

        return read_rules(request)

    def read_settings(self, request: SettingsRequest) -> Sequence[Sequence[Shown]]:
        """What a graph's servers, groups and volumes say of policies."""
        from provision_openstack.readers import read_settings

        return read_settings(request)

    def read_live_rules(self, session: Session, request: LiveRulesRequest) -> Readout | str:
        """What Neutron lets pass now, as its API tells it.

        Raises:
            provision.errors.PlatformError: a machine is not there, or Neutron does not answer.
        """
        from provision_openstack.readers import read_live_rules

        return read_live_rules(session, request)

    def strangers(
        self, session: Session, networks: Sequence[NativeState], machines: Sequence[DeployedMachine]
    ) -> Sequence[Stranger]:
        """Machines of others on the networks, by Neutron's word."""
        from provision_openstack.readers.strangers import strangers

        return strangers(session, networks, machines)

    def evidence(self, session: Session, request: EvidenceRequest) -> Sequence[Sequence[Shown]]:
        """What OpenStack tells of a machine.

        Raises:
            provision.errors.PlatformError: the machine is not there, or OpenStack does not answer.
        """
        from provision_openstack.evidence import evidence

        return evidence(session, request)

    def machine_status(self, session: Session, machines: Sequence[DeployedMachine]) -> Mapping[str, MachineStatus]:
        """How machines are."""
        from provision_openstack import daytwo

        return daytwo.machine_status(session, machines)

    def switch_power(self, session: Session, machine: DeployedMachine, request: PowerRequest) -> bool:
        """Switch a machine."""
        from provision_openstack import daytwo

        return daytwo.switch_power(session, machine, request)

    def read_log(self, session: Session, machine: DeployedMachine, position: Any = None) -> LogPiece:
        """What a machine printed."""
        from provision_openstack import daytwo

        return daytwo.read_log(session, machine, position)

    def console(self, session: Session, machine: DeployedMachine) -> None:
        """Say where a machine's screen is."""
        from provision_openstack import daytwo

        daytwo.console(session, machine)

    def console_log(self, session: Session, machine: DeployedMachine) -> str:
        """What a machine has printed so far."""
        from provision_openstack import daytwo

        return daytwo.console_log(session, machine)

    def diagnose(self, config: OpenStackConfig) -> Sequence[Finding]:
        """Credentials, services and permissions."""
        from provision_openstack import doctor

        return doctor.diagnose(config)
