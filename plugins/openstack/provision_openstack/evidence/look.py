"""One machine as OpenStack describes it now, and as the state records it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from provision.errors import PlatformError
from provision.spi import DeployedMachine, Evidence, NativeState, Shown
from provision_openstack.errors import ApiError, explained
from provision_openstack.kinds import FLAVOR, PORT, SECURITY_GROUP_RULE, SERVER, VOLUME
from provision_openstack.reading import Live
from provision_openstack.session import Session

MACHINE = "compute:Server"
UNSEEN = "hosts are for the cloud's operators to see"
_WITH_FLAVORS = "2.47"
"""From this microversion on a server tells its flavor as it was when it was chosen, with its extra specs."""

_BELIEVED_SECONDS = 30.0
"""How long the rules of all groups, asked for at once, are believed while machine after machine is looked at."""

_MOST_IDS = 50


@dataclass(frozen=True)
class Look:
    """One machine as it is now.

    Attributes:
        session: to ask further.
        machine: as the state has it.
        native: its server in the state.
        live: as Nova describes it.
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
            PlatformError: it is not there, or Nova does not answer.
        """
        native = machine.native(MACHINE)
        live = None if native is None else session.reader.look(SERVER, native.id, stack_of(native))
        if native is None or live is None:
            raise PlatformError(f"the machine '{machine.name}' is not there", "run `provision up`")
        return cls(session, machine, native, live, shared)

    @cached_property
    def natives(self) -> Mapping[str, NativeState]:
        """Everything of it and of the stack's shared resources, by id."""
        return {one.id: one for one in (*self.machine.natives, *self.shared)}

    @cached_property
    def ports(self) -> Sequence[tuple[str, Live | None]]:
        """Its ports in the order of the file, as the state has them: id, and how Neutron shows it."""
        wanted = [str(nic["port_id"]) for nic in self.native.inputs.get("nics") or ()]
        stack = stack_of(self.native)
        return [(one, self.session.reader.look(PORT, one, stack)) for one in wanted]

    @cached_property
    def further(self) -> Sequence[str]:
        """Ports of it that the state does not know."""
        known = {identity for identity, _ in self.ports}
        asked = self.session.reader.all(PORT, {"device_id": self.native.id})
        return sorted(str(port["id"]) for port in asked if str(port["id"]) not in known)

    @cached_property
    def volumes(self) -> Sequence[tuple[str, Live | None]]:
        """Its volumes: id, and how Cinder shows it."""
        attached = self.live.get("os-extended-volumes:volumes_attached") or ()
        stack = stack_of(self.native)
        return [(str(one["id"]), self.session.reader.look(VOLUME, str(one["id"]), stack)) for one in attached]

    @property
    def is_on_volume(self) -> bool:
        """Whether it boots from a volume: Nova then tells no image."""
        return not self.live.get("image")

    @cached_property
    def flavor(self) -> Mapping[str, Any] | None:
        """What its flavor was when it got it; None when Nova does not tell."""
        compute = self.session.compute
        if compute.offers(_WITH_FLAVORS):
            with explained(f"asking for the flavor of '{self.machine.name}'"):
                try:
                    answer = compute.get(f"{SERVER.path}/{self.native.id}", version=_WITH_FLAVORS)
                except ApiError as error:
                    if not error.absent:
                        raise
                    return None
            found: Mapping[str, Any] = answer["server"].get("flavor") or {}
            return found
        identity = str((self.live.get("flavor") or {}).get("id") or "")
        return self.session.reader.look(FLAVOR, identity)

    @property
    def specs(self) -> Mapping[str, str] | None:
        """Extra specs of its flavor; None when Nova does not tell them."""
        found = None if self.flavor is None else self.flavor.get("extra_specs")
        return None if found is None else {str(key): str(value) for key, value in found.items()}

    def rules(self, groups: Sequence[str]) -> Mapping[str, list[Live]]:
        """The live rules of groups; those of all groups of the stack are asked for at once."""
        wanted = sorted({*groups, *(one.id for one in self.natives.values() if one.token == "network:SecurityGroup")})
        key = ("rules of groups", tuple(wanted))
        when, found = self.session.cache.get(key, (0.0, {}))
        if not when or time.monotonic() - when > _BELIEVED_SECONDS:
            found = {group: [] for group in wanted}
            for start in range(0, len(wanted), _MOST_IDS):
                part = {"security_group_id": wanted[start : start + _MOST_IDS]}
                for rule in self.session.reader.all(SECURITY_GROUP_RULE, part):
                    found.setdefault(str(rule["security_group_id"]), []).append(rule)
            self.session.cache[key] = (time.monotonic(), found)
        listed: Mapping[str, list[Live]] = found
        return listed


def stack_of(native: NativeState) -> str:
    """Identity of the stack that a native resource is of."""
    return str(native.inputs.get("stack_id") or "")


def accepted(holds: bool | None, text: str) -> Shown:
    """Evidence of what OpenStack's API says."""
    return Shown(Evidence.ACCEPTED, holds, text)


def unseen() -> Shown:
    """That only operators see what the host applies."""
    return Shown(Evidence.EFFECTIVE, None, UNSEEN)


def number(count: int, what: str) -> str:
    """`1 disk`, `2 disks`."""
    return f"{count} {what}{'' if count == 1 else 's'}"
