"""The console of a machine: joined to a person's terminal, or what it has printed so far."""

import contextlib
import os
import select
import sys
import termios
import threading
import tty
from typing import Any

import libvirt

from provision.errors import EnvironmentProblem, PlatformError
from provision.spi import DeployedMachine, NativeState
from provision_libvirt.daytwo.machines import domain_of
from provision_libvirt.resources.domain import Domain
from provision_libvirt.resources.guest import console_text
from provision_libvirt.session import Session, explained

_LEAVE = b"\x1d"  # Ctrl-]


def console(session: Session, machine: DeployedMachine) -> None:
    """Join the terminal to the machine's serial console until the person types Ctrl-] or the machine stops.

    Raises:
        EnvironmentProblem: there is no terminal.
        NotFound: the machine is gone.
        PlatformError: it does not run.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise EnvironmentProblem(
            "the console needs a terminal", "run it in one, or read what was printed with `provision console --log`"
        )
    with session.own() as connection, explained(f"opening the console of '{machine.name}'"):
        domain = domain_of(connection, machine)
        if not domain.isActive():
            raise PlatformError(
                f"the machine '{machine.name}' is stopped",
                f"start it with `provision power {machine.name} on`; what it printed: `provision logs {machine.name}`",
            )
        stream = connection.newStream(0)
        domain.openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        sys.stdout.write(f"Console of '{machine.name}'. Ctrl-] leaves.\r\n")
        sys.stdout.flush()
        before = termios.tcgetattr(sys.stdin.fileno())
        try:
            tty.setraw(sys.stdin.fileno())
            join(stream, sys.stdin.fileno(), sys.stdout.fileno())
        finally:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)
            sys.stdout.write("\r\n")


def join(stream: Any, keyboard: int, screen: int) -> None:
    """Carry bytes between a console stream and two file descriptors until Ctrl-], end of input or of the console."""
    ended_read, ended_write = os.pipe()
    reader = threading.Thread(target=_show, args=(stream, screen, ended_write), name="console", daemon=True)
    reader.start()
    try:
        while True:
            ready, _, _ = select.select([keyboard, ended_read], [], [])
            if ended_read in ready:
                return
            typed = os.read(keyboard, 4096)
            kept, leave, _ = typed.partition(_LEAVE)
            while kept:
                kept = kept[stream.send(kept) :]
            if leave or not typed:
                return
    except libvirt.libvirtError:
        return  # the machine stopped between two keys
    finally:
        with contextlib.suppress(libvirt.libvirtError):
            stream.abort()
        reader.join(timeout=5)
        os.close(ended_read)
        os.close(ended_write)


def console_log(session: Session, machine: DeployedMachine) -> str:
    """What the machine has printed so far; empty when it is not kept.

    Raises:
        PlatformError: the machine is not there or the pool cannot be read.
    """
    native = _domain(machine)
    if not native.outputs.get("console_path"):
        return ""
    with session.own() as connection:
        return console_text(connection, native.outputs["pool"], native.outputs["name"])


def _show(stream: Any, screen: int, ended: int) -> None:
    with contextlib.suppress(libvirt.libvirtError, OSError):
        while data := stream.recv(65536):
            if not isinstance(data, int):
                os.write(screen, data)
    with contextlib.suppress(OSError):
        os.write(ended, b"x")


def _domain(machine: DeployedMachine) -> NativeState:
    native = machine.native(Domain.token)
    if native is None:
        raise PlatformError(f"the machine '{machine.name}' has no domain on the hypervisor")
    return native
