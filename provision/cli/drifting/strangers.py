"""A look for machines of others on the networks of a stack, at every place where it is."""

from collections.abc import Iterator

from provision.errors import ProvisionError
from provision.spi import SeesStrangers, Stranger
from provision.verify import DeployedStack
from provision.verify.places import Places


def strangers(deployed: DeployedStack, places: Places) -> Iterator[Stranger | ProvisionError]:
    """Machines that are none of the stack's, or why that could not be seen.

    A network that was there before the stack, and that it only took over, may have others on it.

    Args:
        deployed: the stack.
        places: those of its locations that are reached.
    """
    for location, (provider, session) in places.items():
        part = deployed.part(location) if location in deployed.locations else deployed
        made = [native for native in part.shared if native.stack_id and not native.outputs.get("adopted")]
        if not isinstance(provider, SeesStrangers) or not made:
            continue
        try:
            yield from provider.strangers(session, made, list(part.machines.values()))
        except ProvisionError as error:
            yield error
