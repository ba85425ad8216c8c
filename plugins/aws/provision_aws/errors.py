"""What botocore raises, in the words of `provision.errors`."""

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from provision.errors import (
    EnvironmentProblem,
    NotFound,
    PlatformError,
    ProvisionError,
    RetriableError,
    Throttled,
    UserError,
)

if TYPE_CHECKING:  # takes a while to import, and nothing of it is needed before something fails
    from botocore.exceptions import BotoCoreError, ClientError

_THROTTLED = {
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "EC2ThrottledException",
    "BandwidthLimitExceeded",
    "SlowDown",
}
_PASSING = {
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Unavailable",
    "RequestTimeout",
    "RequestTimeoutException",
    "IdempotentParameterMismatch",  # the token is of an attempt with other parameters; a new one is drawn
    "ConcurrentCreateImageNoReboot",
    "ConcurrentModification",
    "PrefixListVersionMismatch",
}
_IN_USE = {
    "DependencyViolation",
    "InvalidGroup.InUse",
    "InvalidIPAddress.InUse",
    "InvalidNetworkInterface.InUse",
    "InvalidPlacementGroup.InUse",
    "IncorrectInstanceState",
    "IncorrectState",
    "OperationNotPermitted.InUse",
    "ResourceInUse",
    "VolumeInUse",
}
_NO_LOGIN = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Client.UnauthorizedOperation"}
_ABSENT = re.compile(r"(NotFound|NotAttached|\.Unknown|IDNotFound|Malformed)$")
_LIMIT = re.compile(r"(LimitExceeded|QuotaExceeded|TooManyEntries)$")
_CAPACITY = re.compile(r"(^Insufficient|Capacity|SpotMaxPriceTooLow|MaxSpotInstanceCountExceeded)")
_WRONG = re.compile(r"^(Invalid|Missing|Malformed|Unsupported|VPCIdNotSpecified|NetworkAclEntry|ValidationError)")

_LOG_IN = (
    "renew the credentials that AWS tools find here: `aws sso login`, AWS_PROFILE, or "
    "`pulumi config set provision-aws:profile NAME`; `aws sts get-caller-identity` shows what they are"
)
_SERVICES = {
    "AssumeRole": "sts",
    "AssumeRoleWithWebIdentity": "sts",
    "DescribeKey": "kms",
    "GetParameter": "ssm",
    "GetServiceQuota": "servicequotas",
}
"""Of actions that are not EC2's, how IAM calls the service."""

_RUN_AGAIN = "run again; https://health.aws.amazon.com tells of outages"


