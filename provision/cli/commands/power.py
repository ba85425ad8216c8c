"""`provision power`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli.daytwo import of_machine

if TYPE_CHECKING:
    from provision.cli.deployed import Deployed
    from provision.spi import DeployedMachine

_NOW = {"on": "runs", "off": "is off", "reboot": "was started anew"}


@click.command()
@of_machine
@click.argument("action", type=click.Choice(tuple(_NOW)))
@click.option("--force", is_flag=True, help="Cut the power at once; what the guest has not written is lost.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds that the guest has to shut down.",
)
def command(machine: str, action: str, stack: str | None, directory: Path, force: bool, timeout: float) -> None:
    """Switch MACHINE, such as web-0, on or off, or off and on again.

    The guest is asked to shut down. When it does not in time it is left as it is, and the command fails.

    The `power:` of the stack file stays the truth: `provision refresh` and `provision up` switch a machine back to it.
    """
    from rich.console import Console

    from provision.cli.daytwo import able
    from provision.cli.deployed import open_deployed
    from provision.spi import HasPower, PowerAction, PowerRequest

    with open_deployed(directory, stack, machine=machine) as deployed:
        target = deployed.machine(machine)
        plugin, session = deployed.of(machine)
        provider = able(plugin, HasPower, "cannot switch machines")  # type: ignore[type-abstract]
        with Console(stderr=True).status(f"switching {machine} {action}") as line:
            request = PowerRequest(PowerAction(action), force, timeout, lambda text: line.update(f"{machine}: {text}"))
            done = provider.switch_power(session, target, request)
        click.echo(f"{machine} {_NOW[action]}{'' if done else ' already'}.")
        _compare(deployed, target)


def _compare(deployed: "Deployed", machine: "DeployedMachine") -> None:
    """Say when the machine is now otherwise than the stack file has it."""
    from provision.cli.asking import say
    from provision.spi import HasStatus

    provider, session = deployed.of(machine.name)
    if not isinstance(provider, HasStatus):
        return
    status = provider.machine_status(session, [machine])[machine.name]
    if status.state is not status.wanted:
        say(
            f"The stack file has `power: {status.wanted}`, and that stays the truth: after `provision refresh`, "
            f"`provision up` switches it back. To keep it, write `power: {status.state}` there.",
            bold=False,
        )
