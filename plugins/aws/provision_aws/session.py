"""The way to one account and region."""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from difflib import get_close_matches
from functools import cache
from typing import Any

from provision.errors import EnvironmentProblem
from provision.spi import native_call
from provision.spi.cloud import CloudSession
from provision_aws.config import AwsConfig
from provision_aws.errors import code_of, explained, is_absent
from provision_aws.reading import Reader

_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_MOST_CALLS = 32
"""At a time, however many operations there are: most of these wait for what EC2 has begun."""

_SETTLED_SECONDS = 300
"""After so long every part of EC2 knows an object (EC2 API Reference, "Eventual consistency")."""


class Session(CloudSession):
    """Clients for one account and region, and what this process knows to have made there; used by several threads.

    Attributes:
        config: how it was configured.
        account: id of the account.
    """

    reader: Reader

    def __init__(self, config: AwsConfig) -> None:
        """Connect.

        Raises:
            EnvironmentProblem: there are no credentials or region, or AWS does not answer.
        """
        super().__init__()
        self.config = config
        self._clients: dict[str, Any] = {}
        self._wrap: Callable[[Any], Any] = lambda client: client
        self._turns = threading.Semaphore(_MOST_CALLS)
        self._boto = _boto(config)
        self.account = self._identified()
        self.reader = Reader(self)

    @property
    def region(self) -> str:
        """Name of the region."""
        return str(self._boto.region_name)

    def client(self, service: str = "ec2") -> Any:
        """A client of one of the services."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._wrap(self._made(service))
            return self._clients[service]

    def stand_between(self, wrap: Callable[[Any], Any]) -> None:
        """Have every client, those of today and of later, wrapped: for tests of what goes wrong with a call."""
        with self._lock:
            self._wrap = wrap
            self._clients = {}

    def close(self) -> None:
        """Let go of all connections."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    # --- errors

    def explained(self, doing: str) -> AbstractContextManager[None]:
        """As `errors.explained`: what was made a moment ago EC2 may not know everywhere yet."""
        return explained(doing, recent=self.recent(_SETTLED_SECONDS))

    def is_absent(self, error: Exception) -> bool:
        """By EC2's code."""
        return is_absent(error)

    # --- boto3

    def _made(self, service: str) -> Any:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        from provision_aws.errors import explain

        try:
            made = self._boto.client(
                service,
                endpoint_url=self.config.endpoint_url,
                config=Config(
                    retries={"total_max_attempts": 1, "mode": "standard"},  # the framework tries again
                    connect_timeout=_CONNECT_SECONDS,
                    read_timeout=_READ_SECONDS,
                    max_pool_connections=_MOST_CALLS,
                    user_agent_extra="provision-aws",
                ),
            )
            return taking_turns(service, made, self._turns)
        except BotoCoreError as error:
            raise explain(f"connecting to {service}", error) from None

    def _identified(self) -> str:
        from botocore.exceptions import BotoCoreError, ClientError

        from provision_aws.errors import code_of, explain

        try:
            identity = self._made("sts").get_caller_identity()
        except (ClientError, BotoCoreError) as error:
            where = self.config.endpoint_url or f"the region {self.region}"
            problem = explain(f"connecting to AWS at {where}", error)
            if isinstance(problem, EnvironmentProblem):
                raise problem from None
            hint = " with the credentials that were found" if code_of(error) else ""
            raise EnvironmentProblem(
                problem.summary,
                f"{_doubt(self._boto)}check that {where} can be reached{hint} (`aws sts get-caller-identity`), and "
                "`pulumi config get provision-aws:region` and `provision-aws:endpointUrl`",
            ) from None
        account = str(identity["Account"])
        if self.config.account_ids and account not in self.config.account_ids:
            raise EnvironmentProblem(
                f"the credentials that were found are of the account {account}, and only "
                f"{', '.join(self.config.account_ids)} may be worked in",
                "take another profile (`provision-aws:profile`, AWS_PROFILE), or mend `provision-aws:accountIds`",
            )
        return account


def taking_turns(service: str, client: Any, turns: AbstractContextManager[Any]) -> Any:
    """A client whose calls, those of its paginators too, wait for their turn and are told of."""
    usual = client._make_api_call

    def make(operation: str, parameters: Any) -> Any:
        with turns:
            return native_call(f"{service}.{operation}", lambda: usual(operation, parameters), code=code_of)

    client._make_api_call = make
    return client


def _boto(config: AwsConfig) -> Any:
    """boto3's session: credentials and region as all of AWS's tools find them."""
    import boto3
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session as BotoSession

    from provision_aws.errors import explain, no_region

    logging.getLogger("botocore").setLevel(logging.INFO)  # below that it shows requests, and with them user data
    try:
        plain = BotoSession()
        plain.register_component("data_loader", _models())
        region = config.region or os.environ.get("AWS_REGION")  # botocore itself looks at AWS_DEFAULT_REGION alone
        found = boto3.Session(botocore_session=plain, profile_name=config.profile, region_name=region)
        if not found.region_name:
            raise no_region()
        if config.assume_role_arn is None:
            return found
        return boto3.Session(botocore_session=_with_role(found, config), region_name=found.region_name)
    except BotoCoreError as error:
        raise explain("reading the configuration of AWS", error) from None


def _doubt(found: Any) -> str:
    """What to say first of a region that nobody knows; empty of others. Newer ones than botocore may be right."""
    known = found.get_available_regions("ec2")
    if found.region_name in known:
        return ""
    near = get_close_matches(found.region_name, known, 1)
    meant = f"did you mean {near[0]}?" if near else "mend it if it is misspelt;"
    return f"no region '{found.region_name}' is known: {meant} "


def preload() -> None:
    """Read early what every session needs: it takes longer than the session."""
    import boto3  # noqa: F401

    for service in ("sts", "ec2"):
        _models().load_service_model(service, "service-2")


@cache
def _models() -> Any:
    """What botocore knows of services: megabytes, read once in a process."""
    from botocore.loaders import create_loader

    return create_loader()


def _with_role(found: Any, config: AwsConfig) -> Any:
    """A session whose credentials are a role's; they are fetched when they are needed, and again before they expire."""
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.session import Session as BotoSession

    extra = {"RoleSessionName": "provision"}
    if config.assume_role_external_id is not None:
        extra["ExternalId"] = config.assume_role_external_id
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=lambda service, **kwargs: found.client(service, endpoint_url=config.endpoint_url, **kwargs),
        source_credentials=found.get_credentials(),
        role_arn=str(config.assume_role_arn),
        extra_args=extra,
    )
    session = BotoSession(profile=config.profile)
    # botocore has no public way to give a session refreshable credentials
    session._credentials = DeferredRefreshableCredentials(  # type: ignore[attr-defined]
        method="assume-role", refresh_using=fetcher.fetch_credentials
    )
    return session
