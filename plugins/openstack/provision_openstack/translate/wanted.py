"""What the flavor of a machine must have."""

from collections.abc import Mapping

from provision.models import Machine, Stack
from provision.spi import Capabilities
from provision_openstack.sizes import FlavorRequirements
from provision_openstack.translate.images import found, named, source_of


def wanted_flavor(
    stack: Stack, capabilities: Capabilities, machine: Machine, extra_specs: Mapping[str, str], *, sealed: bool = False
) -> FlavorRequirements:
    """What the flavor of a machine must have; one that is named must have the extra specs too.

    Args:
        stack: what the file says.
        capabilities: what the cloud has.
        machine: of the stack.
        extra_specs: that the flavor must have.
        sealed: whether a policy wants all disks of the machine encrypted.
    """
    if (written := machine.size.get("openstack")) is not None:
        return FlavorRequirements(name=written, extra_specs=dict(extra_specs))
    return FlavorRequirements(
        cpus=machine.cpus,
        memory_mib=machine.memory.mib,
        disk_gib=0 if on_volume(machine, sealed=sealed) else least_disk(stack, capabilities, machine),
        extra_specs=dict(extra_specs),
    )


def on_volume(machine: Machine, *, sealed: bool) -> bool:
    """Whether a machine boots from a volume, and not from its flavor's own disk."""
    root = machine.root
    return sealed or (root is not None and (root.size is not None or root.encrypted))


def least_disk(stack: Stack, capabilities: Capabilities, machine: Machine) -> int:
    """GiB that the image needs."""
    called = named(source_of(stack, machine.image))
    image = found(capabilities, called) if called is not None else None
    if image is None:
        return 1
    return max(1, int(image["min_disk_gib"]), -(-int(image["size"]) // (1 << 30)))
