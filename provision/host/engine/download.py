"""Pulumi's official download of the pinned release, checked against its published checksums.

Two plain GETs with the standard library: no HTTP package is worth importing for that.
"""

import hashlib
import platform
import shutil
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO

from provision.host.engine.release import ENGINE_VERSION

Progress = Callable[[str], None]

CONNECT_SECONDS = 8.0
"""Time to get the first answer of a server, name resolution included: all that is lost without a network."""

STALL_SECONDS = 30.0
MAXIMUM_BYTES = 1 << 30
REPORT_SECONDS = 3.0


class DownloadUnavailable(Exception):
    """The official download cannot be had or did not pass its check; the message says why."""


@dataclass(frozen=True)
class ReleaseSite:
    """Where a release is published: its archives and the file with their SHA-256 sums."""

    archives: str
    checksums: str


SITES = (
    # The sums are asked of another site than the archive first, so that one broken mirror is noticed.
    ReleaseSite(
        "https://get.pulumi.com/releases/sdk",
        f"https://github.com/pulumi/pulumi/releases/download/v{ENGINE_VERSION}",
    ),
    ReleaseSite(
        f"https://github.com/pulumi/pulumi/releases/download/v{ENGINE_VERSION}",
        "https://get.pulumi.com/releases/sdk",
    ),
)


def archive_name(system: str | None = None, machine: str | None = None) -> str:
    """The name of the archive for a platform, by default this one.

    Raises:
        DownloadUnavailable: Pulumi publishes none for it.
    """
    system, machine = (system or platform.system()).lower(), (machine or platform.machine()).lower()
    processor = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(machine)
    if system not in ("linux", "darwin") or processor is None:
        raise DownloadUnavailable(f"Pulumi publishes no download for {system} on {machine}")
    return f"pulumi-v{ENGINE_VERSION}-{system}-{processor}.tar.gz"


def download_engine(into: Path, progress: Progress, sites: tuple[ReleaseSite, ...] = SITES) -> Path:
    """Fetch, check and unpack the engine; the result is an executable file inside `into`.

    Raises:
        DownloadUnavailable: no site is reachable, or what came is not what was published.
        OSError: the local disk refused (full, read-only).
    """
    name = archive_name()
    reasons: list[str] = []
    for site in sites:
        try:
            expected = published_checksum(site, name)
            archive = into / name
            fetch(f"{site.archives}/{name}", archive, expected, progress)
            return unpack(archive, into)
        except DownloadUnavailable as error:
            if str(error) not in reasons:
                reasons.append(str(error))
    raise DownloadUnavailable("; ".join(reasons))


def published_checksum(site: ReleaseSite, name: str) -> str:
    """The SHA-256 that Pulumi publishes for an archive, as lowercase hexadecimal."""
    url = f"{site.checksums}/pulumi-{ENGINE_VERSION}-checksums.txt"
    with _open(url) as response:
        text = _read_network(response, 1 << 20, url).decode("ascii", errors="replace")
    for line in text.splitlines():
        fields = line.split()
        if len(fields) == 2 and fields[1].lstrip("*") == name and len(fields[0]) == 64:
            return fields[0].lower()
    raise DownloadUnavailable(f"{url} does not list {name}")


def fetch(url: str, target: Path, sha256: str, progress: Progress) -> None:
    """Save `url` as `target`; a file that is short or has another checksum is removed again."""
    digest, received, reported = hashlib.sha256(), 0, time.monotonic()
    progress(f"downloading the Pulumi engine {ENGINE_VERSION} from {url}")
    try:
        with _open(url) as response, target.open("wb") as file:
            total = int(response.headers.get("Content-Length") or 0)
            while block := _read_network(response, 1 << 20, url):
                file.write(block)
                digest.update(block)
                received += len(block)
                if received > MAXIMUM_BYTES:
                    raise DownloadUnavailable(f"{url} is larger than any release")
                if time.monotonic() - reported > REPORT_SECONDS:
                    reported = time.monotonic()
                    of = f" of {total >> 20}" if total else ""
                    progress(f"downloading the Pulumi engine: {received >> 20}{of} MiB")
        if total and received != total:
            raise DownloadUnavailable(f"{url} broke off after {received} of {total} bytes")
        if digest.hexdigest() != sha256:
            raise DownloadUnavailable(f"{url} does not have the published checksum (expected {sha256})")
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def unpack(archive: Path, into: Path) -> Path:
    """Take the engine alone out of its archive: the language hosts beside it serve programs, we have none."""
    target = into / "pulumi"
    try:
        with tarfile.open(archive, "r:gz") as packed:
            source = packed.extractfile("pulumi/pulumi")
            if source is None:
                raise DownloadUnavailable(f"{archive.name} holds no engine")
            with source, target.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise DownloadUnavailable(f"{archive.name} cannot be unpacked: {error}") from error
    archive.unlink()
    target.chmod(0o755)
    return target


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect, but never from https to anything else."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Refuse the step down; leave the rest to the base class."""
        if req.type == "https" and not newurl.startswith("https://"):
            raise urllib.error.HTTPError(req.full_url, code, "it redirects to an unprotected address", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str) -> HTTPResponse:
    """Start a GET; a server that does not answer within `CONNECT_SECONDS` counts as not reachable.

    The wait is in a thread of its own since a socket's time limit does not cover name resolution.
    """
    opened: list[HTTPResponse] = []
    failures: list[Exception] = []
    given_up = threading.Event()

    def attempt() -> None:
        try:
            opener = urllib.request.build_opener(_SafeRedirects)
            request = urllib.request.Request(url, headers={"User-Agent": "provision"})
            response = opener.open(request, timeout=STALL_SECONDS)
        except Exception as error:  # handed over to the waiting thread, which judges it
            failures.append(error)
            return
        opened.append(response)
        if given_up.is_set():
            response.close()

    thread = threading.Thread(target=attempt, daemon=True, name="engine-download")
    thread.start()
    thread.join(CONNECT_SECONDS)
    if opened:
        return opened[0]
    if not failures:
        given_up.set()
        raise DownloadUnavailable(f"{url} did not answer within {CONNECT_SECONDS:.0f} seconds")
    match failures[0]:
        case urllib.error.HTTPError() as error:
            raise DownloadUnavailable(f"{url} answered {error.code} {error.reason}")
        case urllib.error.URLError() as error:
            raise DownloadUnavailable(f"{url} is not reachable: {error.reason}")
        case OSError() | HTTPException() as error:
            raise DownloadUnavailable(f"{url} is not reachable: {error}")
        case error:
            raise error


def _read_network(response: HTTPResponse, size: int, url: str) -> bytes:
    """Read from the network: its failures are told from those of the local disk."""
    try:
        return response.read(size)
    except (OSError, HTTPException) as error:
        raise DownloadUnavailable(f"{url} broke off: {error or type(error).__name__}") from error
