"""Images from the web: downloaded once for all stacks of a user, checked, and kept by what they are.

Plain GETs with the standard library. A download that broke off is gone on with (RFC 9110, section 14), and what is kept
is whole and has its checksum: it appears under its name by one rename.
"""

import hashlib
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO

from provision.errors import EnvironmentProblem, RetriableError, UserError
from provision_libvirt.caching import cache_home, locked

_CHUNK = 1 << 20
_STALL_SECONDS = 30.0
_REPORT_SECONDS = 2.0
_TRIES = 3
_SHOWN = 12


def downloads() -> Path:
    """Where downloads are kept."""
    return cache_home("downloads")


def kept(sha256: str, cache: Path | None = None) -> Path | None:
    """The download with that checksum, None when it was not made yet."""
    path = (cache or downloads()) / sha256
    return path if path.is_file() else None


def fetch(
    url: str,
    sha256: str,
    *,
    report: Callable[[str], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    cache: Path | None = None,
) -> Path:
    """The file with that checksum, downloaded from `url` when it is not kept already.

    Raises:
        UserError: there is no such file, or it has another checksum.
        RetriableError: the server could not be reached, or the download broke off too often.
        EnvironmentProblem: the server is not trusted, or the disk refused.
        InterruptedError: `cancelled` said so; what was downloaded so far is gone on with next time.
    """
    home = cache or downloads()
    target, part = home / sha256, home / f"{sha256}.part"
    name = shown(url)
    try:
        with locked(
            home / f"{sha256}.lock", lambda: report(f"another process downloads {name}: waiting for it"), cancelled
        ):
            if not target.is_file():
                _whole(url, sha256, part, report, cancelled)
                os.replace(part, target)
    except InterruptedError:
        raise
    except OSError as error:
        raise EnvironmentProblem(
            f"the download of {name} cannot be kept in {home}: {error.strerror or error}",
            "free some space or set XDG_CACHE_HOME to a directory that can be written",
        ) from error
    return target


def shown(url: str) -> str:
    """A URL without what may be secret in it: user, password and query."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _whole(url: str, sha256: str, part: Path, report: Callable[[str], None], cancelled: Callable[[], bool]) -> None:
    for attempt in range(1, _TRIES + 1):
        try:
            _continue(url, part, report, cancelled)
            break
        except _BrokenOff as broken:
            if attempt == _TRIES:
                raise RetriableError(
                    f"{shown(url)} broke off: {broken}", "it goes on from there when you run it again"
                ) from None
            report(f"{shown(url)} broke off: going on")
    report(f"checking {shown(url)}")
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        part.unlink()
        raise UserError(
            f"{shown(url)} has the SHA-256 {found}, not {sha256[:_SHOWN]}… as the stack file says",
            "it was changed on its way or at its source: get the checksum from its publisher, and write it as 'sha256'",
        )


class _BrokenOff(Exception):
    """A download came to an end too early."""


def _continue(url: str, part: Path, report: Callable[[str], None], cancelled: Callable[[], bool]) -> None:
    """Append to `part` what it lacks."""
    have = part.stat().st_size if part.exists() else 0
    response, begins = _open(url, have)
    with response, part.open("r+b" if begins else "wb") as file:
        file.seek(begins)
        file.truncate()
        length = response.headers.get("Content-Length")
        total = begins + int(length) if length and length.isdigit() else None
        done, told = begins, 0.0
        while True:
            if cancelled():
                raise InterruptedError
            try:
                chunk = response.read(_CHUNK)
            except (OSError, HTTPException) as error:
                raise _BrokenOff(str(error) or type(error).__name__) from error
            if not chunk:
                break
            file.write(chunk)
            done += len(chunk)
            if time.monotonic() - told > _REPORT_SECONDS:
                told = time.monotonic()
                of = f" of {total >> 20}" if total else ""
                report(f"downloading {shown(url)}: {done >> 20}{of} MiB")
    if total is not None and done < total:
        raise _BrokenOff(f"{done} of {total} bytes came")


def _open(url: str, have: int) -> tuple[HTTPResponse, int]:
    """Begin a GET; gives the answer and the position at which it begins."""
    headers = {"User-Agent": "provision", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        opener = urllib.request.build_opener(_SafeRedirects)
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=_STALL_SECONDS)
    except urllib.error.HTTPError as error:
        with error:
            if have and error.code == 416:  # what is there is all there is, or something else
                return _open(url, 0)
            raise _answered(url, error.code, error.reason) from None
    except (urllib.error.URLError, OSError, HTTPException) as error:
        raise _unreachable(url, error) from None
    return response, have if have and response.status == 206 and _begins(response.headers) == have else 0


def _begins(headers: HTTPMessage) -> int | None:
    """Where a part begins, by `Content-Range: bytes 100-199/200`."""
    value = str(headers.get("Content-Range", "")).removeprefix("bytes ").partition("-")[0]
    return int(value) if value.isdigit() else None


def _answered(url: str, code: int, reason: str) -> Exception:
    summary = f"{shown(url)} answered {code} {reason}"
    if code in (404, 410):
        return UserError(summary, "check the URL: the publisher may have moved or removed it")
    if code in (401, 403):
        return UserError(summary, "it needs a login, or is not for everybody: download it, and write 'kind: file'")
    if code == 429 or code >= 500:
        return RetriableError(summary, "try again later")
    return UserError(summary, "check the URL")


def _unreachable(url: str, error: Exception) -> Exception:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return EnvironmentProblem(
            f"{shown(url)} is not trusted: {reason.verify_message}",
            "if it is yours, add its authority to this machine's certificates (or set SSL_CERT_FILE)",
        )
    if isinstance(reason, ssl.SSLError):
        why = reason.reason or reason
        return EnvironmentProblem(f"{shown(url)} cannot be reached securely: {why}", "check the URL")
    return RetriableError(f"{shown(url)} cannot be reached: {reason}", "check the network and the URL")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect, but never from https to anything else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Refuse the step down; leave the rest to the base class, which keeps the headers."""
        if req.type == "https" and not newurl.startswith("https://"):
            raise urllib.error.HTTPError(req.full_url, code, "it redirects to an unprotected address", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
