"""Switching machines on and off."""

import time
from typing import Any

import libvirt

from provision.errors import PlatformError
from provision.spi import DeployedMachine, PowerAction, PowerRequest
from provision_libvirt.daytwo.machines import domain_of
from provision_libvirt.resources import guest
from provision_libvirt.resources.filter_guard import rules_kept
from provision_libvirt.session import Session, explained

_LOOK_SECONDS = 0.2
_ASK_AGAIN_SECONDS = 5.0
_FORCE = "add --force to cut its power, as pulling the plug does: what the guest has not written is lost"


def switch_power(session: Session, machine: DeployedMachine, request: PowerRequest) -> bool:
    """Switch a machine and wait until it is so; False when it was so already.

    Raises:
        NotFound: the machine is gone.
        PlatformError: the guest did not shut down in time, or the hypervisor refuses.
    """
    with session.own() as connection:
        domain = domain_of(connection, machine)
        with explained(f"switching the machine '{machine.name}' {request.action}"):
            match request.action:
                case PowerAction.ON:
                    return _on(session, domain, request)
                case PowerAction.OFF:
                    return _off(domain, machine.name, request)
                case PowerAction.REBOOT:
                    # Off and on rather than a reset, so that it starts with the definition of the last `up`.
                    _off(domain, machine.name, request)
                    return _on(session, domain, request)


def _on(session: Session, domain: Any, request: PowerRequest) -> bool:
    now = guest.power(domain)
    if now == "running":
        return False
    request.report("resuming" if now == "paused" else "starting")
    if now == "stopped":
        with rules_kept(session.config.uri):
            domain.create()
    elif domain.state()[0] == libvirt.VIR_DOMAIN_PMSUSPENDED:
        domain.pMWakeup(0)
    else:
        domain.resume()
    return True


def _off(domain: Any, name: str, request: PowerRequest) -> bool:
    now = guest.power(domain)
    if now == "stopped":
        return False
    if request.force:
        request.report("cutting the power")
        _destroy(domain)
        return True
    if now == "paused":
        raise PlatformError(
            f"the machine '{name}' is paused, so that its guest cannot shut down",
            f"resume it with `provision power {name} on`, or {_FORCE}",
        )
    _ask(domain, name, request)
    return True


def _ask(domain: Any, name: str, request: PowerRequest) -> None:
    """Ask the guest to shut down, and again: one that is still booting hears nothing.

    Raises:
        PlatformError: it has not in time.
    """
    began = time.monotonic()
    asked = began - _ASK_AGAIN_SECONDS
    while domain.isActive():
        now = time.monotonic()
        if now - began >= request.timeout:
            raise PlatformError(
                f"the guest of '{name}' did not shut down within {request.timeout:g} s; it is left as it is",
                f"give it longer with --timeout, or {_FORCE}",
            )
        if now - asked >= _ASK_AGAIN_SECONDS:
            asked = now
            try:
                domain.shutdown()
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:
                    continue  # it stopped meanwhile, or is just doing so
                raise
        request.report(f"waiting for the guest to shut down ({now - began:.0f} of {request.timeout:g} s)")
        time.sleep(_LOOK_SECONDS)


def _destroy(domain: Any) -> None:
    try:
        domain.destroy()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise
