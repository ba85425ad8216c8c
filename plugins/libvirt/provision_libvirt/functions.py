# ruff: noqa: RUF012 - pydantic copies mutable defaults
"""Data functions: what programs may ask of the hypervisor."""

from typing import Annotated, Any

from pydantic import Field

from provision.errors import UserError
from provision.spi import Function, FunctionRequest, Properties
from provision_libvirt.resources.storage_model import Format
from provision_libvirt.resources.volume_finding import images
from provision_libvirt.resources.xml_tools import attribute, from_text
from provision_libvirt.session import explained

_SHOWN = 10


class DescribeArguments(Properties):
    """Arguments of `host:describe`."""


class DescribeResult(Properties):
    """What a hypervisor is and has."""

    name: Annotated[str, Field(description="Host name.")]
    architecture: Annotated[str, Field(description="Of its processors, such as x86_64.")]
    cpus: Annotated[int, Field(description="Number of logical processors.")]
    memory_mib: Annotated[int, Field(description="Memory in MiB.")]
    libvirt_version: Annotated[str, Field(description="Such as 9.0.0.")]
    qemu_version: Annotated[str, Field(description="Such as 7.2.0.")]
    accelerators: Annotated[
        list[str], Field(description="How it can run machines of its own architecture, as it says itself: kvm, qemu.")
    ] = []
    machine_types: Annotated[list[str], Field(description="For `machine` of a domain, such as q35, sorted.")] = []


class Describe(Function[DescribeArguments, DescribeResult]):
    """Describes the hypervisor: its processors, memory, versions and machine types."""

    token = "host:describe"
    Arguments = DescribeArguments
    Result = DescribeResult

    def call(self, request: FunctionRequest[DescribeArguments]) -> DescribeResult:
        """Ask it."""
        from provision_libvirt.capabilities import version  # it brings much that nothing else here needs

        connection = request.operation.session.connection()
        with explained("asking the hypervisor what it has"):
            architecture, memory_mib, cpus = connection.getInfo()[:3]
            accelerators, machines = _guests(connection.getCapabilities(), architecture)
            return DescribeResult(
                name=connection.getHostname(),
                architecture=architecture,
                cpus=cpus,
                memory_mib=memory_mib,
                libvirt_version=version(connection.getLibVersion()),
                qemu_version=version(connection.getVersion()),
                accelerators=accelerators,
                machine_types=machines,
            )


class FindImageArguments(Properties):
    """Arguments of `storage:findImage`."""

    name: Annotated[str, Field(description="Pattern of the volume's name: `*` and `?` stand for any characters.")]
    pool: Annotated[str | None, Field(description="Name of the pool; none: in all that are running.")] = None


class FindImageResult(Properties):
    """A volume that others can be backed by."""

    pool: Annotated[str, Field(description="Name of its pool.")]
    name: Annotated[str, Field(description="Name in the pool.")]
    path: Annotated[str, Field(description="Path on the hypervisor, for `source.path` of a volume.")]
    format: Annotated[Format, Field(description="For `source.format` of a volume.")]
    capacity_bytes: Annotated[int, Field(description="Size that a guest sees.")]
    names: Annotated[list[str], Field(description="All that fit, as POOL/VOLUME, sorted.")] = []


class FindImage(Function[FindImageArguments, FindImageResult]):
    """Finds a disk image on the hypervisor; of several, the last by name, as of images that carry a date."""

    token = "storage:findImage"
    Arguments = FindImageArguments
    Result = FindImageResult

    def call(self, request: FunctionRequest[FindImageArguments]) -> FindImageResult:
        """Look through the pools.

        Raises:
            UserError: none fits.
        """
        wanted, connection = request.arguments, request.operation.session.connection()
        found = sorted(images(connection, wanted.name, wanted.pool), key=lambda image: (image.name, image.pool))
        if not found:
            there = sorted(f"{image.pool}/{image.name}" for image in images(connection, "*", wanted.pool))
            more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
            place = f"the pool '{wanted.pool}'" if wanted.pool else "the running pools"
            raise UserError(
                f"no image in {place} has a name like '{wanted.name}'",
                f"there are: {', '.join(there[:_SHOWN])}{more}" if there else "bring an image there first",
            )
        best = found[-1]
        with explained(f"reading the volume '{best.pool}/{best.name}'"):
            return FindImageResult(
                pool=best.pool,
                name=best.name,
                path=best.volume.path(),
                format=best.format,
                capacity_bytes=int(best.volume.info()[1]),
                names=sorted(f"{image.pool}/{image.name}" for image in found),
            )


def _guests(text: str, architecture: str) -> tuple[list[str], list[str]]:
    """Accelerators and machine types for guests of that architecture, from the description of a host."""
    accelerators: set[str] = set()
    machines: set[str] = set()
    for guest in from_text(text).iterfind("guest"):
        if attribute(guest, "arch", "name") != architecture or guest.findtext("os_type") != "hvm":
            continue
        accelerators |= {found.get("type", "") for found in guest.iterfind("arch/domain")}
        machines |= {found.text or "" for found in guest.iterfind("arch//machine")}
    return sorted(accelerators - {""}), sorted(machines - {""})


FUNCTIONS: tuple[type[Function[Any, Any]], ...] = (Describe, FindImage)
