"""The AWS EC2 platform, as the framework sees it."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, ClassVar

from provision.errors import UserError
from provision.spi import (
    Capabilities,
    FeatureUse,
    Finding,
    Properties,
    Provider,
    RateLimit,
    ResourceGraph,
    ResourceType,
    Support,
    TranslationRequest,
    unsupported,
)
from provision_aws.config import AwsConfig
from provision_aws.errors import explained
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
)
from provision_aws.session import Session


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
        ElasticIp,
        ElasticIpAssociation,
        KeyPair,
        PlacementGroup,
        DedicatedHost,
        Volume,
        VolumeAttachment,
        Instance,
    )
    # EC2's own limits differ by account and call; a complaint halves the rate, which then grows back.
    rate_limits: ClassVar[Mapping[str, RateLimit]] = {"ec2": RateLimit(per_second=100, burst=200)}

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
        with explained("looking at the zones"):
            answer = session.client().describe_availability_zones()
        zones = sorted(str(zone["ZoneName"]) for zone in answer["AvailabilityZones"] if zone["State"] == "available")
        return Capabilities(self.name, {"account": session.account, "region": session.region, "zones": zones})

    def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
        """Nothing of a stack file yet: what is not translated is refused."""
        return unsupported(
            "AWS cannot be the platform of a stack file yet: its resource types are for Pulumi programs",
            "use the types of the package provision-aws in a program, or another platform",
        )

    def translate(self, request: TranslationRequest) -> ResourceGraph:
        """Refuse: see `supports`.

        Raises:
            UserError: always.
        """
        raise UserError(
            "AWS cannot be the platform of a stack file yet", "use its resource types in a program, or another platform"
        )

    def diagnose(self, config: AwsConfig) -> Sequence[Finding]:
        """Credentials, region and permissions."""
        from provision_aws import doctor

        return doctor.diagnose(config)
