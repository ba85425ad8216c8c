"""One machine as it is now: in libvirt's description, in the state, and on its host."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import libvirt

from provision.errors import PlatformError
from provision.spi import DeployedMachine, Evidence, NativeState, Shown
from provision_libvirt.effective import Effective, effective
from provision_libvirt.hostview import HostView, host_view
from provision_libvirt.resources import xml_domain
from provision_libvirt.resources.finding import DOMAIN
from provision_libvirt.session import Session, explained

T = TypeVar("T")

_DOMAIN = "domain:Domain"
UNSEEN = "the hypervisor's host cannot be looked at from here"
NOT_RUNNING = "it does not run"


@dataclass(frozen=True)
class Look:
    """One machine as it is now.

    Attributes:
        connection: to libvirt.
        machine: as the state has it.
        domain: in libvirt.
        live: its inputs as libvirt's description of the running machine says them.
        recorded: its inputs as the state has them.
        view: the hypervisor's host, when it can be looked at.
        shared: native resources of the stack that belong to no machine.
    """

    connection: Any
    machine: DeployedMachine
    domain: Any
    live: Mapping[str, Any]
    recorded: Mapping[str, Any]
    view: HostView | None
    shared: tuple[NativeState, ...] = ()
    _known: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def at(cls, session: Session, machine: DeployedMachine, shared: tuple[NativeState, ...]) -> "Look":
        """Look at a machine.

        Raises:
            PlatformError: it is not there, or cannot be read.
        """
        native = machine.native(_DOMAIN)
        connection = session.connection()
        domain = None if native is None else DOMAIN.marked(connection, native.id)
        if native is None or domain is None:
            raise PlatformError(f"the machine '{machine.name}' is not there", "run `provision up`")
        with explained(f"reading the machine '{machine.name}'"):
            live = xml_domain.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE))
        return cls(connection, machine, domain, live, native.inputs, host_view(session.config.uri), shared)

    @cached_property
    def now(self) -> Effective | None:
        """What its host applies to it."""
        try:
            return None if self.view is None else effective(self.view, self.domain.name())
        except (OSError, KeyError, ValueError):  # it ended meanwhile, or may not be looked at
            return None

    @cached_property
    def command(self) -> Sequence[str]:
        """The arguments of its emulator; empty when they cannot be seen."""
        process = None if self.view is None else self.view.emulator(self.domain.name())
        try:
            return () if process is None else (process / "cmdline").read_text().split("\0")
        except OSError:
            return ()

    def once(self, what: str, find: Callable[[], T]) -> T:
        """What `find` finds, looked for only the first time."""
        if what not in self._known:
            self._known[what] = find()
        found: T = self._known[what]
        return found

    @property
    def why_blind(self) -> str:
        """Why nothing is known of what the host applies."""
        if self.view is None:
            return UNSEEN
        with explained(f"reading the machine '{self.machine.name}'"):
            running = bool(self.domain.isActive())
        return "its process may not be looked at from here (that needs root)" if running else NOT_RUNNING

    def applied(self, test: Callable[[Effective], tuple[bool, str]]) -> Shown:
        """Evidence of what the host applies: `test` gives whether it is right, and what was seen."""
        if self.now is None:
            return Shown(Evidence.EFFECTIVE, None, self.why_blind)
        return Shown(Evidence.EFFECTIVE, *test(self.now))


def or_none(value: int | None, unit: str) -> str:
    """A limit in words."""
    return "none" if value is None else f"{value}{unit}"
