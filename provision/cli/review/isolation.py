"""What a stack file changes in who reaches whom: what is deployed against what is written."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what reads and compares is loaded when something changes
    from provision.host.automation import Workspace
    from provision.loader import Loaded
    from provision.verify.reach.difference import Crossing


@dataclass(frozen=True)
class Isolation:
    """The difference.

    Attributes:
        crossings: what is opened and closed.
        unknown: why the difference cannot be told; empty when it can.
        first: whether nothing is deployed yet.
    """

    crossings: "tuple[Crossing, ...]" = ()
    unknown: str = ""
    first: bool = False


def isolation(workspace: "Workspace", directory: Path, downgraded: Collection[str]) -> Isolation:
    """Hold the stack file against what was last deployed.

    Args:
        workspace: the Pulumi stack.
        directory: folder of the stack file.
        downgraded: policies of the file that are not going to be enforced.

    Raises:
        ProvisionError: the file or the state cannot be read.
    """
    from provision.translate import recall, record
    from provision.verify.foreseen import foreseen
    from provision.verify.state import read_state

    loaded = load_without_secrets(workspace, directory)
    deployed = read_state(workspace.export())
    nothing = not deployed.platform
    if not nothing and not deployed.isolation:
        return Isolation(unknown="the stack was deployed by a version that did not record what it allowed")
    without = frozenset(policy.name for policy in deployed.downgraded)
    if deployed.isolation == record(loaded.stack) and without == frozenset(downgraded):
        return Isolation()
    from provision.verify.reach.difference import View, difference

    before = None if nothing else recall(deployed.isolation)
    if not nothing and before is None:
        return Isolation(unknown="what the state says of it cannot be read by this version")
    addresses = foreseen(loaded.stack, loaded.source_map, deployed.recorded)
    after = View(loaded.stack, addresses, frozenset(downgraded))
    then = None if before is None else View(before, deployed.addresses(before), without)
    return Isolation(tuple(difference(then, after)), first=nothing)


def load_without_secrets(workspace: "Workspace", directory: Path) -> "Loaded":
    """The stack file of a Pulumi stack; secrets, on which no isolation depends, stay where they are.

    Raises:
        ProvisionError: the file has errors, or cannot be read.
    """
    from provision.cli.configured import configured
    from provision.loader import load, reference_stacks

    settings = configured(directory, workspace.stack_name)
    values = settings.parameters(directory / "stack.yaml")
    stacks = reference_stacks(directory, workspace.stack_name, values=values)
    references: dict[str, Mapping[str, Any]] = {name: workspace.outputs_of(stack) for name, stack in stacks.items()}
    return load(
        directory,
        overlay=workspace.stack_name,
        values=values,
        references=references,
        platform=settings.platform,
    )
