"""Bringing local files into a pool, so that one that was cut off is never taken for whole."""

import contextlib
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt

from provision.errors import EnvironmentProblem, PlatformError, UserError
from provision.spi import Cancelled, Operation, Pending
from provision_libvirt import micro, session
from provision_libvirt.resources import xml_storage
from provision_libvirt.resources.storage_model import BuiltSource, FileSource, MicroSource, UrlSource

if TYPE_CHECKING:  # every process of the plugin imports this module, and few of them need full images
    from provision_libvirt.cloud import CloudImage

_CHUNK = 1 << 20
_REFRESH_SECONDS = 120.0
_REPORT_BYTES = 64 << 20


@dataclass(frozen=True)
class LocalSource:
    """A file to upload: `digest` is the SHA-256 that it must have, None when its maker answers for it."""

    path: Path
    size: int
    digest: str | None


def local_source(
    source: object, operation: Operation, format: str, name: str, built: str | None = None
) -> LocalSource | None:
    """The local file of a volume's source, None for a source that is no file.

    Makes the micro image, and downloads, when needed.

    Args:
        source: of the volume.
        operation: gets the progress, and says when to stop.
        format: that the file must have.
        name: of the image, for messages.
        built: the digest that a built image must have.

    Raises:
        UserError: the file cannot be read, is not what it should be, or refers to other files.
        PlatformError: the image that was built on this machine is not the one that was planned.
        EnvironmentProblem: the micro image cannot be made here, or a full one has not been built.
        RetriableError: the download broke off.
        Cancelled: the run was cancelled during a download.
    """
    if isinstance(source, BuiltSource):
        return _built(source, built)
    if isinstance(source, UrlSource):
        return _file(_fetched(source, operation), source.digest, format, name)
    if isinstance(source, MicroSource):
        image = micro.build(progress=operation.report)
        if image.digest != source.digest:
            raise PlatformError(
                f"the micro image of this machine ({image.digest[:12]}) is not the planned one ({source.digest[:12]})",
                "run the update again, so that it is planned with the image that is here",
            )
        path = image.kernel if source.kind == "micro-kernel" else image.initrd
        return LocalSource(path, path.stat().st_size, None)
    if isinstance(source, FileSource):
        return _file(Path(source.path).expanduser(), source.digest, format, name)
    return None


def _fetched(source: UrlSource, operation: Operation) -> Path:
    from provision_libvirt.cloud.fetch import fetch, shown

    try:
        return fetch(source.url, source.digest, report=operation.report, cancelled=operation.cancelled)
    except InterruptedError:
        raise Cancelled(f"downloading {shown(source.url)}") from None


def _file(path: Path, digest: str, format: str, name: str) -> LocalSource:
    from provision_libvirt.cloud.header import virtual_size

    try:
        if format == "qcow2":  # what is raw may be a kernel; of disks translation asks
            virtual_size(path, format, name)
        return LocalSource(path, path.stat().st_size, digest)
    except OSError as error:
        raise UserError(f"the image {path} cannot be read: {error.strerror}", "check the path in the file") from None


def built_image(name: str) -> "CloudImage":
    """The image of that name that was built on this machine.

    Raises:
        EnvironmentProblem: none was.
    """
    from provision_libvirt.cloud import build_command, find

    image = find(name)
    if image is None:
        raise EnvironmentProblem(
            f"the image '{name}' has not been built on this machine", f"run: {build_command(name)}"
        )
    return image


def _built(source: BuiltSource, digest: str | None) -> LocalSource:
    from provision_libvirt.cloud import find

    image = find(source.image, digest=digest) or built_image(source.image)
    if digest is not None and image.digest != digest:
        raise PlatformError(
            f"the image '{source.image}' of this machine ({image.digest[:12]}) is not the one that the stack was made "
            f"with ({digest[:12]})",
            "run where that one was built, or take the one that is here: 'refresh: true' at its source under 'images'",
        )
    path = image.part(source.part)
    return LocalSource(path, path.stat().st_size, None)


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
    digest = None if source.digest is None else hashlib.sha256()
    sent = 0
    with source.path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if operation.cancelled():
                raise Cancelled
            if digest is not None:
                digest.update(chunk)
            yield chunk
            sent += len(chunk)
            if source.size > _REPORT_BYTES and sent % _REPORT_BYTES < _CHUNK:
                operation.report(f"uploading {source.path.name}: {sent * 100 // source.size} %")
    if digest is not None and digest.hexdigest() != source.digest:
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
