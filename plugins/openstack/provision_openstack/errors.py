"""What the services of OpenStack answer, in the words of `provision.errors`."""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from provision.errors import (
    EnvironmentProblem,
    ForeignObject,
    NotFound,
    PlatformError,
    ProvisionError,
    RetriableError,
    Throttled,
    UserError,
)

_CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_UNSURE = frozenset({0, 500, 502, 503, 504})
"""Answers, 0 for none, that do not say whether the work was done: a gateway gives them also when it was."""

_QUOTA = re.compile(r"OverQuota|QuotaExceeded|quota|LimitExceeded|exceeds allowed|Maximum number of", re.IGNORECASE)
_TAKEN = re.compile(r"Exists$|AlreadyAllocated|MacAddressInUse|already exist|already used by|is locked|Duplicate")
_EXHAUSTED = re.compile(r"AddressExhausted|AddressGenerationFailure|No more IP addresses|NoNetworkAvailable")
_NOT_NOW = re.compile(r"[Ss]tatus must be|must not be (migrating|attached)|is not in an? \w+ state|task_state")
"""Cinder and Glance say with the status 400 that something is under way."""

_LOG_IN = (
    "renew the credentials that OpenStack's tools find here: clouds.yaml and OS_CLOUD, the variables OS_*, or "
    "`pulumi config set provision-openstack:cloud NAME`; `openstack token issue` shows whether they do"
)
_RUN_AGAIN = "run again; when it stays so, ask the cloud's operators"
_ASK_FOR_MORE = (
    "remove what is not needed, or ask the cloud's operators for a higher quota "
    "(`openstack limits show --absolute`, `openstack quota show`)"
)


class AnswerLost(RetriableError):
    """A call that changes something was not answered: it may have been done all the same.

    Whoever makes objects looks for its own mark before it makes one again.
    """


class ApiError(Exception):
    """A service refused a call, or did not answer it.

    Attributes:
        service: its type, such as `compute`.
        method: of the call.
        path: of the call, below the endpoint.
        status: of HTTP; 0 when there was no answer.
        code: the service's own word for it, such as Neutron's `OverQuota`; empty for none.
        text: what it says to people.
        retry_after: seconds that it asks to wait; None when it does not.
        request_id: by which operators find the call in their logs; empty for none.
    """

    def __init__(
        self,
        service: str,
        method: str,
        path: str,
        status: int,
        text: str,
        *,
        code: str = "",
        retry_after: float | None = None,
        request_id: str = "",
    ) -> None:
        """Describe the failure."""
        super().__init__(f"{service}: {method} {path}: {status or 'no answer'}: {text}")
        self.service = service
        self.method = method
        self.path = path
        self.status = status
        self.code = code
        self.text = text
        self.retry_after = retry_after
        self.request_id = request_id

    @property
    def absent(self) -> bool:
        """Whether the service says that an object does not exist."""
        return self.status in (404, 410)

    @property
    def unanswered(self) -> bool:
        """Whether something may have been changed, though the answer does not say so."""
        return self.method in _CHANGES and self.status in _UNSURE

    @property
    def quota(self) -> bool:
        """Whether a quota of the project stands in the way."""
        return self.status in (403, 409, 413) and bool(_QUOTA.search(f"{self.code} {self.text}"))


def is_absent(error: BaseException) -> bool:
    """Whether a service says that an object does not exist."""
    return isinstance(error, ApiError) and error.absent


