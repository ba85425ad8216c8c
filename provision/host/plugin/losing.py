"""Refusing what would destroy data that nobody has given up."""

from collections.abc import Mapping, Sequence
from typing import Any

from provision.errors import UserError
from provision.host.permission import DATA, Permission, once, subject
from provision.host.plugin.change_classes import told
from provision.host.plugin.diffing import Difference
from provision.host.plugin.wire import public, read_stored
from provision.spi.properties import Change
from provision.spi.resource import CanLoseData, DataLoss, ResourceType


def loss_of(implementation: ResourceType[Any, Any, Any], inputs: Mapping[str, Any]) -> DataLoss:
    """What loses the data of an object with these recorded wire inputs."""
    if not isinstance(implementation, CanLoseData):
        return DataLoss.REPLACED
    return implementation.loses_data(read_stored(type(implementation).Inputs, public(inputs)))


def marks(implementation: ResourceType[Any, Any, Any], inputs: Mapping[str, Any], identity: str = "") -> dict[str, Any]:
    """What is recorded beside the outputs of an object with these wire inputs, on the platform of that identity."""
    if not isinstance(implementation, CanLoseData) or not public(inputs):
        return {}
    loss = loss_of(implementation, inputs)
    return {} if loss is DataLoss.NEVER else {DATA: {"lost": str(loss), **({"at": identity} if identity else {})}}


def refuse_loss(
    implementation: ResourceType[Any, Any, Any],
    urn: str,
    inputs: Mapping[str, Any],
    found: Sequence[Difference],
    permission: Permission,
    *,
    wanted: bool,
) -> None:
    """Let differences pass that lose no data, or only such as may be lost.

    Args:
        implementation: of the type.
        urn: of the object.
        inputs: recorded wire inputs.
        found: how the wanted ones differ.
        permission: whose data may be destroyed.
        wanted: whether the wanted inputs are those of the object itself. Otherwise they are those that it has when
            what it was made from is made anew, and what is not known yet counts as changed.

    Raises:
        UserError: data would be lost.
    """
    replacing = [item for item in found if item.replaces and not (wanted and item.uncertain)]
    if not replacing:
        return
    loss = loss_of(implementation, inputs)
    if loss is DataLoss.NEVER:
        return
    losing = replacing if loss is DataLoss.REMOVED else [i for i in replacing if i.change is Change.DESTROYS_DATA]
    about = subject(urn.rpartition("::")[2])
    if not losing or permission.covers(*about.names):
        return
    the = "the " if about.machine else ""
    # Of a program's own resources the configuration of the stack says nothing: a plugin is only told its own.
    allowing = permission.commands(about.names[:1]) if about.machine else once(about.names[0])
    raise UserError(
        f"this would replace {the}{about.words} and destroy its data ({_reasons(losing)})",
        f"undo the change, or allow it: {allowing}",
    )


def _reasons(losing: Sequence[Difference]) -> str:
    named = told([Difference(i.path, i.kind, Change.DESTROYS_DATA, i.uncertain) for i in losing])
    return named.partition(": ")[2]
