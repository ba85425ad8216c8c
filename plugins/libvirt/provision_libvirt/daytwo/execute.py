"""Commands in guests, by the QEMU guest agent."""

import time
from collections.abc import Sequence
from typing import Any

from provision.errors import PlatformError
from provision.spi import CommandResult, DeployedMachine
from provision_libvirt.daytwo.machines import domain_of
from provision_libvirt.resources import guest
from provision_libvirt.resources.agent import INSTALL, Agent
from provision_libvirt.resources.xml_domain import CHANNEL, GUEST_AGENT
from provision_libvirt.resources.xml_tools import Element, from_text
from provision_libvirt.session import Session, explained


def execute(session: Session, machine: DeployedMachine, command: Sequence[str], timeout: float) -> CommandResult:
    """Run a command in the guest, and wait for its end.

    Raises:
        NotFound: the machine is gone.
        PlatformError: it does not run or has no agent, or the command could not be started or did not end in time.
    """
    with session.own() as connection:
        domain = domain_of(connection, machine)
        with explained(f"looking at the machine '{machine.name}'"):
            _must_have_agent(domain, machine.name)
        return Agent(domain, machine.name, time.monotonic() + timeout, timeout).run(command)


def _must_have_agent(domain: Any, name: str) -> None:
    power = guest.power(domain)
    if power != "running":
        raise PlatformError(f"the machine '{name}' is {power}", f"start it with `provision power {name} on`")
    channels = {
        target.get("name"): target for target in from_text(domain.XMLDesc(0)).iterfind("devices/channel/target")
    }
    agent: Element | None = channels.get(GUEST_AGENT)
    if agent is None and CHANNEL in channels:
        raise PlatformError(
            f"the machine '{name}' is of the built-in image `micro`, whose agent sends probes and runs no commands",
            f"use an image with qemu-guest-agent, or join its console: `provision console {name}`",
        )
    if agent is None:
        raise PlatformError(
            f"the running machine '{name}' has no channel to a guest agent",
            "it was made by an earlier version: it gets one when `provision up` changes it and starts it anew",
        )
    if agent.get("state") == "disconnected":
        raise PlatformError(f"no guest agent runs in '{name}', or not yet", INSTALL)
