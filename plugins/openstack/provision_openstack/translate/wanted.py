"""What the flavor of a machine must have."""

from collections.abc import Mapping

from provision.models import Machine, Stack
from provision.spi import Capabilities
from provision_openstack.sizes import FlavorRequirements
from provision_openstack.translate.images import found, named, source_of


def wanted_flavor(
    stack: Stack, capabilities: Capabilities, machine: Machine, extra_specs: Mapping[str, str]
) -> FlavorRequirements:
    """What the flavor of a machine must have; one that is named must have the extra specs too."""
    if (written := machine.size.get("openstack")) is not None:
        return FlavorRequirements(name=written, extra_specs=dict(extra_specs))
    local = machine.root is None or machine.root.size is None
    return FlavorRequirements(
        cpus=machine.cpus,
        memory_mib=machine.memory.mib,
        disk_gib=_least_disk(stack, capabilities, machine) if local else 0,
        extra_specs=dict(extra_specs),
    )


def _least_disk(stack: Stack, capabilities: Capabilities, machine: Machine) -> int:
    """GiB that the image needs; flavors without a disk are for machines that boot from volumes."""
    called = named(source_of(stack, machine.image))
    image = found(capabilities, called) if called is not None else None
    if image is None:
        return 1
    return max(1, int(image["min_disk_gib"]), -(-int(image["size"]) // (1 << 30)))