def code_of(error: BaseException) -> str:
    """EC2's code of a refusal; empty for anything else."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def is_absent(error: BaseException) -> bool:
    """Whether EC2 says that an object does not exist."""
    return bool(_ABSENT.search(code_of(error)))


@contextlib.contextmanager
def explained(doing: str, *, recent: Collection[str] = ()) -> Iterator[None]:
    """Turn an error of botocore inside into the class of `provision.errors` that says what to do; `doing` begins it.

    Args:
        doing: what is being done, such as "making the VPC 'front'".
        recent: ids that were made a moment ago: EC2 may not know them everywhere yet, which passes.
    """
    try:
        yield
    except ProvisionError:
        raise
    except Exception as error:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        if isinstance(error, ResponseParserError):
            raise RetriableError(f"{doing}: the answer of AWS cannot be read", _RUN_AGAIN) from None
        if not isinstance(error, BotoCoreError | ClientError):
            raise
        raise explain(doing, error, recent) from None


def explain(doing: str, error: "ClientError | BotoCoreError", recent: Collection[str] = ()) -> ProvisionError:
    """What `error` means, while `doing`."""
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        return _refusal(doing, error, recent)
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.NoAuthTokenError):
        return EnvironmentProblem(f"{doing}: there are no credentials for AWS ({error})", _LOG_IN)
    if isinstance(error, boto.SSOError | boto.TokenRetrievalError | boto.CredentialRetrievalError):
        return EnvironmentProblem(f"{doing}: the credentials for AWS cannot be had ({error})", _LOG_IN)
    if isinstance(error, boto.ProfileNotFound):
        return EnvironmentProblem(
            f"{doing}: {error}", "`aws configure list-profiles` shows which there are; AWS_PROFILE may name another one"
        )
    if isinstance(error, boto.NoRegionError):
        return no_region()
    if isinstance(error, boto.ConnectionError | boto.HTTPClientError):
        return RetriableError(f"{doing}: the connection to AWS broke ({error})", _RUN_AGAIN)
    return PlatformError(f"{doing}: {error}", "mend what it says, then run again")


def no_region() -> EnvironmentProblem:
    """Nothing says which region."""
    return EnvironmentProblem(
        "no region of AWS is chosen", "`pulumi config set provision-aws:region eu-central-1`, or set AWS_REGION"
    )


def refuse_unsuccessful(answer: Mapping[str, Any], doing: str, fix: str) -> None:
    """Some calls succeed as a whole also when they failed for an object; one that is not there is fine.

    Args:
        answer: of such a call.
        doing: what was being done, such as "releasing the dedicated host".
        fix: what a person may do.

    Raises:
        RetriableError: it failed for one.
    """
    for item in answer.get("Unsuccessful") or ():
        error = item.get("Error") or {}
        code = str(error.get("Code", "no code"))
        if "NotFound" not in code:
            raise RetriableError(f"{doing} {item.get('ResourceId', '')}: {error.get('Message', '')} ({code})", fix)


def _refusal(doing: str, error: "ClientError", recent: Collection[str]) -> ProvisionError:
    code, status = code_of(error), _status(error)
    text = str(error.response.get("Error", {}).get("Message", "")) or code
    message = f"{doing}: {text} ({code})"
    if code in _THROTTLED or status == 429:
        return Throttled(message, "run again later, or with less parallelism", retry_after=_retry_after(error))
    if _CAPACITY.search(code):  # some of these come with the status 500
        return PlatformError(message, "take another instance type or zone, or try again later")
    if code in _PASSING or status >= 500:
        return RetriableError(message, _RUN_AGAIN, retry_after=_retry_after(error))
    if code in _NO_LOGIN:
        return EnvironmentProblem(message, _LOG_IN)
    if code in _DENIED:
        why = text.partition("Encoded authorization failure")[0].strip()  # what follows is for an API of its own
        action = f"{_SERVICES.get(error.operation_name, 'ec2')}:{error.operation_name}"
        return EnvironmentProblem(
            f"{doing}: not permitted ({code} for {error.operation_name}): {why}",
            f"allow {action} in the IAM policy of who runs this; `provision plugin show aws --iam` prints all that is "
            "needed",
        )
    if code == "OptInRequired" or code == "PendingVerification":
        return EnvironmentProblem(message, "open that service or region for the account first")
    if code in _IN_USE:
        return RetriableError(message, "run again once nothing uses it any more")
    if is_absent(error):
        if any(identity in text for identity in recent):
            return RetriableError(f"{doing}: EC2 does not know it everywhere yet: {text}", _RUN_AGAIN)
        return NotFound(message, "`provision refresh`, then run again: what is gone is made anew")
    if _LIMIT.search(code):
        return PlatformError(message, "remove what is not needed, or ask for a higher quota (Service Quotas console)")
    if _WRONG.search(code):
        return UserError(message, "mend what it names in the stack file or the configuration")
    return PlatformError(message, "mend the cause in the account, then run again")


def _status(error: "ClientError") -> int:
    metadata: Any = error.response.get("ResponseMetadata", {})
    return int(metadata.get("HTTPStatusCode", 0) or 0)


def _retry_after(error: "ClientError") -> float | None:
    """Seconds that the answer asks to wait (RFC 9110, section 10.2.3, in its form of seconds)."""
    metadata: Any = error.response.get("ResponseMetadata", {})
    text = str((metadata.get("HTTPHeaders") or {}).get("retry-after", ""))
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else None
