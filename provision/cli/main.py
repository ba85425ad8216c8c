"""Entry point of the `provision` command. Commands are imported only when they run, so that help is quick."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from typing import NoReturn

import click

COMMANDS = {
    "validate": "Check a stack file; nothing is contacted or changed.",
    "preview": "Show what `up` would change.",
    "up": "Make the platform as the stack file says.",
    "down": "Remove everything that the stack made.",
    "refresh": "Read the live platform back into the state.",
    "drift": "Show what was changed outside of the stack; nothing is changed.",
    "verify": "Show with real packets that the isolation holds.",
    "doctor": "Say what is found, what is missing and how to get it.",
    "setup": "Install the engine and plugins for this user.",
    "status": "Show the machines as they are now.",
    "console": "Join the console of a machine.",
    "logs": "Print what a machine said on its console.",
    "exec": "Run a command in a machine.",
    "power": "Switch a machine on or off.",
    "snapshot": "Keep a machine as it is, and bring it back.",
    "state": "Look at what holds a stack's state, and free it.",
    "graph": "Draw the stack: machines, networks, and who may reach whom.",
    "schema": "Print the JSON Schema of stack files, for editors.",
    "ci": "Make a pipeline, and let it comment on changes and drift.",
    "lab": "Start, stop or look at a private hypervisor.",
    "plugin": "Make, list, show and check provider plugins.",
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


_EPILOG = """Exit codes: 0 fine, 1 failure, 2 wrong usage or, with --detailed-exitcode, changes, 3 a policy is
refused or falls short, 130 interrupted; `exec`: that of its command, 255 when it did not run.

Shell completion: eval "$(_PROVISION_COMPLETE=bash_source provision)", and so for zsh and fish."""


@click.group(cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="provision")
def cli() -> None:
    """Virtual machines and their isolation from one declarative file."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and turn every expected failure into a message and an exit code."""
    from provision.errors import ProvisionError

    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = cli.main(words, prog_name="provision", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt) as error:
        code = _failed(words, 130, "interrupted", error)
    except click.ClickException as error:
        code = _failed(words, error.exit_code, error.format_message(), error)
    except ProvisionError as error:
        code = _failed(words, error.exit_code, error.summary, error)
    except BrokenPipeError:
        # Whoever reads our output has gone; Python must not complain about it when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _failed(words: list[str], code: int, summary: str, error: BaseException) -> int:
    from provision.cli.messages import show_error, show_error_as_json
    from provision.errors import ProvisionError

    known = error if isinstance(error, ProvisionError) else None
    if _wants_json(words):
        show_error_as_json(summary, known.fix if known else "", code, known)
    elif known:
        show_error(known)
    elif isinstance(error, click.UsageError):
        error.show()
    else:
        click.echo(("\n" if code == 130 else "") + summary, err=True)
    return code


def _wants_json(words: list[str]) -> bool:
    """Whether the output is for a program; looked up here since a wrong command line never reaches its command."""
    return "--format=json" in words or ("--format", "json") in pairwise(words)
