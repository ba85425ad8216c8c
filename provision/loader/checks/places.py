"""Where things run: platform and locations."""

from provision.diagnostics import Path
from provision.loader.checks.context import Context
from provision.models.stack import DEFAULT_LOCATION

_PLATFORM = "write 'platform: NAME', or run: pulumi config set provision:platform NAME"


def check_places(context: Context) -> None:
    """Report unknown locations, networks and machines apart from each other, and a missing platform."""
    stack = context.stack
    placed: list[tuple[Path, str | None, str]] = [
        (("machines", name), machine.location, f"the machine '{name}'") for name, machine in stack.machines.items()
    ]
    placed += [
        (("networks", name), network.location, f"the network '{name}'") for name, network in stack.networks.items()
    ]
    homeless: list[tuple[Path, str]] = []
    for path, location, noun in placed:
        if location is None and context.known(*path, "location"):
            homeless.append((path, noun))
        _location(context, path, location)
    for name, pool in stack.sharing.pools.items():
        _location(context, ("sharing", "pools", name), pool.location)
    if stack.platform is None and homeless and context.known("platform") and not _somewhere(context):
        if not stack.locations:
            if context.written("locations"):
                context.sink.error((), "no platform is chosen", _PLATFORM)
        else:
            for path, noun in homeless:
                context.sink.error(
                    path,
                    f"{noun} says no location, and there is no platform for what says none",
                    f"add 'location:' ({', '.join(stack.locations)}); or {_PLATFORM}",
                    key=True,
                )
    _apart(context)


def _somewhere(context: Context) -> bool:
    """Whether what says no location is at a declared one."""
    home = context.stack.home(None)
    return home in context.stack.locations or (home != DEFAULT_LOCATION and context.written("locations", home))


def _location(context: Context, path: Path, location: str | None) -> None:
    known = context.stack.locations
    if location is None or location in known or not context.known(*path, "location"):
        return
    if context.written("locations", location):
        fix = context.suggest(location, known) or "declare it under 'locations:'"
        context.sink.error((*path, "location"), f"there is no location '{location}'", fix)


def _apart(context: Context) -> None:
    for name, machine in context.stack.machines.items():
        if not context.known("machines", name, "location"):
            continue
        for index, nic in enumerate(machine.nics):
            network = context.network_of(name, index)
            if network is None:
                continue
            there, here = context.stack.home(network.location), context.stack.home(machine.location)
            if there != here:
                context.sink.error(
                    ("machines", name, "nics", index, "network"),
                    f"the network '{nic.network}' is in '{there}', but the machine '{name}' in '{here}'",
                    "give both the same location, or make a network for each",
                )
