"""One machine as it is now: in libvirt's description, in the state, and on its host."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import libvirt

from provision.errors import PlatformError
from provision.spi import DeployedMachine, Evidence, EvidenceRequest, NativeState, Shown
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
        kept: what was found for other machines of the same host, in the same look at them all.
    """

    connection: Any
    machine: DeployedMachine
    domain: Any
    live: Mapping[str, Any]
    recorded: Mapping[str, Any]
    view: HostView | None
    shared: tuple[NativeState, ...] = ()
    kept: dict[Any, Any] = field(default_factory=dict)
    _known: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def at(cls, session: Session, request: EvidenceRequest) -> "Look":
        """Look at the machine of a request.

        Raises:
            PlatformError: it is not there, or cannot be read.
        """
        machine = request.machine
        native = machine.native(_DOMAIN)
        connection = session.connection()
        domain = None if native is None else DOMAIN.marked(connection, native.id)
        if native is None or domain is None:
            raise PlatformError(f"the machine '{machine.name}' is not there", "run `provision up`")
        with explained(f"reading the machine '{machine.name}'"):
            live = xml_domain.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE))
        view = host_view(session.config.uri)
        return cls(connection, machine, domain, live, native.inputs, view, request.shared, request.kept)

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
        return _kept(self._known, what, find)

    def of_host(self, what: Hashable, find: Callable[[], T]) -> T:
        """What `find` finds, whichever machine is looked at: looked for only the first time for all of them."""
        return _kept(self.kept, what, find)

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


def _kept(known: dict[Any, Any], what: Hashable, find: Callable[[], T]) -> T:
    if what not in known:
        known[what] = find()
    found: T = known[what]
    return found


def or_none(value: int | None, unit: str) -> str:
    """A limit in words."""
    return "none" if value is None else f"{value}{unit}"
