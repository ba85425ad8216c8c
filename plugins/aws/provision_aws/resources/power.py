"""Starting and stopping machines, and waiting until it is so."""

from provision.errors import PlatformError
from provision.spi import Operation, Pending
from provision_aws.errors import explained
from provision_aws.kinds import INSTANCE
from provision_aws.reading import Live
from provision_aws.session import Session

_OVER = ("terminated", "shutting-down")


def stop(operation: Operation, identity: str) -> None:
    """Shut a machine down; one that is off, or gone, is fine.

    Raises:
        PlatformError: EC2 refuses.
    """
    _switch(operation, identity, "stop_instances", "stopped")


def start(operation: Operation, identity: str) -> None:
    """Start a machine; one that runs is fine.

    Raises:
        PlatformError: EC2 refuses, or the machine did not come up.
    """
    _switch(operation, identity, "start_instances", "running")


def power_of(live: Live) -> str:
    """`running` or `stopped`, whichever it is or is about to be."""
    return "stopped" if INSTANCE.state(live) in ("stopped", "stopping") else "running"


def _switch(operation: Operation, identity: str, method: str, wanted: str) -> None:
    session: Session = operation.session
    asked = False

    def look() -> "Pending | None":
        nonlocal asked
        live = session.reader.watch(INSTANCE, identity)
        state = INSTANCE.state(live) if live is not None else "terminated"
        if state == wanted or (state in _OVER and wanted == "stopped"):
            return None
        if state in _OVER:
            raise PlatformError(f"the machine {identity} is gone", "`provision refresh`, then run again")
        if not asked and state in ("running", "stopped"):
            session.touched(identity)
            with explained(f"switching the machine {identity}"):
                getattr(session.client(), method)(InstanceIds=[identity])
            session.reader.forget(INSTANCE, identity)
            asked = True
        return Pending(f"the machine is {state}")

    with session.reader.watching(INSTANCE, identity):
        operation.wait_until(look)
