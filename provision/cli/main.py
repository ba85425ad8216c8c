"""Entry point of the `provision` command. Commands are imported only when they run, so that help is quick."""

import sys
from importlib import import_module

import click

COMMANDS = {
    "validate": "Check a stack file; nothing is contacted or changed.",
    "preview": "Show what `up` would change.",
    "up": "Make the platform as the stack file says.",
    "down": "Remove everything that the stack made.",
    "refresh": "Read the live platform back into the state.",
    "verify": "Show with real packets that the isolation holds.",
    "doctor": "Say what is found, what is missing and how to get it.",
    "setup": "Install the engine and plugins for this user.",
    "console": "Join the console of a machine.",
    "schema": "Print the JSON Schema of stack files, for editors.",
    "lab": "Start, stop or look at a private hypervisor.",
    "plugin": "List and show provider plugins.",
}


class LazyGroup(click.Group):
    """A group that knows the names and summaries of its commands without importing them."""

    def list_commands(self, context: click.Context) -> list[str]:
        """All commands, in the order in which a person meets them."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import a command when it is needed."""
        if name not in COMMANDS:
            return None
        command = import_module(f"provision.cli.commands.{name}").command
        return command if isinstance(command, click.Command) else None

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the summaries alone."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="provision")
def cli() -> None:
    """Virtual machines and their isolation from one declarative file.

    Exit codes: 0 fine, 1 failure, 3 a policy is refused or falls short; 2 wrong usage or, with
    --detailed-exitcode, changes pending.
    """


def main() -> None:
    """Run the command line and turn every expected failure into a message and an exit code."""
    from provision.errors import ProvisionError

    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("aborted", err=True)
        code = 130
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except ProvisionError as error:
        from provision.cli.messages import show_error

        show_error(error)
        code = error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
