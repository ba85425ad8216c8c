"""Whether a stack has the hypervisor for itself: in libvirt's list of machines, and among the host's processes."""

from collections.abc import Iterator

from provision.models import SingleTenancyPolicy
from provision.spi import Evidence, Shown
from provision.spi.evidence import accepted, number
from provision_libvirt.evidence.look import UNSEEN, Look
from provision_libvirt.ownership import same_stack
from provision_libvirt.session import explained


def alone(look: Look, policy: SingleTenancyPolicy) -> Iterator[Shown]:
    """Whether nobody else's machine is there, running or not."""
    with explained("looking at the other machines"):
        domains = [(one.name(), one.UUIDString()) for one in look.connection.listAllDomains()]
        own = look.domain.UUIDString()
    ours = [name for name, uuid in domains if uuid == own or same_stack(uuid, own)]
    others = sorted(name for name, _ in domains if name not in ours)
    seen = f"{number(len(domains), 'machine')} on the hypervisor, all of this stack"
    yield accepted(not others, f"{', '.join(others)} on the hypervisor too" if others else seen)
    if look.view is None:
        yield Shown(Evidence.EFFECTIVE, None, UNSEEN)
        return
    try:
        running = look.view.emulators()
    except OSError:
        yield Shown(Evidence.EFFECTIVE, None, "the host's processes may not be looked at from here")
        return
    known = {int(place.name) for name in ours if (place := look.view.emulator(name)) is not None}
    strange = [str(pid) for pid in running if pid not in known]
    text = (
        f"QEMU processes of somebody else on its host: {', '.join(strange)}"
        if strange
        else (f"no QEMU process on its host but those of this stack ({len(running)})")
    )
    yield Shown(Evidence.EFFECTIVE, not strange, text)
