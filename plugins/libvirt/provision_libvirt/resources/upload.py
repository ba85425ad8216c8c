"""Bringing local files into a pool, so that one that was cut off is never taken for whole."""

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libvirt

from provision.errors import PlatformError, UserError
from provision.spi import Cancelled, Operation, Pending
from provision_libvirt import micro, session
from provision_libvirt.resources import xml_storage
from provision_libvirt.resources.storage_model import FileSource, MicroSource

_CHUNK = 1 << 20
_REFRESH_SECONDS = 120.0
_REPORT_BYTES = 64 << 20


@dataclass(frozen=True)
class LocalSource:
    """A file to upload: `digest` is the SHA-256 that it must have, None when its maker answers for it."""

    path: Path
    size: int
    digest: str | None


def local_source(source: object, report: Callable[[str], None]) -> LocalSource | None:
    """The local file of a volume's source, None for a source that is no file; makes the micro image when needed.

    Raises:
        UserError: the file cannot be read.
        PlatformError: the micro image of this machine is not the one that was planned.
        EnvironmentProblem: the micro image cannot be made here.
    """
    if isinstance(source, MicroSource):
        image = micro.build(progress=report)
        if image.digest != source.digest:
            raise PlatformError(
                f"the micro image of this machine ({image.digest[:12]}) is not the planned one ({source.digest[:12]})",
                "run the update again, so that it is planned with the image that is here",
            )
        path = image.kernel if source.kind == "micro-kernel" else image.initrd
        return LocalSource(path, path.stat().st_size, None)
    if isinstance(source, FileSource):
        path = Path(source.path).expanduser()
        try:
            return LocalSource(path, path.stat().st_size, source.digest)
        except OSError as error:
            raise UserError(
                f"the image {path} cannot be read: {error.strerror}", "check the path in the file"
            ) from None
    return None


def upload(
    connection: Any,
    pool: Any,
    name: str,
    source: LocalSource,
    *,
    readable: bool,
    operation: Operation,
) -> Any:
    """Make the volume `name` with the content of `source`; `readable` by every user of the hypervisor.

    The volume begins with no bytes and grows while it is written, so its length tells whether it is whole.

    Raises:
        UserError: the file changed since its digest was taken.
        Cancelled: the run was cancelled; nothing of the volume stays.
        libvirt.libvirtError: the hypervisor refused; nothing of the volume stays.
    """
    chunks = _chunks(source, operation)
    return write(connection, pool, name, chunks, mode="0644" if readable else "0600", operation=operation)


def write(connection: Any, pool: Any, name: str, chunks: Iterator[bytes], *, mode: str, operation: Operation) -> Any:
    """Make the volume `name` with this content; gives the volume.

    Raises:
        Cancelled: the run was cancelled; nothing of the volume stays.
        libvirt.libvirtError: the hypervisor refused; nothing of the volume stays.
    """
    volume = pool.createXML(xml_storage.empty_file(name, mode), 0)
    try:
        session.upload(connection, volume, chunks)
        _look_again(pool, operation)
        return pool.storageVolLookupByName(name)
    except BaseException:
        with contextlib.suppress(libvirt.libvirtError):
            volume.delete(0)
        raise


def _chunks(source: LocalSource, operation: Operation) -> Iterator[bytes]:
    digest = hashlib.sha256()
    sent = 0
    with source.path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if operation.cancelled():
                raise Cancelled
            digest.update(chunk)
            yield chunk
            sent += len(chunk)
            if source.size > _REPORT_BYTES and sent % _REPORT_BYTES < _CHUNK:
                operation.report(f"uploading {source.path.name}: {sent * 100 // source.size} %")
    if source.digest is not None and digest.hexdigest() != source.digest:
        raise UserError(
            f"the image {source.path} is not the planned one: its SHA-256 is {digest.hexdigest()}",
            "run the update again, so that it is planned with the file as it is now",
        )


def _look_again(pool: Any, operation: Operation) -> None:
    """Have libvirt find out format and size of what was uploaded; it refuses while another volume is being written."""
    end = time.monotonic() + _REFRESH_SECONDS

    def look() -> Pending | None:
        try:
            pool.refresh(0)
        except libvirt.libvirtError as error:
            if "asynchronous jobs" not in str(error) or time.monotonic() > end:
                raise
            return Pending("waiting for another upload to end")
        return None

    operation.wait_until(look, first=0.1, longest=0.5)
