"""The AWS EC2 platform, as the framework sees it."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

from provision.spi import (
    Capabilities,
    DeployedMachine,
    EvidenceRequest,
    FeatureUse,
    Finding,
    Function,
    LiveRulesRequest,
    NativeState,
    Objection,
    PipelineStep,
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
from provision_aws.config import AwsConfig
from provision_aws.functions import FUNCTIONS
from provision_aws.resources import (
    DedicatedHost,
    EgressOnlyGateway,
    ElasticIp,
    ElasticIpAssociation,
    Instance,
    InternetGateway,
    KeyPair,
    NatGateway,
    NetworkInterface,
    PlacementGroup,
    PrefixList,
    Route,
    RouteTable,
    RouteTableAssociation,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Volume,
    VolumeAttachment,
    Vpc,
    VpcEndpoint,
)
from provision_aws.session import Session, preload

if TYPE_CHECKING:  # every process of the plugin imports this module, and only translation needs the models
    from provision.models import Network, Stack


class AwsProvider(Provider[AwsConfig, Session]):
    """Machines on AWS EC2, in one account and region."""

    name: ClassVar[str] = "aws"
    version: ClassVar[str] = version("provision-aws")
    Config: ClassVar[type[Properties]] = AwsConfig
    resource_types: ClassVar[Sequence[type[ResourceType[Any, Any, Any]]]] = (
        Vpc,
        Subnet,
        RouteTable,
        Route,
        RouteTableAssociation,
        InternetGateway,
        NatGateway,
        EgressOnlyGateway,
        SecurityGroup,
        SecurityGroupRule,
        PrefixList,
        NetworkInterface,
        VpcEndpoint,
        ElasticIp,
        ElasticIpAssociation,
        KeyPair,
        PlacementGroup,
        DedicatedHost,
        Volume,
        VolumeAttachment,
        Instance,
    )
    functions: ClassVar[Sequence[type[Function[Any, Any]]]] = FUNCTIONS
    # EC2's own limits differ by account and call, and most reads and choices are answered without a call: nobody is
    # held back before EC2 complains. That halves the rate, which then grows back.
    rate_limits: ClassVar[Mapping[str, RateLimit]] = {
        "ec2": RateLimit(per_second=1000, burst=1000),
        "kms": RateLimit(per_second=20, burst=20),
    }

    def preload(self) -> None:
        """boto3, and what it knows of EC2."""
        preload()

    def connect(self, config: AwsConfig) -> Session:
        """Connect to the account.

        Raises:
            provision.errors.EnvironmentProblem: there are no credentials or region, or AWS does not answer.
        """
        return Session(config)

    def disconnect(self, session: Session) -> None:
        """Close the connections."""
        session.close()

    def capabilities(self, session: Session) -> Capabilities:
        """Ask the account and region."""
        from provision_aws.capabilities import ask

        return ask(session)

    def capabilities_for(self, session: Session, stack: "Stack") -> Capabilities:
        """Ask the account and region what a stack depends on."""
        from provision_aws.capabilities import ask_for

        return ask_for(session, stack)

    def best_capabilities(self) -> Capabilities:
        """An account and region with all that this plugin can use."""
        from provision_aws.capabilities import BEST

        return Capabilities(self.name, BEST)

    def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
        """Whether one field of a stack file is enforced here."""
        from provision_aws import support

        return support.supports(use, capabilities)

    def objections(self, stack: "Stack", capabilities: Capabilities) -> Iterator[Objection]:
        """What of a stack EC2 cannot do together."""
        from provision_aws.translate.objections import objections

        return objections(stack, capabilities)

    def reserved_addresses(self, network: "Network") -> Iterator[str]:
        """Addresses that EC2 keeps for itself."""
        from provision_aws.translate.layout import reserved

        return reserved(network)

    def translate(self, request: TranslationRequest) -> ResourceGraph:
        """Native resources of a stack."""
        from provision_aws.translate import translate

        return translate(request)

    def read_rules(self, request: RulesRequest) -> Readout:
        """What a graph's groups, routes and interfaces let pass."""
        from provision_aws.readers import read_rules

        return read_rules(request)

    def read_settings(self, request: SettingsRequest) -> Sequence[Sequence[Shown]]:
        """What a graph's machines and disks say of policies."""
        from provision_aws.readers import read_settings

        return read_settings(request)

    def read_live_rules(self, session: Session, request: LiveRulesRequest) -> Readout | str:
        """What EC2 lets pass now, as its control plane tells it.

        Raises:
            provision.errors.PlatformError: a machine is not there, or EC2 does not answer.
        """
        from provision_aws.readers import read_live_rules

        return read_live_rules(session, request)

    def strangers(
        self, session: Session, networks: Sequence[NativeState], machines: Sequence[DeployedMachine]
    ) -> Sequence[Stranger]:
        """Machines of others on the networks, by EC2's word."""
        from provision_aws.readers.strangers import strangers

        return strangers(session, networks, machines)

    def evidence(self, session: Session, request: EvidenceRequest) -> Sequence[Sequence[Shown]]:
        """What EC2 tells of a machine.

        Raises:
            provision.errors.PlatformError: the machine is not there, or EC2 does not answer.
        """
        from provision_aws.evidence import evidence

        return evidence(session, request)

    def builtin_images(self) -> Sequence[str]:
        """Images that every account has."""
        from provision_aws.translate.images import BUILTIN

        return tuple(BUILTIN)

    def permissions(self, graph: ResourceGraph | None) -> Mapping[str, Any]:
        """An IAM policy."""
        from provision_aws.iam import policy

        return policy(self.resource_types, graph)

    def existing(self, session: Session, stack: "Stack") -> Mapping[str, Any]:
        """VPCs, subnets, security groups and key pairs that the file refers to.

        Raises:
            provision.errors.PlatformError: EC2 does not answer.
        """
        from provision_aws.existing import look

        return look(session, stack)

    def pipeline_step(self, forge: str) -> PipelineStep:
        """A role that the pipeline takes on."""
        from provision_aws.pipelines import pipeline_step

        return pipeline_step(forge)

    def diagnose(self, config: AwsConfig) -> Sequence[Finding]:
        """Credentials, region and permissions."""
        from provision_aws import doctor

        return doctor.diagnose(config)
