"""What AWS lets whoever runs this do, asked without doing it."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from provision.errors import ProvisionError
from provision.spi import Finding
from provision_aws.config import AwsConfig
from provision_aws.errors import code_of, explain
from provision_aws.session import Session

_CALLS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "see machines": ("describe_instances", {}),
    "make VPCs": ("create_vpc", {"CidrBlock": "10.0.0.0/16"}),
    "make gateways": ("create_internet_gateway", {}),
    "take addresses": ("allocate_address", {"Domain": "vpc"}),
    "make disks": ("create_volume", {"AvailabilityZone": "?", "Size": 1}),
    "make key pairs": ("import_key_pair", {"KeyName": "provision-doctor", "PublicKeyMaterial": b"ssh-ed25519 AAAA"}),
}
"""Calls that need nothing to be there, and that EC2 checks with `DryRun`."""


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
    from botocore.exceptions import BotoCoreError, ClientError

    for what, (method, parameters) in _CALLS.items():
        try:
            zone = {"AvailabilityZone": f"{session.region}a"} if "AvailabilityZone" in parameters else {}
            getattr(session.client(), method)(**{**parameters, **zone}, DryRun=True)
        except ClientError as error:
            if code_of(error) == "DryRunOperation":
                yield Finding(f"permission to {what}", True, "EC2 would do it")
                continue
            problem = explain(f"asking for the permission to {what}", error)
            yield Finding(f"permission to {what}", False, problem.summary, problem.fix)
        except BotoCoreError as error:
            problem = explain(f"asking for the permission to {what}", error)
            yield Finding(f"permission to {what}", None, problem.summary, problem.fix)
        else:
            yield Finding(f"permission to {what}", None, "EC2 does not tell")