@contextlib.contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn an `ApiError` inside into the class of `provision.errors` that says what to do; `doing` begins it."""
    try:
        yield
    except ApiError as error:
        raise explain(doing, error) from None


def explain(doing: str, error: ApiError) -> ProvisionError:
    """What a failure means, while `doing`, such as "making the network 'front'"."""
    where = f" (request {error.request_id})" if error.request_id and error.status >= 500 else ""
    message = f"{doing}: {error.text}{f' ({error.code})' if error.code else ''}{where}"
    if error.status == 401:
        return EnvironmentProblem(message, _LOG_IN)
    if error.quota and not error.retry_after:
        return PlatformError(message, _ASK_FOR_MORE)
    if error.status in (413, 429):
        return Throttled(message, "run again later, or with less parallelism", retry_after=error.retry_after)
    if error.unanswered:
        return AnswerLost(message, _RUN_AGAIN, retry_after=error.retry_after)
    if error.status in _UNSURE:
        return RetriableError(message, _RUN_AGAIN, retry_after=error.retry_after)
    if error.status == 403:
        return EnvironmentProblem(
            f"{doing}: not permitted ({error.text})",
            f"ask the cloud's operators for a role that may {error.method} {error.path} of {error.service}",
        )
    if error.absent:
        return NotFound(message, "`provision refresh`, then run again: what is gone is made anew")
    if error.status in (409, 412):
        return _conflict(message, error)
    if error.status == 400:
        if _NOT_NOW.search(error.text):
            return RetriableError(message, "run again once what is under way has ended")
        return UserError(message, "mend what it names in the stack file or the configuration")
    return PlatformError(message, "mend the cause in the cloud, then run again")


def _conflict(message: str, error: ApiError) -> ProvisionError:
    said = f"{error.code} {error.text}"
    if _EXHAUSTED.search(said):
        return PlatformError(message, "free addresses there, or take a network with more of them")
    if _TAKEN.search(error.code) or _TAKEN.search(error.text):
        return PlatformError(message, "remove what is in the way, or write something else in the stack file")
    return RetriableError(message, "run again once nothing uses it any more", retry_after=error.retry_after)


def taken(called: str, why: str) -> ForeignObject:
    """The name is somebody else's."""
    return ForeignObject(
        f"there is a {called} already, which this resource did not make; it was not touched ({why})",
        "give it another name in the stack file, or remove that one by hand",
    )


# --- servers in the state ERROR

_FAULTS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"No valid host", re.IGNORECASE),
        "no host of the cloud can take it",
        "hosts lack room for the flavor, or none has what its extra specs, the availability zone or the server group "
        "ask for: take a smaller flavor, fewer machines in a group that keeps apart, or ask the operators; hosts that "
        "have just come up count only after a minute or two",
    ),
    (
        re.compile(r"Exceeded maximum number of retries|MaxRetriesExceeded|Exhausted all hosts", re.IGNORECASE),
        "every host that was tried refused it",
        "when it happens again, ask the operators with the server's id",
    ),
    (
        re.compile(r"Binding failed|PortBindingFailed|[Ff]ailed to allocate the network|VirtualInterfaceCreate"),
        "its network could not be set up on the host",
        "when it happens again, ask the operators whether the network's agents run",
    ),
    (
        re.compile(r"quota", re.IGNORECASE),
        "a quota is used up",
        _ASK_FOR_MORE,
    ),
    (
        re.compile(r"[Ii]mage .*(unacceptable|could not be found|is not active)"),
        "its image cannot be used",
        "look at the image (`openstack image show`), and mend it",
    ),
    (
        re.compile(r"[Vv]olume .*(did not finish|could not be|failed|not found)|Block Device Mapping is Invalid"),
        "a volume of it could not be had",
        "look at the volumes (`openstack volume list`)",
    ),
)
_ANY_FAULT = ("the cloud could not start it", "when it happens again, ask the operators")
_PASSING = re.compile(
    r"Exceeded maximum number of retries|MaxRetriesExceeded|Exhausted all hosts|Binding failed|PortBindingFailed|"
    r"Timed out waiting for a reply|MessagingTimeout"
)
"""What another attempt may be spared: hosts that refused one after the other, or did not answer in time."""


def server_fault(server: Mapping[str, Any]) -> tuple[str, str]:
    """Why a server is in ERROR, in words with the fault's own text, and the way out.

    Args:
        server: as Nova shows it, with its `fault`.
    """
    fault = server.get("fault") or {}
    text = str(fault.get("message") or "").strip()
    for pattern, reason, fix in _FAULTS:
        if pattern.search(text):
            return f"{reason}: {text}", fix
    reason, fix = _ANY_FAULT
    return f"{reason}: {text}" if text else f"{reason}, and does not say why", fix


def may_pass(reasons: Iterable[str]) -> bool:
    """Whether what keeps a server from starting may be over when it is made once more."""
    return any(_PASSING.search(reason) for reason in reasons)
