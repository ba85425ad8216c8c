"""One API of the cloud, as plain JSON: exactly the calls that are asked for, with the SDK's login and endpoints."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, TypeVar
from urllib.parse import parse_qs, urlsplit

from provision_openstack.errors import ApiError

T = TypeVar("T")
Run = Callable[[str, Callable[[], Any]], Any]
"""Makes a call, given what it is called and what makes it."""

Query = Mapping[str, str | int | Sequence[str]]

_TIMES = (10, 90)
"""Seconds to connect, and to wait for a byte of the answer."""
_UPLOAD_TIMES = (10, 900)
"""Glance answers an upload when its store has everything."""
_CHUNK = 1 << 20
_VERSIONED = frozenset({"compute", "block-storage", "placement"})
"""Services with microversions, among those that are used."""
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")


class Service:
    """The API of one type, such as `compute`; used by several threads. Its methods raise `ApiError` and nothing else.

    A path is one below the endpoint with the API's version, such as `/servers/ID`.
    """

    def __init__(self, name: str, adapter: Any, run: Run) -> None:
        """Answer over `adapter`, a keystoneauth adapter; each call is made by `run`."""
        self.name = name
        self._adapter = adapter
        self._run = run
        self._opening = threading.Lock()
        self._data: Any = None

    def get(self, path: str, query: Query | None = None, *, version: str = "") -> dict[str, Any]:
        """What is there."""
        return self._json("GET", path, version, params=dict(query or {}))

    def post(self, path: str, body: Any = None, *, version: str = "") -> dict[str, Any]:
        """Make or do something; empty when there is nothing in the answer."""
        return self._json("POST", path, version, json=body)

    def put(self, path: str, body: Any = None, *, version: str = "") -> dict[str, Any]:
        """Change something."""
        return self._json("PUT", path, version, json=body)

    def patch(self, path: str, body: Any, *, version: str = "", content_type: str = "") -> dict[str, Any]:
        """Change a part of something."""
        headers = {"Content-Type": content_type} if content_type else {}
        return self._json("PATCH", path, version, json=body, headers=headers)

    def delete(self, path: str, *, version: str = "") -> None:
        """Remove something."""
        self._json("DELETE", path, version)

    def upload(self, path: str, open_stream: Callable[[], BinaryIO]) -> None:
        """Put bytes there.

        Args:
            path: where.
            open_stream: opens them; again when the token has to be renewed for it.
        """
        for last in (False, True):
            with open_stream() as stream:
                try:
                    self._json(
                        "PUT",
                        path,
                        "",
                        data=iter(lambda: stream.read(_CHUNK), b""),
                        headers={"Content-Type": "application/octet-stream"},
                        timeout=_UPLOAD_TIMES,
                        allow_reauth=False,  # it would send what is left of the stream
                    )
                    return
                except ApiError as error:
                    if last or error.status != 401 or not self._adapter.invalidate():
                        raise

    def pages(self, path: str, many: str, query: Query | None = None, *, version: str = "") -> Iterator[dict[str, Any]]:
        """Objects, page by page.

        Args:
            path: of the listing.
            many: what an answer holds them in.
            query: narrows it.
            version: microversion.
        """
        asked: Query = query or {}
        while True:
            answer = self.get(path, asked, version=version)
            yield from answer.get(many) or ()
            if not (further := _next(answer, many)):
                return
            asked = parse_qs(urlsplit(further).query)

    # --- what it can do

    @property
    def maximum(self) -> str:
        """The greatest microversion; empty for an API without them."""
        greatest = getattr(self._open(), "max_microversion", None) if self.name in _VERSIONED else None
        return ".".join(str(part) for part in greatest) if greatest else ""

    def offers(self, version: str) -> bool:
        """Whether a microversion can be had."""
        return _numbers(version) <= _numbers(self.maximum)

    # --- calls

    def _open(self) -> Any:
        """What the endpoint tells of itself, asked once however many threads begin at a time."""
        with self._opening:
            if self._data is None:
                found = self._guarded("GET", "/", self._adapter.get_endpoint_data)
                self._data = found if found is not None else False
            return self._data or None

    def _json(self, method: str, path: str, version: str, **more: Any) -> dict[str, Any]:
        if self.name != "network":  # Neutron has no versions to choose from
            self._open()
        response = self._guarded(method, path, lambda: self._sent(method, path, version, more))
        if response.status_code >= 400:
            raise _refusal(self.name, method, path, response)
        if response.status_code == 204 or not response.content:
            return {}
        try:
            answer = response.json()
        except ValueError:
            return {}
        return answer if isinstance(answer, dict) else {}

    def _sent(self, method: str, path: str, version: str, more: dict[str, Any]) -> Any:
        return self._adapter.request(
            path,
            method,
            microversion=version or None,
            raise_exc=False,
            connect_retries=0,  # the framework tries again, after a look at what was done
            status_code_retries=0,
            log=False,  # bodies hold user data
            **{"timeout": _TIMES, **more},
        )

    def _guarded(self, method: str, path: str, call: Callable[[], T]) -> T:
        from keystoneauth1.exceptions import ClientException, HttpError
        from requests.exceptions import RequestException

        try:
            made: T = self._run(f"{self.name}.{method} {ID.sub('ID', path)}", call)
            return made
        except HttpError as error:  # of the login
            response = getattr(error, "response", None)
            if response is not None:
                raise _refusal(self.name, method, path, response) from None
            status = int(getattr(error, "http_status", 0) or 0)
            raise ApiError(self.name, method, path, status, _line(error), retry_after=_seconds(error)) from None
        except (ClientException, RequestException) as error:
            raise ApiError(self.name, method, path, 0, _line(error)) from None


def _next(answer: Mapping[str, Any], many: str) -> str:
    if isinstance(answer.get("next"), str):  # Glance
        return str(answer["next"])
    for link in answer.get(f"{many}_links") or ():
        if link.get("rel") == "next":
            return str(link["href"])
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _refusal(service: str, method: str, path: str, response: Any) -> ApiError:
    code, text = _said(response)
    headers = response.headers
    return ApiError(
        service,
        method,
        path,
        int(response.status_code),
        text,
        code=code,
        retry_after=_waiting(headers.get("Retry-After")),
        request_id=str(headers.get("x-openstack-request-id") or headers.get("x-compute-request-id") or ""),
    )


def _said(response: Any) -> tuple[str, str]:
    """The service's own word for a failure, and its text."""
    reason = str(getattr(response, "reason", "") or response.status_code)
    if "json" not in str(response.headers.get("Content-Type", "")):
        plain = re.sub(r"<(head|style).*?</\1>|<[^>]+>", " ", str(response.text or ""), flags=re.DOTALL | re.IGNORECASE)
        return "", " ".join(plain.split())[:300] or reason
    try:
        body = response.json()
    except ValueError:
        return "", reason
    for key, value in body.items() if isinstance(body, dict) else ():
        if isinstance(value, dict) and value.get("message"):  # {"NeutronError": {...}}, {"forbidden": {...}}, …
            return str(value.get("type") or ""), " ".join(str(value["message"]).split())
        if isinstance(value, list) and value and isinstance(value[0], dict):  # Placement
            return str(value[0].get("code") or ""), " ".join(str(value[0].get("detail") or reason).split())
        if key in ("message", "faultstring") and isinstance(value, str):
            return "", " ".join(value.split())
    return "", reason


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _seconds(error: Any) -> float | None:
    value = getattr(error, "retry_after", None)
    return float(value) if value else None


def _waiting(text: str | None) -> float | None:
    """Seconds that an answer asks to wait (RFC 9110, section 10.2.3)."""
    if not text:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", text.strip()):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (when - datetime.fromtimestamp(time.time(), UTC)).total_seconds())
