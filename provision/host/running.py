"""The Automation API's stack, without the questions that it asks the engine after each run."""

from datetime import datetime

import pulumi.automation as auto
from pulumi.automation._stack import StackInitMode

__all__ = ["BareStack", "known_stack", "new_stack", "selected_stack"]


class BareStack(auto.Stack):
    """A stack whose runs end with the engine's.

    The Automation API starts the engine three times more after an update, for the outputs twice and for the history:
    half a second. Outputs come with the events of the run itself, and nobody here reads the history.
    """

    def __init__(self, name: str, workspace: auto.Workspace, mode: StackInitMode | None = None) -> None:
        """Select or make the stack as `mode` says; None asks the engine for nothing."""
        if mode is None:
            self.name, self.workspace = name, workspace
        else:
            super().__init__(name, workspace, mode)

    def outputs(self) -> auto.OutputMap:
        """None: `provision.host.events.stack_outputs` has them."""
        return {}

    def info(self, show_secrets: bool | None = None) -> auto.UpdateSummary:
        """Says nothing."""
        return auto.UpdateSummary("", datetime.min, "", {}, {}, "")


def known_stack(name: str, workspace: auto.Workspace) -> BareStack:
    """A stack that is known to exist: the engine is not started to ask, and what plain `pulumi` has selected stays."""
    return BareStack(name, workspace)


def selected_stack(name: str, workspace: auto.Workspace) -> BareStack:
    """An existing stack, selected for plain `pulumi` commands too.

    Raises:
        pulumi.automation.StackNotFoundError: there is none.
        pulumi.automation.CommandError: the backend cannot be used.
    """
    return BareStack(name, workspace, StackInitMode.SELECT)


def new_stack(name: str, workspace: auto.Workspace) -> BareStack:
    """A stack that is made unless it exists.

    Raises:
        pulumi.automation.CommandError: it cannot be made.
    """
    return BareStack(name, workspace, StackInitMode.CREATE_OR_SELECT)
