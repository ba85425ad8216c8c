"""What AWS lets whoever runs this do, asked without doing it."""

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provision.errors import EnvironmentProblem, ProvisionError
from provision.spi import Finding
from provision_aws.config import AwsConfig
from provision_aws.errors import code_of, explain, explained
from provision_aws.images import find
from provision_aws.session import Session
from provision_aws.translate.images import BUILTIN
from provision_aws.wanted import ImageSearch

_NAME, _FOUND = "provision-doctor", "what was found"
_KEY = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8J0T5nQeYbK8XyzvW5pF0u1q2w3e4r5t6y7u8i9o0p provision-doctor"


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that EC2 is asked about (`DryRun`), and that needs nothing of the stack's to be there.

    Attributes:
        what: it is for, as people say it.
        method: of the client.
        parameters: of the call; `_FOUND` stands for a zone or image that was found before.
        undo: takes back what a service has made that knows no `DryRun`, as some emulators.
    """

    what: str
    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    undo: Callable[[Any, Mapping[str, Any]], Any] = lambda client, answer: None


_CALLS = (
    _Call("see machines", "describe_instances"),
    _Call("see types of machines", "describe_instance_types"),
    _Call(
        "make VPCs", "create_vpc", {"CidrBlock": "10.0.0.0/16"},
        lambda client, answer: client.delete_vpc(VpcId=answer["Vpc"]["VpcId"]),
    ),
    _Call(
        "make security groups", "create_security_group", {"GroupName": _NAME, "Description": _NAME},
        lambda client, answer: client.delete_security_group(GroupId=answer["GroupId"]),
    ),
    _Call(
        "make gateways", "create_internet_gateway", {},
        lambda client, answer: client.delete_internet_gateway(
            InternetGatewayId=answer["InternetGateway"]["InternetGatewayId"]
        ),
    ),
    _Call(
        "take addresses", "allocate_address", {"Domain": "vpc"},
        lambda client, answer: client.release_address(AllocationId=answer["AllocationId"]),
    ),
    _Call(
        "make disks", "create_volume", {"AvailabilityZone": _FOUND, "Size": 1},
        lambda client, answer: client.delete_volume(VolumeId=answer["VolumeId"]),
    ),
    _Call(
        "make key pairs", "import_key_pair", {"KeyName": _NAME, "PublicKeyMaterial": _KEY},
        lambda client, answer: client.delete_key_pair(KeyName=_NAME),
    ),
    _Call(
        "make machines", "run_instances",
        {"ImageId": _FOUND, "InstanceType": "t3.nano", "MinCount": 1, "MaxCount": 1},
        lambda client, answer: client.terminate_instances(InstanceIds=[answer["Instances"][0]["InstanceId"]]),
    ),
)  # fmt: skip
"""What of most stacks can be asked about without one."""


_CHOOSING = frozenset({
    "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_PROFILE", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION",
    "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
})  # fmt: skip
"""Variables that nobody sets who does not want AWS; others, as AWS_CA_BUNDLE, speak of the machine alone."""


def diagnose(config: AwsConfig, connect: Callable[[AwsConfig], Session] = Session) -> Sequence[Finding]:
    """Credentials, region and permissions; never raises.

    Args:
        config: how it is configured.
        connect: opens a session.
    """
    try:
        session = connect(config)
    except ProvisionError as problem:
        return [Finding("account", False if _is_used(config) else None, problem.summary, problem.fix)]
    try:
        return [
            Finding("account", True, f"{session.account} in {session.region}"),
            *_permissions(session),
        ]
    finally:
        session.close()


def _is_used(config: AwsConfig) -> bool:
    """Whether anything here is set up for AWS: else nobody misses it."""
    chosen = (config.region, config.profile, config.endpoint_url, config.assume_role_arn)
    files = (
        os.environ.get("AWS_CONFIG_FILE", "~/.aws/config"),
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    )
    return (
        any(chosen) or not _CHOOSING.isdisjoint(os.environ) or any(Path(file).expanduser().exists() for file in files)
    )


def _permissions(session: Session) -> Iterator[Finding]:
    zone = yield from _found("see zones", lambda: _zone(session))
    image = yield from _found("find images", lambda: _image(session))
    given = {"AvailabilityZone": zone, "ImageId": image}
    for call in _CALLS:
        parameters = {name: given.get(name) if value == _FOUND else value for name, value in call.parameters.items()}
        if None in parameters.values():
            yield Finding(f"permission to {call.what}", None, "not asked about: what the call names was not found")
        else:
            yield _allowed(session, call, parameters)


def _found(what: str, look: Callable[[], str]) -> Generator[Finding, None, str | None]:
    """The finding of whether something can be looked for, and what was found."""
    try:
        with explained(f"asking for the permission to {what}"):
            found = look()
    except ProvisionError as problem:
        yield _refused(what, problem)
        return None
    yield Finding(f"permission to {what}", True, found)
    return found


def _zone(session: Session) -> str:
    return str(session.client().describe_availability_zones()["AvailabilityZones"][0]["ZoneName"])


def _image(session: Session) -> str:
    parameter, architectures = BUILTIN["micro"]
    return find(session, ImageSearch(ssm_parameter=parameter.format(architectures["x86_64"])))


def _allowed(session: Session, call: _Call, parameters: Mapping[str, Any]) -> Finding:
    from botocore.exceptions import BotoCoreError, ClientError

    client = session.client()
    try:
        answer = getattr(client, call.method)(**parameters, DryRun=True)
        call.undo(client, answer)
    except (BotoCoreError, ClientError) as error:
        if code_of(error) == "DryRunOperation":
            return Finding(f"permission to {call.what}", True, "EC2 would do it")
        return _refused(call.what, explain(f"asking for the permission to {call.what}", error))
    return Finding(f"permission to {call.what}", None, "EC2 does not tell")


def _refused(what: str, problem: ProvisionError) -> Finding:
    """Only a refusal of permissions or credentials tells that something is not allowed."""
    return Finding(
        f"permission to {what}",
        False if isinstance(problem, EnvironmentProblem) else None,
        problem.summary,
        problem.fix,
    )
