"""Stacks of Pulumi's Automation API of which the engine is asked nothing more than a test wants to know.

The API asks the engine for a stack's outputs, twice, and for its history after every `up`, whether anybody looks at
them or not: three starts of the engine for one run, on a stack with secrets each with the costly key of a passphrase.
"""

import os
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pulumi import automation


def bare_workspace(
    work: Path, home: Path, engine: automation.PulumiCommand, state: Path, **environment: str
) -> automation.LocalWorkspace:
    """A project without a program of its own, whose state lies in a folder."""
    return automation.LocalWorkspace(
        work_dir=str(work),
        pulumi_home=str(home),
        program=lambda: None,
        pulumi_command=engine,
        project_settings=automation.ProjectSettings(
            name="project", runtime="python", main=os.getcwd(), backend=automation.ProjectBackend(f"file://{state}")
        ),
        env_vars={
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_BACKEND_URL": f"file://{state}",
            **environment,
        },
    )


class QuickStack(automation.Stack):
    """A new stack; what its runs give is asked for when it is looked at, which must be before the next run."""

    def __init__(self, name: str, workspace: automation.Workspace) -> None:
        """Make the stack."""
        workspace.create_stack(name)
        self.name, self.workspace = name, workspace

    def outputs(self) -> Any:
        """The outputs of the last run."""
        return _Later(super().outputs)

    def info(self, show_secrets: bool = True) -> Any:
        """What the last run did."""
        return _Later(partial(super().info, show_secrets))


class _Later:
    """The answer to a question that is put when the answer is looked at."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask

    @cached_property
    def _answer(self) -> Any:
        return self._ask()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answer, name)

    def __getitem__(self, name: str) -> Any:
        return self._answer[name]
