"""One machine as EC2 describes it now, and as the state records it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from provision.errors import PlatformError
from provision.spi import DeployedMachine, Evidence, NativeState, Shown
from provision_aws.kinds import INSTANCE, MOST_IN_A_FILTER, RULES_OF_GROUP, VOLUME
from provision_aws.reading import Live
from provision_aws.session import Session

MACHINE = "ec2:Instance"
UNSEEN = "Amazon shows nobody the hosts of its machines"
_BELIEVED_SECONDS = 30.0
"""How long the rules of all groups, asked for at once, are believed while machine after machine is looked at."""


@dataclass(frozen=True)
class Look:
    """One machine as it is now.

    Attributes:
        session: to ask further.
        machine: as the state has it.
        native: its instance in the state.
        live: as EC2 describes it.
        shared: native resources of the stack that belong to no machine.
    """

    session: Session
    machine: DeployedMachine
    native: NativeState
    live: Live
    shared: tuple[NativeState, ...] = ()

    @classmethod
    def at(cls, session: Session, machine: DeployedMachine, shared: tuple[NativeState, ...] = ()) -> "Look":
        """Look at a machine.

        Raises:
            PlatformError: it is not there, or EC2 does not answer.
        """
        native = machine.native(MACHINE)
        live = None if native is None else session.reader.look(INSTANCE, native.id, _stack_of(native))
        if native is None or live is None:
            raise PlatformError(f"the machine '{machine.name}' is not there", "run `provision up`")
        return cls(session, machine, native, live, shared)

    @property
    def recorded(self) -> Mapping[str, Any]:
        """Its inputs as the state has them."""
        return self.native.inputs

    def part(self, name: str) -> Mapping[str, Any]:
        """A structure of its description; empty when EC2 does not tell it."""
        return self.live.get(name) or {}

    @cached_property
    def volumes(self) -> Sequence[tuple[str, Live | None]]:
        """Its disks in order: device and volume."""
        found = []
        for mapping in self.live.get("BlockDeviceMappings") or ():
            if mapping.get("Ebs"):
                volume = self.session.reader.look(VOLUME, str(mapping["Ebs"]["VolumeId"]), _stack_of(self.native))
                found.append((str(mapping["DeviceName"]), volume))
        return found

    @cached_property
    def cards(self) -> Sequence[Live]:
        """Its network interfaces in order."""
        return sorted(self.live.get("NetworkInterfaces") or (), key=lambda nic: int(nic["Attachment"]["DeviceIndex"]))

    @cached_property
    def natives(self) -> Mapping[str, NativeState]:
        """Everything of it and of the stack's shared resources, by id."""
        return {one.id: one for one in (*self.machine.natives, *self.shared)}

    def rules(self, groups: Sequence[str]) -> Mapping[str, list[Live]]:
        """The live rules of groups; those of all groups of the stack are asked for at once."""
        wanted = {*groups, *(one.id for one in self.natives.values() if one.token == "ec2:SecurityGroup")}
        key = ("rules of groups", frozenset(wanted))
        known: tuple[float, dict[str, list[Live]]] = self.session.cache.get(key, (0.0, {}))
        when, found = known
        if not when or time.monotonic() - when > _BELIEVED_SECONDS:
            found = dict(self._asked(sorted(wanted)))
            self.session.cache[key] = (time.monotonic(), found)
        return found

    def _asked(self, groups: list[str]) -> Iterator[tuple[str, list[Live]]]:
        made: dict[str, list[Live]] = {group: [] for group in groups}
        for start in range(0, len(groups), MOST_IN_A_FILTER):
            part = groups[start : start + MOST_IN_A_FILTER]
            for rule in self.session.reader.all(RULES_OF_GROUP, [{"Name": "group-id", "Values": part}]):
                made[str(rule["GroupId"])].append(rule)
        yield from made.items()


def _stack_of(native: NativeState) -> str:
    return str(native.inputs.get("stack_id") or "")


def accepted(holds: bool | None, text: str) -> Shown:
    """Evidence of what EC2's description says."""
    return Shown(Evidence.ACCEPTED, holds, text)


def unseen() -> Shown:
    """That nobody sees what the host applies."""
    return Shown(Evidence.EFFECTIVE, None, UNSEEN)


def told(value: object) -> str:
    """A value of a description in words."""
    return "nothing that EC2 tells" if value in (None, "") else str(value)


def instead(holds: bool, wanted: object) -> str:
    """What was asked for, when something else was found."""
    return "" if holds else f" instead of {wanted}"


def number(count: int, what: str) -> str:
    """`1 disk`, `2 disks`."""
    return f"{count} {what}{'' if count == 1 else 's'}"
