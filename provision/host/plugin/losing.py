"""Refusing what would destroy data that nobody has given up."""

from collections.abc import Mapping, Sequence
from typing import Any

from provision.errors import UserError
from provision.host.permission import DATA, Permission, Subject, once, subject
from provision.host.plugin.change_classes import told
from provision.host.plugin.diffing import Difference
from provision.host.plugin.shapes import record_of
from provision.host.plugin.wire import public, read_stored
from provision.spi.properties import Change
from provision.spi.resource import CanLoseData, DataLoss, ResourceType


def loss_of(implementation: ResourceType[Any, Any, Any], inputs: Mapping[str, Any]) -> DataLoss:
    """What loses the data of an object with these recorded wire inputs."""
    if not isinstance(implementation, CanLoseData):
        return DataLoss.REPLACED
    return implementation.loses_data(read_stored(type(implementation).Inputs, public(inputs)))


def destroyed_by_default(kind: type[ResourceType[Any, Any, Any]]) -> bool:
    """Whether objects of a type that does not say what loses their data hold some: a change can destroy it."""
    return not issubclass(kind, CanLoseData) and any(
        field.change is Change.DESTROYS_DATA for field in record_of(kind.Inputs).fields.values()
    )


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
    raise UserError(
        f"this would replace {the}{about.words} and destroy its data ({_reasons(losing)})",
        f"undo the change, or allow it: {_allowing(about, permission)}",
    )


class Forced:
    """Tells objects that are replaced because somebody asked for it (`--replace`, a tainted resource) from others.

    The engine then checks the inputs as if there were no object, asks for no difference, and has the old one deleted.
    A preview looks like that of a new object; only the update can tell.
    """

    def __init__(self) -> None:
        """Nothing was checked yet."""
        self._known: set[str] = set()
        self._new: set[str] = set()

    def checked(self, urn: str, olds: Mapping[str, Any]) -> None:
        """Inputs were checked, with or without those of an object that is there."""
        if olds:
            self._known.add(urn)
        elif urn not in self._known:
            self._new.add(urn)

    def made(self, urn: str) -> None:
        """The object is being made, so what is deleted later is this one."""
        self._new.discard(urn)

    def refuse_loss(
        self, implementation: ResourceType[Any, Any, Any], urn: str, inputs: Mapping[str, Any], permission: Permission
    ) -> None:
        """Let an object be deleted unless it holds data and goes only to be made again.

        Raises:
            UserError: data would be lost.
        """
        if urn not in self._new:
            return
        if not (marks(implementation, inputs) or destroyed_by_default(type(implementation))):
            return
        about = subject(urn.rpartition("::")[2])
        if permission.covers(*about.names):
            return
        the = "the " if about.machine else ""
        raise UserError(
            f"this would replace {the}{about.words} and destroy its data (its replacement was asked for)",
            "leave out --replace or --target-replace (pulumi state untaint, if it was tainted), "
            f"or allow it: {_allowing(about, permission)}",
        )


def _allowing(about: Subject, permission: Permission) -> str:
    """Of a program's own resources the configuration of the stack says nothing: a plugin is only told its own."""
    return permission.commands(about.names[:1]) if about.machine else once(about.names[0])


def _reasons(losing: Sequence[Difference]) -> str:
    named = told([Difference(i.path, i.kind, Change.DESTROYS_DATA, i.uncertain) for i in losing])
    return named.partition(": ")[2]
